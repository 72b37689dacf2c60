package nginx

import (
	"net/netip"
	"slices"
	"testing"

	"ipublish/deployer/host/local"
)

const quiet = `uptime 1000.00
master 10 5000 nginx: master process /usr/sbin/nginx -g daemon on;
child 11 90000 nginx: worker process
child 12 90001 nginx: worker process
child 13 90001 nginx: cache manager process
`

func TestWorkersAreToldApartFromWhatElseNginxRuns(t *testing.T) {
	p := parseProcesses(quiet + "child 9 80000 nginx: worker process is shutting down\n")
	if p.Master != (process{10, 5000}) || len(p.Accepting) != 2 || len(p.Leaving) != 1 || p.Leaving[0].PID != 9 || p.Uptime != 100000 {
		t.Errorf("%+v", p)
	}
}

func TestAnotherProcessUnderThePidOfTheFileIsNotNginx(t *testing.T) {
	if p := parseProcesses("uptime 1.00\nmaster 10 5000 /usr/bin/vi nginx.conf\n"); p.running() {
		t.Errorf("%+v", p)
	}
}

func TestAReloadIsUnderWayUntilOneSetOfWorkersAccepts(t *testing.T) {
	for name, c := range map[string]struct {
		uptime int64
		starts []int64
		want   bool
	}{
		"no worker":                         {1000, nil, false},
		"one set, just started":             {1000, []int64{995, 996, 999}, true},
		"two sets, the newer just started":  {1000, []int64{500, 501, 998, 999}, false},
		"a worker that was replaced before": {1000, []int64{500, 501, 700}, true},
		"sets as close as they can be":      {1000, []int64{980, 990}, false},
	} {
		p := processes{Uptime: c.uptime}
		for i, start := range c.starts {
			p.Accepting = append(p.Accepting, process{PID: i + 1, Start: start})
		}
		if p.settled() != c.want {
			t.Errorf("%s: settled is %v", name, p.settled())
		}
	}
}

func TestWorkersAreReplacedOnlyWhenNoneOfBeforeAccepts(t *testing.T) {
	before := parseProcesses(quiet)
	mixed := parseProcesses(quiet + "child 14 99000 nginx: worker process\n")
	after := parseProcesses("uptime 1000.00\nmaster 10 5000 nginx: master process\nchild 11 90000 nginx: worker process is shutting down\nchild 14 99000 nginx: worker process\n")
	restarted := parseProcesses("uptime 1000.00\nmaster 20 99000 nginx: master process\nchild 21 99000 nginx: worker process\n")
	reused := parseProcesses("uptime 1000.00\nmaster 10 5000 nginx: master process\nchild 11 99000 nginx: worker process\n")
	for name, c := range map[string]struct {
		p                   processes
		replaced, unchanged bool
	}{
		"the same":                   {before, false, true},
		"both sets":                  {mixed, false, false},
		"only new ones":              {after, true, false},
		"another master":             {restarted, false, false},
		"a new worker on an old pid": {reused, true, false},
		"nobody accepts":             {processes{Master: before.Master}, false, false},
	} {
		if c.p.replaced(before) != c.replaced || c.p.unchanged(before) != c.unchanged {
			t.Errorf("%s: replaced %v, unchanged %v", name, c.p.replaced(before), c.p.unchanged(before))
		}
	}
}

func TestConnectionsInFlightAreThoseOfNginxWhereItsSocketsCanBeSeen(t *testing.T) {
	const conns = "tcp 0100007F:1F90 501\ntcp 0100007F:1F90 777\ntcp 0000000000000000FFFF00000100007F:1F90 502\ntcp 0200007F:1F90 503\n"
	const sockets = "socket 11 1\nsocket 11 501\nsocket 12 2\nsocket 12 502\nsocket 12 503\n"
	const leaving = "child 9 80000 nginx: worker process is shutting down\n"
	const reloading = "child 14 99999 nginx: worker process\n"
	old := peer{IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Port: 8080}
	for name, c := range map[string]struct {
		out  string
		want int
	}{
		"nothing":                                  {quiet, 0},
		"nginx's own two of three":                 {quiet + conns + sockets, 2},
		"sockets unseen, no old worker":            {quiet + conns, 0},
		"sockets unseen, an old worker":            {quiet + leaving + conns, 3},
		"an old worker without a connection":       {quiet + leaving, 0},
		"the old worker's sockets alone unseen":    {quiet + leaving + conns + sockets, 3},
		"a reload under way, nothing seen":         {quiet + reloading, -1},
		"a reload under way, connections are seen": {quiet + reloading + conns, 3},
	} {
		if got := parseProcesses(c.out).inFlight(old); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if got := parseProcesses(quiet + leaving + conns).inFlight(peer{Port: 8080}); got != 4 {
		t.Errorf("a name that cannot be resolved counts by its port: %d, want 4", got)
	}
}

func TestANameIsResolvedOnTheHost(t *testing.T) {
	h, err := local.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := resolve(t.Context(), h, "localhost:8080")
	if err != nil || p.Port != 8080 || !slices.Contains(p.IPs, netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("localhost: %+v, %v", p, err)
	}
	unknown, err := resolve(t.Context(), h, "no-such-name.invalid:8080")
	if err != nil || unknown.IPs != nil {
		t.Errorf("a name that nobody knows: %+v, %v", unknown, err)
	}
}

func TestAnAddressInHexadecimalIsReadAsTheKernelPrintsIt(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:1F90":                         "127.0.0.1:8080",
		"00000000000000000000000001000000:0050": "[::1]:80",
		"B80D0120000000000000000001000000:0001": "[2001:db8::1]:1",
	} {
		if got, ok := parseHexAddr(text); !ok || got.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, got, ok, want)
		}
	}
	for _, bad := range []string{"", "0100007F", "01:1", "0100007F0100007F:1", "zz:1", "0100007F:FFFFF"} {
		if got, ok := parseHexAddr(bad); ok {
			t.Errorf("%q passed as %s", bad, got)
		}
	}
}
