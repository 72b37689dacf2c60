package nginx

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"ipublish/deploy"
)

// server is one line of the upstream.
type server struct {
	Addr string
	Up   bool
}

// table says who receives traffic, sorted by address.
type table []server

// maxAnswer keeps the generation answer below the 4096 bytes that nginx takes as one parameter.
const maxAnswer = 3500

// newTable takes over the targets of a step; a spare is a server that is down.
func newTable(targets []deploy.Endpoint) (table, error) {
	t := make(table, 0, len(targets))
	for _, e := range targets {
		if err := checkAddr(e.Addr); err != nil {
			return nil, err
		}
		t = append(t, server{Addr: e.Addr, Up: e.Up})
	}
	slices.SortFunc(t, func(a, b server) int { return strings.Compare(a.Addr, b.Addr) })
	for i := 1; i < len(t); i++ {
		if t[i].Addr == t[i-1].Addr {
			return nil, invalid("address %q stands twice in the table", t[i].Addr)
		}
	}
	if len(answerText("", strings.Repeat("x", 128), t)) > maxAnswer {
		return nil, invalid("the table of %d servers is too long for one nginx upstream of ipublish; split the environment", len(t))
	}
	return t, nil
}

// addrs returns the addresses that are up, or those that are down, sorted.
func (t table) addrs(state server) []string {
	var out []string
	for _, s := range t {
		if s.Up == state.Up {
			out = append(out, s.Addr)
		}
	}
	return out
}

func (t table) up() []string   { return t.addrs(server{Up: true}) }
func (t table) down() []string { return t.addrs(server{Up: false}) }

func (t table) all() []string {
	out := make([]string, len(t))
	for i, s := range t {
		out[i] = s.Addr
	}
	return out
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
