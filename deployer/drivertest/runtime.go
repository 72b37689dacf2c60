package drivertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// RuntimeRig is a runtime driver with what its contract needs. The host is this
// machine, however it is reached: the contract looks at its processes itself.
type RuntimeRig struct {
	Runtime  deployer.Runtime
	Host     deployer.Host
	Stage    func(t *testing.T, s deploy.Step)  // fills s.Dir with the app; RuntimeStep did the rest
	Ready    string                             // path that answers 200 once the app is up
	Slow     string                             // path that sends its header at once and its body, ending in "done", later
	Stubborn func(t *testing.T, s *deploy.Step) // makes the app ignore SIGTERM; nil: it cannot
	Extra    func(t *testing.T, s deploy.Step)  // checks of the driver's own on a running slot; may be nil
	Boot     time.Duration                      // the app's longest boot
	Cuts     int                                // how often a start is cut; each costs a boot at most
}

// Runtime is the contract of a runtime driver: twice is once, cut anywhere and
// repeated it converges, what it observes is true, and nobody else's process is
// ever touched.
func Runtime(t *testing.T, rig RuntimeRig) {
	t.Run("a slot where nothing was started shows nothing and stops at once", rig.empty)
	t.Run("a started slot is observed as it is, twice is once, and another release waits for its stop", rig.lifecycle)
	t.Run("two starts at once leave one process", rig.together)
	t.Run("a start that is cut anywhere and repeated leaves one process", rig.cut)
	t.Run("a foreign process on the port is named and left alone", rig.foreign)
	t.Run("stop lets a request in flight finish", rig.graceful)
	t.Run("stop kills what ignores it", rig.stubborn)
	t.Run("a process that died is gone and can be started anew", rig.crashed)
	t.Run("an ended context returns promptly, with its code", rig.ended)
	t.Run("every error carries a code", rig.coded)
}

func (rig RuntimeRig) empty(t *testing.T) {
	s := rig.step(t)
	if i := rig.observe(t, s); i.Running() || i.PortPID != 0 || i.PortStarted != "" || i.Key != "" || i.Release != "" {
		t.Errorf("an empty slot shows %+v", i)
	}
	rig.stop(t, s)
}

func (rig RuntimeRig) lifecycle(t *testing.T) {
	s := rig.step(t)
	spy := &runtimeSpy{Host: rig.Host}
	if err := rig.Runtime.Start(t.Context(), spy, s); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(spy.argv(), s.Env["RUNTIME_SECRET"]) {
		t.Error("the app's environment was in an argv")
	}
	up := rig.up(t, s)
	if up.Release != s.Release.SHA256 || up.Key != s.Release.Key() || up.Slot != s.Slot || up.Started != runtimeStarted(t, up.PID) || up.Command != "" || up.PortStarted != "" {
		t.Errorf("the running slot shows %+v", up)
	}
	rig.detached(t, up)
	if rig.Extra != nil {
		rig.Extra(t, s)
	}
	rig.start(t, s)
	if again := rig.observe(t, s); again.PID != up.PID || again.Started != up.Started {
		t.Errorf("a second start made %d of %d", again.PID, up.PID)
	}
	next := rig.next(t, s)
	if err := rig.Runtime.Start(t.Context(), rig.Host, next); deploy.CodeOf(err) != deploy.CodeConflict {
		t.Errorf("another release on a running slot: %v, want %s", err, deploy.CodeConflict)
	}
	rig.stop(t, s)
	if i := rig.observe(t, s); i.Running() || i.PortPID != 0 || i.Key != "" {
		t.Errorf("a stopped slot shows %+v", i)
	}
	rig.stop(t, s)
	rig.start(t, next)
	if i := rig.up(t, next); i.Key != next.Release.Key() || i.Release != next.Release.SHA256 {
		t.Errorf("the next release shows %+v", i)
	}
}

// detached: neither a child of this process nor in its session.
func (rig RuntimeRig) detached(t *testing.T, i deploy.Instance) {
	t.Helper()
	ppid, session := runtimeStat(t, i.PID)
	_, own := runtimeStat(t, os.Getpid())
	if ppid == os.Getpid() || session == own {
		t.Errorf("the app's parent is %d and its session %d: it would end with this process", ppid, session)
	}
}

func (rig RuntimeRig) together(t *testing.T) {
	s := rig.step(t)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for n := range errs {
		wg.Go(func() { errs[n] = rig.Runtime.Start(t.Context(), rig.Host, s) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	rig.one(t, s)
}

func (rig RuntimeRig) cut(t *testing.T) {
	s := rig.step(t)
	began := time.Now()
	rig.start(t, s)
	whole := time.Since(began)
	rig.stop(t, s)
	for range rig.Cuts {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.Int64N(int64(whole))))
		err := rig.Runtime.Start(ctx, rig.Host, s)
		cancel()
		if err != nil && deploy.CodeOf(err) != deploy.CodeTimeout {
			t.Fatalf("a start that was cut: %v", err)
		}
		rig.start(t, s)
		rig.one(t, s)
		rig.cutStop(t, s, whole)
		if left := runtimeProcesses(t, s); len(left) > 0 {
			t.Fatalf("processes %v are left after the stop", left)
		}
	}
}

func (rig RuntimeRig) cutStop(t *testing.T, s deploy.Step, whole time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.Int64N(int64(whole))))
	defer cancel()
	if err := rig.Runtime.Stop(ctx, rig.Host, s); err != nil && deploy.CodeOf(err) != deploy.CodeTimeout {
		t.Fatalf("a stop that was cut: %v", err)
	}
	rig.stop(t, s)
}

func (rig RuntimeRig) foreign(t *testing.T) {
	s := rig.step(t)
	l, err := net.Listen("tcp", runtimeAddr(s))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = rig.Runtime.Start(t.Context(), rig.Host, s)
	if deploy.CodeOf(err) != deploy.CodeForeign || !strings.Contains(deploy.MessageOf(err), strconv.Itoa(os.Getpid())) {
		t.Errorf("start on a taken port: %v, want %s naming pid %d", err, deploy.CodeForeign, os.Getpid())
	}
	i := rig.observe(t, s)
	if !i.Foreign() || i.PortPID != os.Getpid() || i.PortStarted != runtimeStarted(t, os.Getpid()) || i.Running() || !strings.Contains(i.Command, filepath.Base(os.Args[0])) {
		t.Errorf("a taken port shows %+v", i)
	}
	err = rig.Runtime.Stop(t.Context(), rig.Host, s)
	if err != nil && (deploy.CodeOf(err) != deploy.CodeForeign || !strings.Contains(deploy.MessageOf(err), strconv.Itoa(os.Getpid()))) {
		t.Errorf("stop beside a foreign process: %v", err)
	}
	if i := rig.observe(t, s); i.PortPID != os.Getpid() {
		t.Errorf("after the stop the port shows %+v", i)
	}
}

func (rig RuntimeRig) graceful(t *testing.T) {
	s := rig.step(t)
	s.Stop = deploy.Duration(20 * time.Second)
	rig.start(t, s)
	rig.up(t, s)
	answer, err := rig.client().Get("http://" + runtimeAddr(s) + rig.Slow)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- rig.Runtime.Stop(t.Context(), rig.Host, s) }()
	body, err := io.ReadAll(answer.Body)
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(body)), "done") {
		t.Errorf("the request in flight got %q, %v", body, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if left := runtimeProcesses(t, s); len(left) > 0 {
		t.Errorf("processes %v are left after the stop", left)
	}
}

func (rig RuntimeRig) stubborn(t *testing.T) {
	if rig.Stubborn == nil {
		t.Logf("the driver's app cannot ignore SIGTERM: the driver's own tests cover the kill")
		return
	}
	s := rig.step(t)
	rig.Stubborn(t, &s)
	s.Stop = deploy.Duration(300 * time.Millisecond)
	rig.start(t, s)
	rig.up(t, s)
	began := time.Now()
	rig.stop(t, s)
	if took := time.Since(began); took < s.Stop.D() || took > s.Stop.D()+5*time.Second {
		t.Errorf("the stop took %s, its limit is %s", took, s.Stop)
	}
	if left := runtimeProcesses(t, s); len(left) > 0 {
		t.Errorf("processes %v are left after the stop", left)
	}
}

func (rig RuntimeRig) crashed(t *testing.T) {
	s := rig.step(t)
	rig.start(t, s)
	first := rig.up(t, s)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	runtimeEventually(t, 10*time.Second, func() error {
		if i := rig.observe(t, s); i.Running() || i.PortPID != 0 || i.Release != "" {
			return fmt.Errorf("a killed process shows %+v", i)
		}
		return nil
	})
	rig.start(t, s)
	if second := rig.up(t, s); second.PID == first.PID && second.Started == first.Started {
		t.Errorf("process %d was killed and is shown again", first.PID)
	}
}

func (rig RuntimeRig) ended(t *testing.T) {
	s := rig.step(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range rig.calls(rig.Host, s) {
		began := time.Now()
		if err := call(ctx); deploy.CodeOf(err) != deploy.CodeCancelled {
			t.Errorf("%s with an ended context: %v, want %s", name, err, deploy.CodeCancelled)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s with an ended context took %s", name, took)
		}
	}
	if left := runtimeProcesses(t, s); len(left) > 0 {
		t.Errorf("processes %v were started", left)
	}
}

func (rig RuntimeRig) coded(t *testing.T) {
	s := rig.step(t)
	for name, call := range rig.calls(runtimeGone{}, s) {
		var e *deploy.Error
		if err := call(t.Context()); !errors.As(err, &e) || e.Code != deploy.CodeUnavailable || e.Op == "" || e.Subject != string(s.Slot) {
			t.Errorf("%s on a host that is gone: %v, want %s with operation and slot", name, err, deploy.CodeUnavailable)
		}
	}
	unstaged := s
	unstaged.Dir = filepath.Join(t.TempDir(), "absent")
	var e *deploy.Error
	if err := rig.Runtime.Start(t.Context(), rig.Host, unstaged); !errors.As(err, &e) || e.Message == "" {
		t.Errorf("start without a release's folder: %v, want an error with a message", err)
	}
}

func (rig RuntimeRig) calls(h deployer.Host, s deploy.Step) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"start": func(ctx context.Context) error { return rig.Runtime.Start(ctx, h, s) },
		"stop":  func(ctx context.Context) error { return rig.Runtime.Stop(ctx, h, s) },
		"observe": func(ctx context.Context) error {
			_, err := rig.Runtime.Observe(ctx, h, s)
			return err
		},
	}
}
