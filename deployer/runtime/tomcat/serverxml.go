package tomcat

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// serverXML returns src with what one slot needs of its own, every other byte
// kept. Errors are sentences about the file.
func serverXML(src []byte, port int) ([]byte, error) {
	e := editor{src: src, port: strconv.Itoa(port)}
	d := xml.NewDecoder(bytes.NewReader(ascii(src)))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		from := d.InputOffset()
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return e.result()
		}
		if err != nil {
			return nil, fmt.Errorf("it is not well-formed XML: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			err = e.open(t.Name.Local, int(from), int(d.InputOffset()))
		case xml.EndElement:
			e.close(int(d.InputOffset()))
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

// editor collects changes while the elements go by.
type editor struct {
	src     []byte
	port    string
	path    []string // names of the open elements
	edits   []edit   // in the order of the file
	dropped int      // depth of the connector being dropped; 0: none
	http    []string // ports of the HTTP connectors
	ours    bool     // a Host serves webapps
}

type edit struct {
	from, to int
	text     string
}

func (e *editor) open(name string, from, to int) error {
	e.path = append(e.path, name)
	tag := tag{src: e.src, from: from, to: to}
	switch strings.Join(e.path, "/") {
	case "Server":
		e.set(tag, "port", "-1")
	case "Server/Service/Connector":
		e.connector(tag)
	case "Server/Service/Engine/Host":
		e.host(tag)
	case "Server/Listener":
		return listener(tag)
	}
	return nil
}

func (e *editor) close(to int) {
	if e.dropped == len(e.path) {
		e.edits[len(e.edits)-1].to = to
		e.dropped = 0
	}
	e.path = e.path[:len(e.path)-1]
}

func (e *editor) connector(t tag) {
	if protocol, _ := t.value("protocol"); strings.HasPrefix(protocol, "AJP") || strings.Contains(protocol, ".ajp.") {
		e.edits = append(e.edits, edit{t.from, t.to, ""})
		e.dropped = len(e.path)
		return
	}
	port, _ := t.value("port")
	e.http = append(e.http, port)
	e.set(t, "port", e.port)
}

func (e *editor) host(t tag) {
	if base, ok := t.value("appBase"); !ok || base == "webapps" {
		e.ours = true
	}
	e.set(t, "autoDeploy", "false")
	if deploys, ok := t.value("deployOnStartup"); ok && deploys != "true" {
		e.set(t, "deployOnStartup", "true")
	}
}

func listener(t tag) error {
	for _, name := range []string{"rmiRegistryPortPlatform", "rmiServerPortPlatform"} {
		if port, ok := t.value(name); ok {
			return fmt.Errorf("both slots would share %s=%q: remove that Listener, and use runtime.tomcat.jvm_options with a port made of {port}", name, port)
		}
	}
	return nil
}

// set gives the element the attribute; one that has the value already stays as
// it is written.
func (e *editor) set(t tag, name, value string) {
	a, ok := t.attribute(name)
	switch {
	case !ok:
		e.edits = append(e.edits, edit{t.nameEnd(), t.nameEnd(), " " + name + `="` + value + `"`})
	case string(e.src[a.from:a.to]) != value:
		e.edits = append(e.edits, edit{a.from, a.to, value})
	}
}

func (e *editor) result() ([]byte, error) {
	switch {
	case len(e.http) == 0:
		return nil, errors.New("it has no HTTP connector: a slot needs exactly one")
	case len(e.http) > 1:
		return nil, fmt.Errorf("it has %d HTTP connectors (ports %s), and both slots would share all but one: keep one, and let the load balancer end TLS",
			len(e.http), strings.Join(e.http, ", "))
	case !e.ours:
		return nil, errors.New(`no Host of it has appBase="webapps", where the release is put`)
	}
	return e.apply(), nil
}

// apply makes the changes, which may be in another order than they are written.
func (e *editor) apply() []byte {
	slices.SortStableFunc(e.edits, func(a, b edit) int { return a.from - b.from })
	var out []byte
	at := 0
	for _, c := range e.edits {
		out = append(append(out, e.src[at:c.from]...), c.text...)
		at = c.to
	}
	return append(out, e.src[at:]...)
}

// tag is a start tag that the decoder has found well-formed, src[from:to].
type tag struct {
	src      []byte
	from, to int
}

// span is an attribute's value without its quotes.
type span struct{ from, to int }

func (t tag) value(name string) (string, bool) {
	a, ok := t.attribute(name)
	return string(t.src[a.from:a.to]), ok
}

func (t tag) attribute(name string) (span, bool) {
	for at := t.skip(t.nameEnd(), " \t\r\n"); at < t.to && t.src[at] != '>' && t.src[at] != '/'; {
		end := t.until(at, " \t\r\n=")
		quote := t.skip(end, " \t\r\n=")
		close := t.until(quote+1, string(t.src[quote]))
		if string(t.src[at:end]) == name {
			return span{quote + 1, close}, true
		}
		at = t.skip(close+1, " \t\r\n")
	}
	return span{}, false
}

func (t tag) nameEnd() int { return t.until(t.from+1, " \t\r\n/>") }

func (t tag) skip(at int, chars string) int {
	for at < t.to && strings.IndexByte(chars, t.src[at]) >= 0 {
		at++
	}
	return at
}

func (t tag) until(at int, chars string) int {
	for at < t.to && strings.IndexByte(chars, t.src[at]) < 0 {
		at++
	}
	return at
}
