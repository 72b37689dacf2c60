package nginx_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/nginx"
	"ipublish/deployer/balancer/nginxtest"
	"ipublish/deployer/drivertest"
)

func TestNginxKeepsTheContractOfABalancer(t *testing.T) {
	r := newRig(t, nil)
	drivertest.Balancer(t, drivertest.BalancerRig{
		Open:    func(*testing.T) deployer.Balancer { return r.open(map[string]any{"extra": []string{"keepalive 32"}}) },
		URL:     r.server.URL,
		Targets: r.step(r.a).Targets,
		Stop:    func(addr string) { r.stop[addr]() },
	})
}

func TestTheEvidenceIsWhatNginxAnswersAndTheFileAsItStands(t *testing.T) {
	r := newRig(t, nil)
	if before := r.observe(r.a); before.Up != nil || before.Generation != "" || before.SHA256 != "" || before.Edited {
		t.Errorf("before the first route: %+v", before)
	}
	r.route(r.a)
	got := r.observe(r.a)
	if got.File != r.server.Include || string(got.Previous) != r.include() || got.Measured {
		t.Errorf("evidence of the file: %+v", got)
	}
	if len(got.Up) != 1 || got.Up[0] != r.a || len(got.Down) != 1 || got.Down[0] != r.b || got.InFlight[r.b] != 0 {
		t.Errorf("evidence of the traffic: %+v", got)
	}
	if err := os.WriteFile(r.server.Include, []byte("# changed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	edited := r.observe(r.a)
	if !edited.Edited || edited.Up[0] != r.a || edited.Generation != got.Generation {
		t.Errorf("after an edit that nginx has not loaded: %+v", edited)
	}
}

func TestAnEditedFileIsDriftAndNothingIsWritten(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	edited := strings.Replace(r.include(), "weight=1 max_fails=0 down", "weight=7 max_fails=0 down", 1)
	if err := os.WriteFile(r.server.Include, []byte(edited), 0o644); err != nil {
		t.Fatal(err)
	}
	r.refused(r.b, deploy.CodeDrift, r.server.Include, "weight=7", "what ipublish left", "accept", "server_params")
	if r.include() != edited || len(r.leftovers()) != 0 {
		t.Errorf("something was written: %q, %v", r.include(), r.leftovers())
	}
	r.serves(r.a)

	r.known = r.observe(r.a).SHA256 // what accept does
	r.route(r.b)
	r.serves(r.b)
}

func TestARemovedFileIsDrift(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	if err := os.Remove(r.server.Include); err != nil {
		t.Fatal(err)
	}
	r.refused(r.b, deploy.CodeDrift, "is gone")
	if r.include() != "" {
		t.Error("the file was written")
	}
}

func TestAFileThatIpublishNeverWroteIsLeftAlone(t *testing.T) {
	r := newRig(t, nil)
	r.server.Write("ipublish/shop_production.conf", "# mine\n")
	r.refused(r.a, deploy.CodeDrift, "not ipublish's own")
	if r.include() != "# mine\n" {
		t.Error("the file was written")
	}
}

func TestALinkInThePlaceOfTheFileIsRefused(t *testing.T) {
	r := newRig(t, nil)
	if err := os.Symlink("/etc/hostname", r.server.Include); err != nil {
		t.Fatal(err)
	}
	r.refused(r.a, deploy.CodeRefused, "not a plain file")
}

func TestAForeignUpstreamOfTheNameThatComesLaterIsRefused(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.b)
	path := r.server.Write("ipublish/site.conf", "upstream shop_production { server "+r.a+"; }\n")
	r.refused(r.a, deploy.CodeRefused, "stands in two files", path)
	r.serves(r.b)
}

func TestSomebodyElsesBrokenFileStopsTheSwitchBeforeAnythingIsWritten(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	was := r.include()
	path := r.server.Write("ipublish/z.conf", "# other\nserver { no_such_directive on; }\n")
	r.refused(r.b, deploy.CodeFailed, path+":2", "no_such_directive", "nothing was switched")
	if r.include() != was || len(r.leftovers()) != 1 {
		t.Errorf("the file changed, or %v were left", r.leftovers())
	}
	r.serves(r.a)

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.route(r.b)
	r.serves(r.b)
}

func TestSomebodyElsesBrokenFileAtTheFirstRouteLeavesNoFile(t *testing.T) {
	r := newRig(t, nil)
	path := r.server.Write("ipublish/z.conf", "server { no_such_directive on; }\n")
	r.refused(r.b, deploy.CodeFailed, path+":1", "nothing was switched")
	if r.include() != "" || len(r.leftovers()) != 1 {
		t.Errorf("left behind: %q, %v", r.include(), r.leftovers())
	}
	r.serves(r.a)
}

func TestADirectiveThatNginxRefusesGivesTheOldBytesBack(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	was := r.include()
	r.driver = r.open(map[string]any{"extra": []string{"no_such_directive 1"}})
	r.refused(r.b, deploy.CodeFailed, "no_such_directive", "correct extra", "in force")
	if r.include() != was || len(r.leftovers()) != 0 {
		t.Errorf("the old bytes are not back, or %v were left", r.leftovers())
	}
	r.serves(r.a)
}

func TestAReloadThatDoesNothingIsNoticedAndGivenBack(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	was := r.include()
	r.driver = r.open(map[string]any{"reload": []string{"true"}, "reload_timeout": "300ms"})
	r.refused(r.b, deploy.CodeFailed, "did not take the new table", "old workers still accept", "in force")
	if r.include() != was || len(r.leftovers()) != 0 {
		t.Errorf("the old bytes are not back, or %v were left", r.leftovers())
	}
	r.serves(r.a)
	r.driver = r.open(nil)
	r.route(r.b)
	r.serves(r.b)
}

func TestAGenerationPortThatSomebodyHoldsIsNoticedAndGivenBack(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	was := r.include()
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	r.driver = r.open(map[string]any{"generation_listen": held.Addr().String(), "reload_timeout": "1s"})
	r.refused(r.b, deploy.CodeFailed, "did not take the new table", held.Addr().String(), "in use")
	if r.include() != was || len(r.leftovers()) != 0 {
		t.Errorf("the old bytes are not back, or %v were left", r.leftovers())
	}
	r.serves(r.a)
	if _, err := r.driver.Observe(t.Context(), r.step(r.a)); deploy.CodeOf(err) != deploy.CodeUnavailable {
		t.Errorf("observing through a port that somebody else holds: %v", err)
	}
}

func TestAReloadCommandThatFailsGivesTheOldBytesBack(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	was := r.include()
	r.driver = r.open(map[string]any{"reload": []string{"sh", "-c", "echo no such luck >&2; exit 3"}, "reload_timeout": "1s"})
	r.refused(r.b, deploy.CodeFailed, "no such luck", "in force")
	if r.include() != was {
		t.Error("the old bytes are not back")
	}
	r.serves(r.a)
}

func TestANewTableThatIsInForceButCannotBeGivenBackIsHeld(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	reloads := 0
	h := faultyHost{Host: localHost(t), before: func(what string) error {
		switch {
		case strings.HasSuffix(what, "-s reload"):
			reloads++
			r.server.Reload()
			return &deploy.Error{Code: deploy.CodeFailed, Err: &deployer.ExitError{Code: 1, Stderr: "cut off"}}
		case reloads > 0 && strings.HasPrefix(what, "put "):
			return &deploy.Error{Code: deploy.CodeFailed, Err: &deployer.ExitError{Code: 1, Stderr: "disk full"}}
		}
		return nil
	}}
	r.driver = openOn(t, r.server, h, nil)
	r.refused(r.b, deploy.CodeHold, "cut off", "disk full", r.server.Include)
}

func TestASwitchInterruptedByALostHostConvergesEitherWay(t *testing.T) {
	for _, to := range []string{"forward", "back"} {
		t.Run(to, func(t *testing.T) {
			r := newRig(t, nil)
			r.route(r.a)
			h := faultyHost{Host: localHost(t), before: func(what string) error {
				if strings.HasSuffix(what, "-s reload") {
					return &deploy.Error{Code: deploy.CodeUnavailable, Err: errors.New("connection lost")}
				}
				return nil
			}}
			r.driver = openOn(t, r.server, h, nil)
			r.refused(r.b, deploy.CodeUnavailable)
			if r.observe(r.b).Edited {
				t.Error("ipublish's own unfinished file counts as edited")
			}
			r.driver = r.open(nil)
			target := map[string]string{"forward": r.b, "back": r.a}[to]
			r.route(target)
			r.serves(target)
			if len(r.leftovers()) != 0 {
				t.Errorf("left behind: %v", r.leftovers())
			}
		})
	}
}

func TestAnInterruptedSwitchThatCannotGoOnGivesTheKnownBytesBack(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	was := r.include()
	ctx, cancel := context.WithCancel(t.Context())
	h := faultyHost{Host: localHost(t), before: func(what string) error {
		if strings.HasSuffix(what, "-s reload") {
			cancel()
		}
		return nil
	}}
	if err := openOn(t, r.server, h, nil).Route(ctx, r.step(r.b)); deploy.CodeOf(err) != deploy.CodeCancelled {
		t.Fatalf("route: %v", err)
	}
	if r.include() == was {
		t.Fatal("the switch was not interrupted half-way")
	}
	r.driver = r.open(map[string]any{"reload": []string{"true"}, "reload_timeout": "300ms"})
	err := r.driver.Route(t.Context(), r.step(r.b))
	if deploy.CodeOf(err) != deploy.CodeFailed || r.include() != was {
		t.Errorf("route: %v; file as known: %v", err, r.include() == was)
	}
	r.serves(r.a)
}

func TestADeadlineInTheMiddleGivesTheOldTableBack(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	was := r.include()
	ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	d := r.open(map[string]any{"reload": []string{"true"}, "reload_timeout": "2s"})
	if err := d.Route(ctx, r.step(r.b)); deploy.CodeOf(err) != deploy.CodeTimeout {
		t.Fatalf("route: %v", err)
	}
	if r.include() != was {
		t.Error("the old bytes are not back")
	}
	r.serves(r.a)
}

func TestWithoutNginxNothingIsWritten(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	was := r.include()
	r.server.Kill()
	r.refused(r.b, deploy.CodeUnavailable, "nginx is not running", r.server.PIDFile)
	if r.include() != was {
		t.Error("the file changed")
	}
	if _, err := r.driver.Observe(t.Context(), r.step(r.b)); deploy.CodeOf(err) != deploy.CodeUnavailable {
		t.Errorf("observe: %v", err)
	}
}

func TestAMissingNginxProgramIsNamed(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	r.driver = r.open(map[string]any{"test": []string{"/nowhere/nginx", "-t"}})
	r.refused(r.b, deploy.CodeFailed, "/nowhere/nginx", "full path")
	r.serves(r.a)
}

func TestTwoUpstreamsShareOneGenerationPort(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	other := r.open(map[string]any{"upstream": "other", "include": r.server.Dir + "/ipublish/a-other.conf"})
	r.server.Write("ipublish/z.conf", "server { listen "+nginxtest.FreeAddr(t)+"; location / { proxy_pass http://other; } }\n")
	addr, _ := drivertest.StartBackend(t)
	step := deploy.Step{Op: deploy.OpRoute, Targets: []deploy.Endpoint{{Addr: addr, Up: true}}}
	if err := other.Route(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	ev, err := other.Observe(t.Context(), step)
	if err != nil || ev.Traffic.Up[0] != addr {
		t.Errorf("the other upstream: %+v, %v", ev.Traffic, err)
	}
	if got := r.observe(r.a); got.Up[0] != r.a {
		t.Errorf("the first upstream: %+v", got)
	}
	r.route(r.b)
	r.serves(r.b)
}

func TestConnectionsOfOthersToTheOldPortAreNotInFlight(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	r.route(r.b)
	conn, err := net.Dial("tcp", r.a)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	eventually(t, "nothing of nginx is in flight to "+r.a, func() bool { return r.observe(r.b).InFlight[r.a] == 0 })
}

func TestTheHostOfASectionIsLocalUnlessNamed(t *testing.T) {
	for section, want := range map[string]string{`{}`: "local", `{"host":"web-1"}`: "web-1", ``: "local"} {
		if got, err := nginx.HostName(json.RawMessage(section)); err != nil || got != want {
			t.Errorf("%s: %q, %v", section, got, err)
		}
	}
	if _, err := nginx.HostName(json.RawMessage(`{"hst":"x"}`)); deploy.CodeOf(err) != deploy.CodeInvalid {
		t.Errorf("an unknown key: %v", err)
	}
}
