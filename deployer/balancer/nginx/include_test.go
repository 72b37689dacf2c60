package nginx

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ipublish/deploy"
)

func drawSettings(t *rapid.T) settings {
	s := settings{
		Upstream:     rapid.StringMatching(`[A-Za-z0-9_][A-Za-z0-9_.-]{0,40}`).Draw(t, "upstream"),
		Include:      "/etc/nginx/ipublish/x.conf",
		ServerParams: rapid.SampledFrom([]string{"", "weight=1", "weight=3 max_fails=0"}).Draw(t, "params"),
		Extra:        rapid.SliceOfN(rapid.StringMatching(`[a-z_]{1,9}( [A-Za-z0-9_.:/=$@+,~%*-]{1,9}){0,2}`), 0, 3).Draw(t, "extra"),
	}
	s.fillIn()
	return s
}

func drawTargets(t *rapid.T) []deploy.Endpoint {
	host := rapid.OneOf(
		rapid.StringMatching(`[a-z][a-z0-9-]{0,10}[a-z](\.[a-z]{2,5})?`),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 4, 4), func(b []byte) string { return fmt.Sprintf("%d.%d.%d.%d", b[0], b[1], b[2], b[3]) }),
		rapid.Map(rapid.Uint16(), func(n uint16) string { return fmt.Sprintf("[2001:db8::%x]", n) }),
	)
	endpoint := rapid.Custom(func(t *rapid.T) deploy.Endpoint {
		return deploy.Endpoint{
			Addr:  fmt.Sprintf("%s:%d", host.Draw(t, "host"), rapid.IntRange(1, 65535).Draw(t, "port")),
			Up:    rapid.Bool().Draw(t, "up"),
			Spare: rapid.Bool().Draw(t, "spare"),
		}
	})
	return rapid.SliceOfNDistinct(endpoint, 1, 8, func(e deploy.Endpoint) string { return e.Addr }).Draw(t, "targets")
}

// parsed is what nginx makes of an include file.
type parsed struct {
	upstream string
	table    table
	params   []string
	extra    []string
	answer   string
}

func parseInclude(content []byte) (p parsed, err error) {
	all := parseConfig(string(content))
	for _, d := range all {
		outer := ""
		if d.Parent >= 0 {
			outer = all[d.Parent].Words[0]
		}
		switch {
		case outer == "" && d.Words[0] == "upstream":
			p.upstream = d.Words[1]
		case outer == "" && d.Words[0] == "server" || outer == "server" || outer == "location" && d.Words[0] == "default_type":
		case outer == "upstream" && d.Words[0] == "server":
			rest := d.Words[2:]
			up := rest[len(rest)-1] != "down"
			if !up {
				rest = rest[:len(rest)-1]
			}
			p.table = append(p.table, server{Addr: d.Words[1], Up: up})
			p.params = append(p.params, strings.Join(rest, " "))
		case outer == "upstream":
			p.extra = append(p.extra, strings.Join(d.Words, " "))
		case outer == "location" && d.Words[0] == "return":
			p.answer = d.Words[2]
		default:
			return p, fmt.Errorf("%q within %q was never meant", d.Words, outer)
		}
	}
	return p, nil
}

func TestNginxReadsInTheFileExactlyWhatWasPutIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, targets := drawSettings(t), drawTargets(t)
		if err := s.check(deploy.Target{}); err != nil {
			t.Skip("a directive that is refused: ", err)
		}
		want, err := newTable(targets)
		if err != nil {
			t.Fatal(err)
		}
		content, generation := render(s, want)
		got, err := parseInclude(content)
		if err != nil {
			t.Fatal(err)
		}
		if got.upstream != s.Upstream || !slices.Equal(got.table, want) || !slices.Equal(got.extra, s.Extra) {
			t.Fatalf("the file reads as %+v, it was made from %+v, %+v", got, s, want)
		}
		for _, params := range got.params {
			if params != s.ServerParams {
				t.Fatalf("a server has parameters %q, not %q", params, s.ServerParams)
			}
		}
		a, ok := parseAnswer(got.answer, s.Upstream)
		if !ok || a.Generation != generation || !slices.Equal(a.Table, want) {
			t.Fatalf("the answer reads as %+v, %v", a, ok)
		}
	})
}

func TestTheSameTableGivesTheSameBytesInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, targets := drawSettings(t), drawTargets(t)
		one, _ := newTable(targets)
		other, _ := newTable(rapid.Permutation(targets).Draw(t, "order"))
		a, ga := render(s, one)
		b, gb := render(s, other)
		if !bytes.Equal(a, b) || ga != gb {
			t.Fatalf("%s\nand\n%s", a, b)
		}
	})
}

func TestAnyEditIsToldFromTheGenuineFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, targets := drawSettings(t), drawTargets(t)
		table, _ := newTable(targets)
		content, _ := render(s, table)
		if !genuine(content) {
			t.Fatalf("not genuine as rendered:\n%s", content)
		}
		i := rapid.IntRange(0, len(content)-1).Draw(t, "at")
		edited := bytes.Clone(content)
		edited[i] ^= byte(1 << rapid.IntRange(0, 7).Draw(t, "bit"))
		if genuine(edited) {
			t.Fatalf("still genuine with byte %d changed:\n%s", i, edited)
		}
	})
}

func FuzzWhateverTheAddressTheFileHoldsNothingElse(f *testing.F) {
	for _, addr := range []string{"127.0.0.1:8080", "[::1]:80", "web:80", "a:80 down; } server { listen 80", "a\r\n:1", "#:1", "${x}:1"} {
		f.Add(addr)
	}
	s := settings{Upstream: "shop", Include: "/x/y.conf"}
	s.fillIn()
	f.Fuzz(func(t *testing.T, addr string) {
		table, err := newTable([]deploy.Endpoint{{Addr: addr, Up: true}, {Addr: "127.0.0.1:9"}})
		if err != nil {
			return
		}
		content, _ := render(s, table)
		got, err := parseInclude(content)
		if err != nil || !slices.Equal(got.table, table) || !genuine(content) {
			t.Errorf("%q gives %+v, %v", addr, got, err)
		}
	})
}

func TestATableIsRefusedWhenItNamesAnAddressTwiceOrIsTooLong(t *testing.T) {
	twice := []deploy.Endpoint{{Addr: "a:1", Up: true}, {Addr: "a:1"}}
	var long []deploy.Endpoint
	for i := range 400 {
		long = append(long, deploy.Endpoint{Addr: fmt.Sprintf("10.0.0.1:%d", i+1)})
	}
	for _, targets := range [][]deploy.Endpoint{twice, long, {{Addr: "a b:1"}}} {
		if _, err := newTable(targets); deploy.CodeOf(err) != deploy.CodeInvalid {
			t.Errorf("%d targets: %v", len(targets), err)
		}
	}
}
