package phrase

import (
	"io/fs"
	"strings"
)

// Pair is an entry of the catalogue's files.
type Pair struct {
	Section string
	Format  string
	Said    string
	At      string
	Pieces  bool // put together in the code
}

// Pairs lists the entries of the catalogue's files, in order.
func Pairs() ([]Pair, error) {
	names, err := fs.Glob(chinese, "zh/*.txt")
	if err != nil {
		return nil, err
	}
	var out []Pair
	for _, name := range names {
		b, err := chinese.ReadFile(name)
		if err != nil {
			return nil, err
		}
		err = entries(string(b), func(section, format, said string) error {
			whole := strings.TrimPrefix(format, "+ ")
			out = append(out, Pair{Section: section, Format: whole, Said: said, At: name, Pieces: whole != format})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ReadText reads a catalogue of one file, with Chinese's words.
func ReadText(text string) (*Catalogue, error) {
	c := Chinese()
	c.texts, c.parts, c.labels = nil, nil, nil
	err := entries(text, c.put)
	return c, err
}
