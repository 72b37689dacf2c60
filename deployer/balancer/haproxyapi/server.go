package haproxyapi

import (
	"context"
	"encoding/csv"
	"fmt"
	"net"
	"strconv"
	"strings"

	"ipublish/deploy"
)

// Server is one server line of one backend, as HAProxy sees it now.
type Server struct {
	Backend, Name string
	Addr          string // ip:port that HAProxy dials; of an IPv6 address [ip]:port
	FQDN          string // the host name that haproxy.cfg has in place of the IP; empty: none
	Status        string // UP, DOWN, DRAIN, MAINT, NOLB, "no check", "UP 1/2", "DOWN 1/2", "MAINT (via be/a)", …
	// Receives: its state lets new requests go to it now. A backup server
	// receives as its place is, when the others are gone.
	Receives    bool
	Sessions    int    // requests, in mode tcp connections, that are being served
	Queued      int    // requests that wait for this very server
	Weight      int    // as configured or set, in HAProxy's own measure 0–256
	CheckStatus string // L7OK, L4CON, L7STS, …; empty: not checked
	Backup      bool   // gets requests only when no other server of the backend can
	Cookie      string // value of its persistence cookie; empty: none
	Tracks      string // backend/server whose state it follows; empty: its own
	Admin       Admin
}

// Subject is the server as the Runtime API calls it: backend/name.
func (s Server) Subject() string { return s.Backend + "/" + s.Name }

// Servers returns the servers of every backend, in HAProxy's order. It blocks
// for one exchange. deploy.CodeUnavailable, deploy.CodeTimeout or
// deploy.CodeCancelled without an answer, deploy.CodeFailed for one that is not
// HAProxy's.
func (a *API) Servers(ctx context.Context) ([]Server, error) {
	answer, err := a.ask(ctx, showServers(), showState())
	if err != nil {
		return nil, err
	}
	stat, state, _ := strings.Cut(answer, "\n\n1\n#")
	servers, err := parseStat(stat)
	if err != nil {
		return nil, a.strange(answer, err)
	}
	dump, err := ParseDump("1\n#" + state)
	if err != nil {
		return nil, a.strange(answer, err)
	}
	rows := dump.bySubject()
	for i := range servers {
		if row, ok := rows[servers[i].Subject()]; ok {
			servers[i].merge(row)
		}
	}
	return servers, nil
}

// merge adds what `show stat` does not tell.
func (s *Server) merge(r Row) {
	s.Admin = r.Admin()
	s.FQDN = r.text("srv_fqdn")
	if s.Addr == "" {
		s.Addr = net.JoinHostPort(r.text("srv_addr"), r.text("srv_port"))
	}
}

func (a *API) strange(answer string, err error) error {
	return &deploy.Error{Code: deploy.CodeFailed, Op: "show", Subject: "haproxy " + a.socket, Err: err,
		Message: fmt.Sprintf("what answers on %s does not speak as HAProxy does: %s", a.socket, firstLine(strings.TrimSpace(answer)))}
}

// record is one line of `show stat` by the names in its header.
type record struct {
	header map[string]int
	fields []string
}

func (r record) text(name string) string {
	i, ok := r.header[name]
	if !ok || i >= len(r.fields) {
		return ""
	}
	return r.fields[i]
}

// number gives 0 for what is absent or no number.
func (r record) number(name string) int {
	n, _ := strconv.Atoi(r.text(name))
	return n
}

// parseStat reads the CSV of `show stat`; lines that are no servers are left out.
func parseStat(text string) ([]Server, error) {
	head, ok := strings.CutPrefix(text, "# ")
	if !ok {
		return nil, errNoHeader
	}
	in := csv.NewReader(strings.NewReader(head))
	in.FieldsPerRecord = -1
	in.LazyQuotes = true
	lines, err := in.ReadAll()
	if err != nil {
		return nil, err
	}
	header := map[string]int{}
	for i, name := range lines[0] {
		header[name] = i
	}
	if !told(header) {
		return nil, errNoHeader
	}
	var out []Server
	for _, fields := range lines[1:] {
		if r := (record{header, fields}); r.text("type") == "2" {
			out = append(out, r.server())
		}
	}
	return out, nil
}

// told reports whether a header has what a Server cannot be without.
func told(header map[string]int) bool {
	for _, name := range []string{"pxname", "svname", "type", "status", "weight", "scur", "qcur"} {
		if _, ok := header[name]; !ok {
			return false
		}
	}
	return true
}

func (r record) server() Server {
	weight := r.number("weight")
	if r.text("uweight") != "" {
		weight = r.number("uweight") // the other one rises step by step during a slow start
	}
	s := Server{
		Backend: r.text("pxname"), Name: r.text("svname"), Addr: r.text("addr"),
		Status: r.text("status"), CheckStatus: strings.TrimPrefix(r.text("check_status"), "* "),
		Sessions: r.number("scur"), Queued: r.number("qcur"), Weight: weight,
		Backup: r.number("bck") > 0, Cookie: r.text("cookie"), Tracks: r.text("tracked"),
	}
	up := s.Status == "UP" || strings.HasPrefix(s.Status, "UP ") || s.Status == "no check"
	s.Receives = up && weight > 0
	return s
}
