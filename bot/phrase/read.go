package phrase

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// read reads a catalogue's files. A line that begins with "#" is a comment,
// "[NAME]" opens a section, "= " begins the translation of the line before it.
// A format behind "+ " stands in the code in pieces, put together there.
func read(files fs.FS, dir string) (*Catalogue, error) {
	names, err := fs.Glob(files, dir+"/*.txt")
	if err != nil {
		return nil, err
	}
	c := &Catalogue{words: map[string]string{}, ops: map[string]string{}, slots: map[string]string{}, heads: map[string]string{}}
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		if err := entries(string(b), c.put); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, list := range [][]entry{c.texts, c.parts, c.labels} {
		slices.SortStableFunc(list, func(a, b entry) int { return cmp.Compare(b.weight, a.weight) })
	}
	return c, nil
}

// entries hands every entry of a file to put.
func entries(text string, put func(section, format, said string) error) error {
	section, format := "texts", ""
	for n, line := range strings.Split(text, "\n") {
		var err error
		said, translated := strings.CutPrefix(line, "= ")
		switch {
		case line == "" || strings.HasPrefix(line, "# ") || line == "#":
		case translated && format != "":
			err = put(section, format, said)
			format = ""
		case translated || format != "":
			err = fmt.Errorf("a format and a translation do not follow each other")
		case opens(line):
			section = strings.Trim(line, "[]")
		default:
			format = line
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	if format != "" {
		return fmt.Errorf("%q has no translation", format)
	}
	return nil
}

// opens reports whether a line begins a section, "[texts]".
func opens(line string) bool {
	return strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") && strings.Trim(line[1:len(line)-1], "abcdefghijklmnopqrstuvwxyz") == ""
}

// put adds one entry to its section.
func (c *Catalogue) put(section, format, said string) error {
	format = strings.TrimPrefix(format, "+ ")
	table := map[string]map[string]string{"states": c.words, "operations": c.ops, "slots": c.slots, "titles": c.heads}[section]
	if table != nil {
		table[format] = said
		return nil
	}
	list := map[string]*[]entry{"texts": &c.texts, "parts": &c.parts, "labels": &c.labels}[section]
	if list == nil {
		return fmt.Errorf("there is no section %q", section)
	}
	e, err := newEntry(format, said)
	*list = append(*list, e)
	return err
}
