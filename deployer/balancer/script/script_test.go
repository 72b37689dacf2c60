package script_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/script"
	"ipublish/deployer/host/local"
)

// lb is a balancer of shell: a file a host, whose content is what status prints.
// It writes down every change that it was asked for.
const lb = `#!/bin/sh
cd "$(dirname "$0")"
case $1 in
  status) cat "$2" ;;
  out) echo "out $2 $3" >> log; echo down > "new.$$" && mv "new.$$" "$2" ;;
  in) echo "in $2 $3" >> log; echo up > "new.$$" && mv "new.$$" "$2" ;;
  ignore) echo "ignore $2" >> log ;;
  fail) echo "the console is closed" >&2; exit 3 ;;
  hang) exec sleep 60 ;;
esac
`

type rig struct {
	dir     string
	program string
}

func newRig(t *testing.T, hosts ...string) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir()}
	r.program = filepath.Join(r.dir, "lb")
	write(t, r.program, lb, 0o755)
	for _, h := range hosts {
		r.is(t, h, "up\n")
	}
	return r
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// is lets status print a text of a host.
func (r *rig) is(t *testing.T, host, text string) {
	t.Helper()
	write(t, filepath.Join(r.dir, host), text, 0o644)
}

// log is what the balancer was asked to change.
func (r *rig) log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "log"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", ", ")
}

func (r *rig) open(t *testing.T, change map[string]any) deployer.Balancer {
	t.Helper()
	all := map[string]any{
		"out": []string{r.program, "out", "{host}", "{label:pool}/{address}:{port} {addr} {slot}"}, "in": []string{r.program, "in", "{host}", "{addr}"},
		"status": []string{r.program, "status", "{host}"},
	}
	for key, value := range change {
		all[key] = value
	}
	section, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	b, err := script.New(section, machine)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func machine(string) (deployer.Host, error) { return local.New(nil) }

func target(name string) deploy.Endpoint {
	return deploy.Endpoint{Host: deploy.HostID(name), Slot: deploy.Main, Addr: "10.0.0." + name[len("web-"):] + ":9001", Labels: map[string]string{"pool": "be"}}
}

func out(names ...string) deploy.Step {
	s := deploy.Step{Op: deploy.OpOut}
	for _, n := range names {
		s.Targets = append(s.Targets, target(n))
	}
	return s
}

func in(names ...string) deploy.Step {
	s := out(names...)
	s.Op = deploy.OpIn
	for i := range s.Targets {
		s.Targets[i].Up = true
	}
	return s
}

func TestAHostGoesOutAndComesBack(t *testing.T) {
	r := newRig(t, "web-1", "web-2")
	b := r.open(t, nil)
	for _, s := range []deploy.Step{out("web-1"), out("web-1"), in("web-1"), in("web-1")} {
		if err := b.Route(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := r.log(t), "out web-1 be/10.0.0.1:9001 10.0.0.1:9001 {slot}, in web-1 10.0.0.1:9001"; got != want {
		t.Errorf("it ran %q, not %q", got, want)
	}
}

func TestWhatStatusSaysIsTheEvidence(t *testing.T) {
	r := newRig(t, "web-1", "web-2", "web-3", "web-4")
	r.is(t, "web-2", "  down since yesterday\n")
	r.is(t, "web-3", "UP\n")
	r.is(t, "web-4", "\n")
	ev, err := r.open(t, nil).Observe(t.Context(), out("web-4", "web-3", "web-2", "web-1"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(ev.Traffic.Up, ev.Traffic.Down); got != "[10.0.0.1:9001] [10.0.0.2:9001]" {
		t.Error(got)
	}
	want := `status of balancer.script said "" of web-4, which is neither up nor down; status of balancer.script said "UP" of web-3, which is neither up nor down`
	if ev.Note != want || ev.Traffic.InFlight["10.0.0.1:9001"] != -1 || ev.Traffic.Settle != 0 {
		t.Errorf("note %q, in flight %v, settle %s", ev.Note, ev.Traffic.InFlight, ev.Traffic.Settle)
	}
}

func TestAProgramThatDoesNothingIsNotBelieved(t *testing.T) {
	r := newRig(t, "web-1")
	b := r.open(t, map[string]any{"out": []string{r.program, "ignore", "{host}"}})
	for range 2 { // status does not agree: it is run again
		if err := b.Route(t.Context(), out("web-1")); err != nil {
			t.Fatal(err)
		}
	}
	ev, err := b.Observe(t.Context(), out("web-1"))
	if err != nil || len(ev.Traffic.Up) != 1 || len(ev.Traffic.Down) != 0 {
		t.Errorf("%v, %+v", err, ev.Traffic)
	}
	if got := r.log(t); got != "ignore web-1, ignore web-1" {
		t.Error(got)
	}
}

func TestAProgramThatFailsIsNamedWithWhatItSaid(t *testing.T) {
	for _, key := range []string{"out", "status"} {
		t.Run(key, func(t *testing.T) {
			r := newRig(t, "web-1")
			b := r.open(t, map[string]any{key: []string{r.program, "fail", "{host}", "--token=hunter2"}})
			err := b.Route(t.Context(), out("web-1"))
			if deploy.CodeOf(err) != deploy.CodeFailed {
				t.Fatal(err)
			}
			want := r.program + " of balancer.script failed for web-1: exit status 3: the console is closed"
			if deploy.MessageOf(err) != want || !strings.Contains(deploy.AsError(err).Log, "the console is closed") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s, log %q, chain %v", deploy.MessageOf(err), deploy.AsError(err).Log, err)
			}
		})
	}
	r := newRig(t, "web-1")
	b := r.open(t, map[string]any{"status": []string{r.program, "fail"}})
	if _, err := b.Observe(t.Context(), out("web-1")); deploy.CodeOf(err) != deploy.CodeFailed {
		t.Error(err)
	}
}

func TestOneHostsFailureDoesNotStopTheOthers(t *testing.T) {
	r := newRig(t, "web-1", "web-3")
	b := r.open(t, nil)
	err := b.Route(t.Context(), out("web-1", "web-2", "web-3")) // nothing is known of web-2
	if deploy.CodeOf(err) != deploy.CodeFailed || !strings.Contains(deploy.MessageOf(err), "web-2") {
		t.Fatal(err)
	}
	ev, err := b.Observe(t.Context(), out("web-1", "web-3"))
	if err != nil || len(ev.Traffic.Down) != 2 {
		t.Errorf("%v, %+v", err, ev.Traffic)
	}
}

func TestAMissingLabelIsFoundBeforeAnythingRuns(t *testing.T) {
	r := newRig(t, "web-1", "web-2")
	s := out("web-1", "web-2")
	s.Targets[1].Labels = nil
	err := r.open(t, nil).Route(t.Context(), s)
	if deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), "web-2 has no label pool: add labels: { pool: … }") {
		t.Error(err)
	}
	if got := r.log(t); got != "" {
		t.Errorf("it ran %q", got)
	}
}

func TestAProgramThatDoesNotEndIsTimedOut(t *testing.T) {
	r := newRig(t, "web-1")
	b := r.open(t, map[string]any{"status": []string{r.program, "hang"}, "timeout": "200ms"})
	began := time.Now()
	_, err := b.Observe(t.Context(), out("web-1"))
	if deploy.CodeOf(err) != deploy.CodeTimeout || !strings.Contains(deploy.MessageOf(err), "did not end within 200ms for web-1") || time.Since(began) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

func TestACancelledContextReturnsPromptly(t *testing.T) {
	r := newRig(t, "web-1")
	b := r.open(t, map[string]any{"out": []string{r.program, "hang"}})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := b.Route(ctx, out("web-1")); deploy.CodeOf(err) != deploy.CodeTimeout || time.Since(began) > 3*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

func TestManyHostsAreAskedAFewAtOnce(t *testing.T) {
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprintf("web-%d", i+1))
	}
	r := newRig(t, names...)
	b := r.open(t, nil)
	if err := b.Route(t.Context(), out(names...)); err != nil {
		t.Fatal(err)
	}
	ev, err := b.Observe(t.Context(), out(names...))
	if err != nil || len(ev.Traffic.Down) != 30 {
		t.Errorf("%v, %+v", err, ev.Traffic)
	}
}

func TestNothingIsReadByAShell(t *testing.T) {
	r := newRig(t, "web-1")
	s := out("web-1")
	s.Targets[0].Labels["pool"] = "$(touch owned); {host} `id`"
	if err := r.open(t, nil).Route(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if got := r.log(t); !strings.Contains(got, "$(touch owned); {host} `id`/10.0.0.1:9001") {
		t.Error(got)
	}
}

func TestASectionThatCannotBeRightIsRefusedWithWhatToWrite(t *testing.T) {
	for section, want := range map[string]string{
		`{"in": ["a"], "status": ["a"]}`:                                          "out is missing: name a program",
		`{"out": ["a"], "in": [""], "status": ["a"]}`:                             "in is missing",
		`{"out": ["a"], "in": ["a"]}`:                                             "status is missing",
		`{"out": ["a"], "in": ["a"], "status": ["a"], "shell": true}`:             "the keys of balancer.script are",
		`{"out": ["a", "b\u0000"], "in": ["a"], "status": ["a"]}`:                 "NUL byte",
		`{"out": ["a"], "in": ["a"], "status": ["a"], "timeout": "0s"}`:           "timeout is 0",
		`{"out": ["a"], "in": ["a"], "status": ["a"], "timeout": "soon"}`:         "soon",
		`{"out": ["a"], "in": ["a"], "status": ["a"], "host": ["not", "a name"]}`: "host",
	} {
		_, err := script.New(json.RawMessage(section), machine)
		if deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), want) {
			t.Errorf("%s: %v", section, err)
		}
	}
}

func TestTheProgramsRunOnTheNamedMachine(t *testing.T) {
	var asked []string
	for _, section := range []string{`{"out": ["a"], "in": ["a"], "status": ["a"]}`, `{"out": ["a"], "in": ["a"], "status": ["a"], "host": "lb-1"}`} {
		_, err := script.New(json.RawMessage(section), func(name string) (deployer.Host, error) {
			asked = append(asked, name)
			return local.New(nil)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(asked) != "[local lb-1]" {
		t.Error(asked)
	}
}
