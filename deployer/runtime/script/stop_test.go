package script_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/drivertest"
)

func TestAStopWithAPidFileThatWasDeletedNamesWhoStillOwnsThePort(t *testing.T) {
	b := newBench(t, background)
	i := b.up()
	if err := os.Remove(b.path("app.pid")); err != nil {
		t.Fatal(err)
	}
	want := "pid file " + b.path("app.pid") + " is gone, but process " + strconv.Itoa(i.PID) + " (app) owns port " + strconv.Itoa(b.step.Port)
	refused(t, b.tryStop(), deploy.CodeForeign, want)
	refused(t, b.try(), deploy.CodeForeign, want)
	b.section["stop"] = []string{"sh", "-c", "kill " + strconv.Itoa(i.PID)}
	refused(t, b.tryStop(), deploy.CodeForeign, want)
	if seen := b.observe(); seen.PID != 0 || seen.PortPID != i.PID || seen.Owned || seen.Key != "" {
		t.Errorf("it shows %+v", seen)
	}
	if !alive(i.PID) {
		t.Error("it was stopped")
	}
}

func TestNoSIGKILLBeforeTheStopTimeIsOver(t *testing.T) {
	b := newBench(t, background)
	drivertest.RuntimeStubborn(t, &b.step)
	i := b.up()
	b.step.Stop = deploy.Duration(2 * time.Second)
	began := time.Now()
	b.stop()
	if took := time.Since(began); took < b.step.Stop.D() || took > b.step.Stop.D()+5*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if alive(i.PID) || exists(b.path("app.pid")) {
		t.Error("the process or its pid file is left")
	}
}

func TestTheStopProgramHasItsTurnAndIsWaitedFor(t *testing.T) {
	b := newBench(t, background)
	b.program("stop.sh", "#!/bin/sh\necho stopping\nkill $(cat \"$1\")\nsleep 0.5\necho $PORT $SLOT >\"$1.stopped\"\nrm \"$1\"\n")
	b.section["stop"] = []string{b.path("stop.sh"), b.path("app.pid")}
	i := b.up()
	b.stop()
	if alive(i.PID) || b.read("app.pid.stopped") != strconv.Itoa(b.step.Port)+" main\n" {
		t.Errorf("it is left, or its stop program: %q", b.read("app.pid.stopped"))
	}
}

func TestAStopProgramThatHangsIsEndedWhenTheTimeIsOverAndTheApplicationToo(t *testing.T) {
	b := newBench(t, background)
	b.program("stop.sh", "#!/bin/sh\necho $$ >\"$1.stopper\"\nsleep 600\n")
	b.section["stop"] = []string{b.path("stop.sh"), b.path("app.pid")}
	i := b.up()
	b.step.Stop = deploy.Duration(time.Second)
	began := time.Now()
	b.stop()
	if took := time.Since(began); took < time.Second || took > 6*time.Second {
		t.Errorf("the stop took %s", took)
	}
	stopper, err := strconv.Atoi(strings.TrimSpace(b.read("app.pid.stopper")))
	if err != nil || alive(i.PID) || alive(stopper) {
		t.Errorf("process %d or its stop program %d is left, %v", i.PID, stopper, err)
	}
}

func TestAStopProgramThatFailsIsFollowedBySIGTERMAtOnce(t *testing.T) {
	b := newBench(t, background)
	b.section["stop"] = []string{"false"}
	i := b.up()
	b.step.Stop = deploy.Duration(15 * time.Second)
	began := time.Now()
	b.stop()
	if took := time.Since(began); alive(i.PID) || took > 10*time.Second {
		t.Errorf("the stop took %s", took)
	}
}

func TestAStopThatIsRepeatedDoesNotRunTheStopProgramTwice(t *testing.T) {
	b := newBench(t, background)
	b.program("stop.sh", "#!/bin/sh\necho ran >>\"$1.count\"\nuntil [ -e \"$1.go\" ]; do sleep 0.05; done\nkill $(cat \"$1\")\n")
	b.section["stop"] = []string{b.path("stop.sh"), b.path("app.pid")}
	b.up()
	b.step.Stop = deploy.Duration(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	cut := make(chan error, 1)
	runtime, local := b.runtime(), host(t)
	go func() { cut <- runtime.Stop(ctx, local, b.step) }()
	eventually(t, func() error { _, err := os.Stat(b.path("app.pid.count")); return err })
	cancel()
	refused(t, <-cut, deploy.CodeCancelled)
	refused(t, b.try(), deploy.CodeUnavailable, "is still being stopped")
	b.write("app.pid.go", "")
	b.stop()
	if got := b.read("app.pid.count"); got != "ran\n" {
		t.Errorf("the stop program ran as %q", got)
	}
}

func TestWhatHoldsThePortAfterItsParentIsStoppedToo(t *testing.T) {
	b := newBench(t, "#!/bin/sh\nsh -c '\"$0\" & wait' \"${0%/*}/app\" >/dev/null 2>&1 &\necho $! >\"$1\"\n")
	b.start()
	i := b.shows(listening)
	if !i.Owned || i.PID == i.PortPID || i.PID != b.pid() {
		t.Errorf("a child's port shows as %+v", i)
	}
	b.stop()
	if alive(i.PID) || alive(i.PortPID) {
		t.Errorf("%d or %d is left", i.PID, i.PortPID)
	}
}

func TestAnApplicationThatSomethingElseStartsAgainIsNoSuccess(t *testing.T) {
	b := newBench(t, background)
	i := b.up()
	b.program("stop.sh", fmt.Sprintf("#!/bin/sh\nkill %d\nwhile kill -0 %d; do sleep 0.05; done\n%s %s\nuntil grep -q ':%04X 0.* 0A' /proc/net/tcp; do sleep 0.05; done\n",
		i.PID, i.PID, b.path("start.sh"), b.path("other.pid"), b.step.Port))
	b.section["stop"] = []string{b.path("stop.sh")}
	err := b.tryStop()
	again := b.observe()
	refused(t, err, deploy.CodeForeign, "process "+strconv.Itoa(i.PID)+" was stopped, but now process "+strconv.Itoa(again.PortPID)+" (app) owns port")
	if !alive(again.PortPID) {
		t.Error("it was killed")
	}
}

func TestAnApplicationBesideAStrangerOnThePortIsStoppedAndTheStrangerNamed(t *testing.T) {
	b := newBench(t, "#!/bin/sh\nsleep 600 &\necho $! >\"$1\"\n")
	b.start()
	app := b.pid()
	other := newBench(t, background)
	other.step.Port = b.step.Port
	o := other.byHand()
	if i := b.observe(); i.PID != app || i.PortPID != o.PID || i.Owned || !i.Foreign() {
		t.Errorf("it shows %+v", i)
	}
	refused(t, b.tryStop(), deploy.CodeForeign, "process "+strconv.Itoa(o.PID)+" (app) owns port")
	if alive(app) || !alive(o.PID) {
		t.Error("the application is left, or the stranger is gone")
	}
}

func TestAnApplicationIsStoppedOnceItsProcessIsGoneThoughTheStarterWaits(t *testing.T) {
	b := newBench(t, background+"while :; do sleep 1; done\n")
	i := b.up()
	if err := syscall.Kill(i.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.shows(func(i deploy.Instance) bool { return i.PID == 0 })
	refused(t, b.otherRelease(), deploy.CodeConflict, "has to be stopped first")
	b.stop()
	b.program("start.sh", background)
	b.up()
	b.stop()
}

// otherRelease starts another release in the slot.
func (b *bench) otherRelease() error {
	s := drivertest.RuntimeStep(b.t)
	s.Home, s.Port, s.Slot = b.step.Home, b.step.Port, b.step.Slot
	s.Release.Commit.SHA = strings.Repeat("1", 40)
	return b.runtime().Start(b.t.Context(), host(b.t), s)
}
