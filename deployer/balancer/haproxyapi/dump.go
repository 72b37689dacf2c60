package haproxyapi

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
)

var (
	errNoHeader = errors.New("the answer has no header")
	errVersion  = errors.New("the state is of another version than 1")
)

// Admin says what people and programs set on a server, apart from its checks.
type Admin uint

// The parts of Admin, as `show servers state` numbers them.
const (
	ForcedMaint     Admin = 1 << iota // put into maintenance over the Runtime API, or by haproxy.cfg
	InheritedMaint                    // the server that it tracks is in maintenance
	ConfiguredMaint                   // haproxy.cfg says disabled
	ForcedDrain                       // drained over the Runtime API
	InheritedDrain                    // the server that it tracks is drained
	ResolutionMaint                   // its name does not resolve
	HostnameMaint                     // its name was changed over the Runtime API
)

// Has reports whether one of the parts is set.
func (a Admin) Has(parts Admin) bool { return a&parts != 0 }

// Dump is what `show servers state` gives: what HAProxy loads from a
// server-state-file when it starts.
type Dump struct {
	header string // with its "# "
	names  map[string]int
	rows   []Row
}

// Row is one server of a Dump.
type Row struct {
	line  string
	names map[string]int
}

// Dump asks for the state of every server. Errors as of Servers.
func (a *API) Dump(ctx context.Context) (Dump, error) {
	answer, err := a.ask(ctx, showState())
	if err != nil {
		return Dump{}, err
	}
	d, err := ParseDump(answer)
	if err != nil {
		return Dump{}, a.strange(answer, err)
	}
	return d, nil
}

// ParseDump reads what `show servers state` printed; an error when it is
// anything else.
func ParseDump(text string) (Dump, error) {
	version, rest, _ := strings.Cut(text, "\n")
	if version != "1" {
		return Dump{}, errVersion
	}
	header, rest, _ := strings.Cut(rest, "\n")
	names, ok := strings.CutPrefix(header, "#")
	if !ok {
		return Dump{}, errNoHeader
	}
	d := Dump{header: header, names: map[string]int{}}
	for i, name := range strings.Fields(names) {
		d.names[name] = i
	}
	for line := range strings.Lines(rest) {
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			d.rows = append(d.rows, Row{line, d.names})
		}
	}
	return d, nil
}

// Rows are the servers, in HAProxy's order.
func (d Dump) Rows() []Row { return slices.Clone(d.rows) }

// With is the dump with other rows.
func (d Dump) With(rows []Row) Dump {
	d.rows = slices.Clone(rows)
	return d
}

// String is the text as HAProxy reads it from a server-state-file.
func (d Dump) String() string {
	var b strings.Builder
	b.WriteString("1\n" + d.header + "\n")
	for _, r := range d.rows {
		b.WriteString(r.line + "\n")
	}
	return b.String()
}

// bySubject gives the rows by Row.Subject.
func (d Dump) bySubject() map[string]Row {
	rows := make(map[string]Row, len(d.rows))
	for _, r := range d.rows {
		rows[r.Subject()] = r
	}
	return rows
}

// Subject is the row's server: backend/name.
func (r Row) Subject() string { return r.text("be_name") + "/" + r.text("srv_name") }

// Admin says what was set on the row's server.
func (r Row) Admin() Admin {
	n, _ := strconv.ParseUint(r.text("srv_admin_state"), 10, 32) // what is no number is no state of ours
	return Admin(n)
}

// text gives a field by its name in the header; empty for "-" and what is absent.
func (r Row) text(name string) string {
	i, ok := r.names[name]
	fields := strings.Fields(r.line)
	if !ok || i >= len(fields) || fields[i] == "-" {
		return ""
	}
	return fields[i]
}
