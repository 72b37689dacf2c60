package haproxyapi_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/haproxyapi"
	"ipublish/deployer/balancer/haproxytest"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/host/local"
)

func localHost(t *testing.T) deployer.Host {
	t.Helper()
	h, err := local.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// start runs an HAProxy before two live servers and a dead one.
func start(t *testing.T) (*haproxytest.Server, *haproxyapi.API, []string) {
	t.Helper()
	a, _ := drivertest.StartBackend(t)
	b, _ := drivertest.StartBackend(t)
	dead, stop := drivertest.StartBackend(t)
	stop()
	addrs := []string{a, b, dead}
	s := haproxytest.Start(t, haproxytest.Options{
		Servers: addrs, Params: "check inter 50ms fall 2 rise 2 weight 20",
		More: "backend follows\n    cookie C insert\n    server x " + a + " track app/s1 cookie c1\n    server y localhost:1 backup\n    server z " + a + " disabled\n",
	})
	return s, haproxyapi.Open(localHost(t), s.Sockets[0]), addrs
}

func servers(t *testing.T, api *haproxyapi.API) map[string]haproxyapi.Server {
	t.Helper()
	all, err := api.Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]haproxyapi.Server{}
	for _, s := range all {
		out[s.Subject()] = s
	}
	return out
}

// eventually polls until ok, for the time that a loaded machine may need.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-limit:
			t.Fatalf("%s: not so after 20 s", what)
		case <-tick.C:
		}
	}
}

func TestServersAreTold(t *testing.T) {
	_, api, addrs := start(t)
	eventually(t, "the dead server is down", func() bool { return servers(t, api)["app/s3"].Status == "DOWN" })
	eventually(t, "the live server is checked", func() bool { return servers(t, api)["app/s1"].CheckStatus == "L4OK" })
	got := servers(t, api)
	if len(got) != 6 {
		t.Errorf("%d servers: %v", len(got), got)
	}
	want := haproxyapi.Server{Backend: "app", Name: "s1", Addr: addrs[0], Status: "UP", Receives: true, Weight: 20, CheckStatus: "L4OK"}
	if got["app/s1"] != want {
		t.Errorf("s1 is %+v, not %+v", got["app/s1"], want)
	}
	if s := got["app/s3"]; s.Receives || s.CheckStatus != "L4CON" {
		t.Errorf("the dead server is %+v", s)
	}
	if s := got["follows/x"]; s.Tracks != "app/s1" || s.Cookie != "c1" {
		t.Errorf("the server that tracks is %+v", s)
	}
	if s := got["follows/y"]; !s.Backup || !s.Receives || s.Status != "no check" || s.FQDN != "localhost" {
		t.Errorf("the backup is %+v", s)
	}
	if s := got["follows/z"]; s.Receives || s.Status != "MAINT" || !s.Admin.Has(haproxyapi.ConfiguredMaint) {
		t.Errorf("the disabled server is %+v", s)
	}
}

func TestAStateIsSetAndSeen(t *testing.T) {
	_, api, _ := start(t)
	for state, receives := range map[string]bool{haproxyapi.Drain: false, haproxyapi.Ready: true} {
		for range 2 {
			if err := api.SetState(t.Context(), "app", "s1", haproxyapi.Drain); err != nil {
				t.Fatal(err)
			}
			if err := api.SetState(t.Context(), "app", "s1", state); err != nil {
				t.Fatal(err)
			}
		}
		got := servers(t, api)
		if s := got["app/s1"]; s.Receives != receives || s.Admin.Has(haproxyapi.ForcedDrain) == receives {
			t.Errorf("after %s: %+v", state, s)
		}
		if s := got["follows/x"]; s.Receives != receives || s.Admin.Has(haproxyapi.InheritedDrain) == receives {
			t.Errorf("the server that tracks it, after %s: %+v", state, s)
		}
	}
}

func TestADrainedServerThatDiesIsDownAndStillDrained(t *testing.T) {
	_, api, _ := start(t)
	if err := api.SetState(t.Context(), "app", "s3", haproxyapi.Drain); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its check fails", func() bool { return servers(t, api)["app/s3"].Status == "DOWN" })
	if s := servers(t, api)["app/s3"]; !s.Admin.Has(haproxyapi.ForcedDrain) {
		t.Errorf("%+v", s)
	}
}

func TestWhatHAProxySaysIsTheError(t *testing.T) {
	s, api, _ := start(t)
	user := haproxyapi.Open(localHost(t), s.UserLevel)
	for name, c := range map[string]struct {
		err  error
		code deploy.Code
		says string
	}{
		"an unknown server":  {api.SetState(t.Context(), "app", "s9", haproxyapi.Drain), deploy.CodeNotFound, "app/s9"},
		"an unknown backend": {api.SetState(t.Context(), "nope", "s1", haproxyapi.Drain), deploy.CodeNotFound, "nope/s1"},
		"a lower level":      {user.SetState(t.Context(), "app", "s1", haproxyapi.Drain), deploy.CodeRefused, "level admin"},
		"maintenance":        {api.SetState(t.Context(), "app", "s1", "maint"), deploy.CodeInvalid, "ready or drain"},
		"a second command":   {api.SetState(t.Context(), "app", "s1 state ready;shutdown sessions server app/s1", haproxyapi.Drain), deploy.CodeInvalid, "letters"},
		"a line break":       {api.SetState(t.Context(), "app\nshow info", "s1", haproxyapi.Drain), deploy.CodeInvalid, "letters"},
		"an empty name":      {api.SetState(t.Context(), "app", "", haproxyapi.Drain), deploy.CodeInvalid, "letters"},
	} {
		if deploy.CodeOf(c.err) != c.code || !strings.Contains(deploy.MessageOf(c.err), c.says) {
			t.Errorf("%s: %v (code %s), want code %s and %q", name, c.err, deploy.CodeOf(c.err), c.code, c.says)
		}
	}
	if got := servers(t, user)["app/s1"]; !got.Receives {
		t.Errorf("%+v", got)
	}
}

func TestADumpIsWhatHAProxyLoads(t *testing.T) {
	_, api, _ := start(t)
	if err := api.SetState(t.Context(), "app", "s2", haproxyapi.Drain); err != nil {
		t.Fatal(err)
	}
	d, err := api.Dump(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, err := haproxyapi.ParseDump(d.String())
	if err != nil || again.String() != d.String() {
		t.Errorf("%v\n%s\nis not\n%s", err, again, d)
	}
	i := slices.IndexFunc(d.Rows(), func(r haproxyapi.Row) bool { return r.Admin().Has(haproxyapi.ForcedDrain) })
	if i < 0 || d.Rows()[i].Subject() != "app/s2" {
		t.Errorf("the drained row is not in\n%s", d)
	}
	none := d.With(nil).String()
	if strings.Contains(none, "app") || strings.Count(none, "\n") != 2 || !strings.HasPrefix(none, "1\n# be_id be_name") {
		t.Errorf("without rows: %q", none)
	}
}

func TestASocketThatNobodyAnswersOnIsUnavailable(t *testing.T) {
	dir := t.TempDir()
	api := haproxyapi.Open(localHost(t), filepath.Join(dir, "none"))
	if _, err := api.Servers(t.Context()); deploy.CodeOf(err) != deploy.CodeUnavailable || !strings.Contains(deploy.MessageOf(err), "stats socket") {
		t.Errorf("%v", err)
	}
}

// accept listens as HAProxy does and answers each connection with a text; keep: never closes it.
func accept(t *testing.T, text string, after func(net.Conn)) *haproxyapi.API {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			_, _ = conn.Read(buf)
			_, _ = conn.Write([]byte(text))
			after(conn)
		}
	}()
	return haproxyapi.Open(localHost(t), path)
}

func TestACommandThatWasSentIsAwaitedAlsoByACallerWhoLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		sent   bool
	}{"it is answered": {"\n", false}, "it is not": {"", true}} {
		t.Run(name, func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			api := acceptSlowly(t, leave, c.answer)
			err := api.SetState(ctx, "app", "s1", haproxyapi.Drain)
			if (err != nil) != c.sent || errors.Is(err, haproxyapi.ErrUnanswered) != c.sent {
				t.Errorf("%v", err)
			}
			if err := api.SetState(ctx, "app", "s1", haproxyapi.Drain); deploy.CodeOf(err) != deploy.CodeCancelled || errors.Is(err, haproxyapi.ErrUnanswered) {
				t.Errorf("after the caller left: %v", err)
			}
		})
	}
}

// acceptSlowly answers after the caller has left; without an answer it keeps
// the connection open.
func acceptSlowly(t *testing.T, leave func(), answer string) *haproxyapi.API {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 4096)
		_, _ = conn.Read(buf)
		leave()
		if _, _ = conn.Write([]byte(answer)); answer == "" {
			_, _ = conn.Read(buf) // until the caller hangs up
		}
	}()
	return haproxyapi.Open(localHost(t), path)
}

func hangUp(c net.Conn) { c.Close() }

func TestAPeerThatSaysNothingCostsTheDeadlineAndNoMore(t *testing.T) {
	api := accept(t, "", func(c net.Conn) { t.Cleanup(func() { c.Close() }) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := api.Servers(ctx); deploy.CodeOf(err) != deploy.CodeTimeout {
		t.Errorf("at the caller's deadline: %v", err)
	}
	if err := api.SetState(ctx, "app", "s1", haproxyapi.Drain); deploy.CodeOf(err) != deploy.CodeTimeout {
		t.Errorf("after the caller's deadline: %v", err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	if _, err := api.Servers(t.Context()); deploy.CodeOf(err) != deploy.CodeUnavailable {
		t.Errorf("without a deadline: %v", err)
	}
}

func TestAConnectionThatEndsWithoutAnAnswerIsNoSuccess(t *testing.T) {
	if err := accept(t, "", hangUp).SetState(t.Context(), "app", "s1", haproxyapi.Drain); deploy.CodeOf(err) != deploy.CodeUnavailable {
		t.Errorf("%v", err)
	}
}

func TestAnotherProgramOnTheSocketIsToldApart(t *testing.T) {
	for _, text := range []string{"hello\n", "\n", "220 mail\r\n\n", "# pxname,\"svname\nx\n\n"} {
		api := accept(t, text, hangUp)
		if _, err := api.Servers(t.Context()); deploy.CodeOf(err) != deploy.CodeFailed {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := api.Dump(t.Context()); deploy.CodeOf(err) != deploy.CodeFailed {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := accept(t, "what?\n\n", hangUp).SetState(t.Context(), "app", "s1", haproxyapi.Drain); deploy.CodeOf(err) != deploy.CodeFailed || !strings.Contains(deploy.MessageOf(err), "what?") {
		t.Errorf("%v", err)
	}
}

func FuzzAnyDumpIsReadOrRefused(f *testing.F) {
	f.Add("1\n# be_name srv_name srv_admin_state\nbe a 8\n")
	f.Fuzz(func(t *testing.T, state string) {
		d, err := haproxyapi.ParseDump(state)
		if err != nil {
			return
		}
		again, err := haproxyapi.ParseDump(d.String())
		if err != nil || again.String() != d.String() {
			t.Errorf("%q became %q", state, d)
		}
		for _, r := range d.Rows() {
			_ = r.Subject()
			_ = r.Admin()
		}
	})
}

func TestANameIsOfAFewCharactersAndHasItsLength(t *testing.T) {
	for name, want := range map[string]bool{
		"app/web": false, "": false, "a b": false, "a;b": false, "a\n": false, strings.Repeat("a", 257): false,
		"be_app.1:8080-x": true, strings.Repeat("a", 256): true,
	} {
		if haproxyapi.ValidName(name) != want {
			t.Errorf("%.40q: %v", name, !want)
		}
	}
}
