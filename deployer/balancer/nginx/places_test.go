package nginx

import (
	"net/netip"
	"slices"
	"testing"

	"ipublish/deployer/host/local"
)

func TestAddressesOfOneListenerAreTheSame(t *testing.T) {
	k := places{
		Own:   []netip.Addr{netip.MustParseAddr("10.0.0.11"), netip.MustParseAddr("fd00::11")},
		Names: map[string][]netip.Addr{"web-1": {netip.MustParseAddr("10.0.0.11")}, "web-2": {netip.MustParseAddr("10.0.0.12")}},
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"127.0.0.1:8080", "127.0.0.1:8080", true}, {"127.0.0.1:8080", "127.0.0.1:8081", false},
		{"127.0.0.1:8080", "localhost:8080", true}, {"127.0.0.1:8080", "[::1]:8080", true}, {"127.0.0.1:8080", "0.0.0.0:8080", true},
		{"[::ffff:127.0.0.1]:8080", "LOCALHOST:8080", true},
		{"10.0.0.11:8080", "127.0.0.1:8080", true}, {"WEB-1:8080", "127.0.0.1:8080", true}, {"[fd00::11]:8080", "10.0.0.11:8080", true},
		{"10.0.0.12:8080", "web-2:8080", true}, {"10.0.0.12:8080", "127.0.0.1:8080", false}, {"web-1:8080", "web-2:8080", false},
		{"nobody:8080", "NOBODY:8080", true}, {"nobody:8080", "10.0.0.11:8080", false}, {"", "", false}, {"127.0.0.1:8080", "unix:/x", false},
	} {
		if k.same(c.a, c.b) != c.same || k.same(c.b, c.a) != c.same {
			t.Errorf("%s and %s: same is %v", c.a, c.b, !c.same)
		}
	}
}

func TestTheMachineTellsItsAddressesAndWhatNamesMean(t *testing.T) {
	h, err := local.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := lookAround(t.Context(), h, hostNames([]string{"localhost:80", "LocalHost:81", "127.0.0.1:80", "[::1]:80", "-x:80", "", "no-such-name.invalid:80"}))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(k.Own, netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("its own addresses: %v", k.Own)
	}
	if len(k.Names) != 1 || len(k.Names["localhost"]) == 0 {
		t.Errorf("the names: %v", k.Names)
	}
}

func TestAGoalIsReadAsNginxDoes(t *testing.T) {
	for word, want := range map[string]goal{
		"http://tomcat":                    {Name: "tomcat", Addr: "tomcat:80"},
		"https://tomcat/x/":                {Name: "tomcat", Addr: "tomcat:443"},
		"http://127.0.0.1:8080?a=b":        {Name: "127.0.0.1:8080", Addr: "127.0.0.1:8080"},
		"http://[::1]:8080$request_uri":    {Name: "[::1]:8080", Addr: "[::1]:8080", Variable: true},
		"http://[::1]":                     {Name: "[::1]", Addr: "[::1]:80"},
		"http://$host:8080/x":              {Variable: true},
		"grpcs://a:08080":                  {Name: "a:08080", Addr: "a:8080"},
		"127.0.0.1":                        {Name: "127.0.0.1", Addr: "127.0.0.1:80"},
		"unix:/run/x.sock":                 {Name: "unix:/run/x.sock"},
		"http://unix:/run/x.sock:/uri/$x/": {Name: "unix:/run/x.sock:/uri/$x/"},
		"http://a:port":                    {Name: "a:port"},
		"":                                 {},
	} {
		if got := readGoal(word); got != want {
			t.Errorf("%q: %+v, want %+v", word, got, want)
		}
	}
}
