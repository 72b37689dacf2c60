package tomcat

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// rewrite returns src with what visit asks of the start tags that it is shown in
// their order, every other byte kept. Errors are sentences about the file.
func rewrite(src []byte, visit func(tag) error) ([]byte, error) {
	doc := &document{src: src}
	d := xml.NewDecoder(bytes.NewReader(ascii(src)))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		from := d.InputOffset()
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return doc.apply(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("it is not well-formed XML: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			err = visit(doc.open(t.Name.Local, int(from), int(d.InputOffset())))
		case xml.EndElement:
			doc.close(int(d.InputOffset()))
		}
		if err != nil {
			return nil, err
		}
	}
}

// ascii is text of the same length whose markup is the same: the decoder shall
// judge neither the encoding nor entities, which stay as they are.
func ascii(src []byte) []byte {
	out := bytes.Clone(src)
	for i, c := range out {
		if c >= 0x80 || c == '&' {
			out[i] = 'x'
		}
	}
	return out
}

// document collects changes while the elements go by.
type document struct {
	src     []byte
	path    []string // names of the open elements
	edits   []edit
	dropped int // depth of the element being dropped; 0: none
}

type edit struct {
	from, to int
	text     string
}

func (d *document) open(name string, from, to int) tag {
	d.path = append(d.path, name)
	return tag{doc: d, path: strings.Join(d.path, "/"), from: from, to: to}
}

func (d *document) close(to int) {
	if d.dropped == len(d.path) {
		d.edits[len(d.edits)-1].to = to
		d.dropped = 0
	}
	d.path = d.path[:len(d.path)-1]
}

// apply makes the changes, which may be in another order than they are written.
func (d *document) apply() []byte {
	slices.SortStableFunc(d.edits, func(a, b edit) int { return a.from - b.from })
	var out []byte
	at := 0
	for _, c := range d.edits {
		out = append(append(out, d.src[at:c.from]...), c.text...)
		at = c.to
	}
	return append(out, d.src[at:]...)
}

// tag is a start tag that the decoder has found well-formed, src[from:to].
type tag struct {
	doc      *document
	path     string // names of the elements down to it, with slashes between
	from, to int
}

// set gives the element the attribute; one that has the value already stays as
// it is written.
func (t tag) set(name, value string) {
	a, ok := t.attribute(name)
	switch {
	case !ok:
		t.edit(t.nameEnd(), t.nameEnd(), " "+name+`="`+value+`"`)
	case string(t.doc.src[a.from:a.to]) != value:
		t.edit(a.from, a.to, value)
	}
}

// remove takes the attribute away, with the white space before it.
func (t tag) remove(name string) {
	if a, ok := t.attribute(name); ok {
		t.edit(a.begin, a.to+1, "")
	}
}

// drop takes the whole element away. Nothing within it may be changed.
func (t tag) drop() {
	t.edit(t.from, t.to, "")
	t.doc.dropped = len(t.doc.path)
}

func (t tag) edit(from, to int, text string) {
	t.doc.edits = append(t.doc.edits, edit{from, to, text})
}

// value is as it is written, references unresolved.
func (t tag) value(name string) (string, bool) {
	a, ok := t.attribute(name)
	return string(t.doc.src[a.from:a.to]), ok
}

// span is an attribute: its value without the quotes, and where the white space
// before its name begins.
type span struct{ begin, from, to int }

func (t tag) attribute(name string) (span, bool) {
	begin := t.nameEnd()
	for at := t.skip(begin, " \t\r\n"); at < t.to && t.doc.src[at] != '>' && t.doc.src[at] != '/'; {
		end := t.until(at, " \t\r\n=")
		quote := t.skip(end, " \t\r\n=")
		close := t.until(quote+1, string(t.doc.src[quote]))
		if string(t.doc.src[at:end]) == name {
			return span{begin, quote + 1, close}, true
		}
		begin = close + 1
		at = t.skip(begin, " \t\r\n")
	}
	return span{}, false
}

func (t tag) nameEnd() int { return t.until(t.from+1, " \t\r\n/>") }

func (t tag) skip(at int, chars string) int {
	for at < t.to && strings.IndexByte(chars, t.doc.src[at]) >= 0 {
		at++
	}
	return at
}

func (t tag) until(at int, chars string) int {
	for at < t.to && strings.IndexByte(chars, t.doc.src[at]) < 0 {
		at++
	}
	return at
}
