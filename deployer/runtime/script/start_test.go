package script_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/drivertest"
)

func TestAStaleStartIsNotMistakenForTheApplication(t *testing.T) {
	b := newBench(t, background)
	other := stranger(t)
	b.write("app.pid", strconv.Itoa(other)+"\n")
	old(t, b.path("app.pid"))
	if i := b.observe(); i.PID != 0 {
		t.Errorf("a reused pid shows %+v", i)
	}
	b.stop()
	if i := b.up(); i.PID == other {
		t.Errorf("the stranger is shown as %+v", i)
	}
	b.stop()
	if !alive(other) {
		t.Error("the stranger was killed")
	}
}

func TestAStartThatFailsTellsWhatItPrinted(t *testing.T) {
	b := newBench(t, "#!/bin/sh\necho no JAVA_HOME here\nexit 3\n")
	err := b.try()
	refused(t, err, deploy.CodeFailed, b.path("start.sh")+" ended with exit status 3, and nothing runs")
	if log := deploy.AsError(err).Log; !strings.Contains(log, "no JAVA_HOME here") {
		t.Errorf("the log is %q", log)
	}
	if i := b.observe(); i.PID != 0 || !strings.Contains(i.Log, "no JAVA_HOME here") {
		t.Errorf("the slot shows %+v", i)
	}
	b.stop()
}

func TestAStartProgramThatIsNotThereIsNamed(t *testing.T) {
	b := newBench(t, background)
	b.section["start"] = []string{b.path("absent.sh")}
	refused(t, b.try(), deploy.CodeFailed, b.path("absent.sh")+" cannot be run")
}

func TestTheExitStatusOfAStartThatWorkedProvesNothing(t *testing.T) {
	b := newBench(t, background+"exit 1\n")
	b.up()
}

func TestAStartThatWritesNoPidFileIsAnErrorThatNamesWhatItStarted(t *testing.T) {
	t.Parallel()
	b := newBench(t, "#!/bin/sh\n"+`"${0%/*}/app" &`+"\n")
	began := time.Now()
	refused(t, b.try(), deploy.CodeFailed, "process ", "owns port "+strconv.Itoa(b.step.Port), "but pid file "+b.path("app.pid")+" was not written")
	if took := time.Since(began); took < 9*time.Second || took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	refused(t, b.tryStop(), deploy.CodeForeign, "is gone, but process "+strconv.Itoa(b.observe().PortPID)+" (app)")
}

func TestAStartProgramThatIsTheApplicationStaysInTheForeground(t *testing.T) {
	b := newBench(t, "#!/bin/sh\necho $$ >\"$1\"\nexec \"${0%/*}/app\"\n")
	began := time.Now()
	i := b.up()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %s", took)
	}
	b.start()
	if again := b.observe(); again.PID != i.PID {
		t.Errorf("a second start made %+v of %+v", again, i)
	}
	b.stop()
	if alive(i.PID) {
		t.Error("it still runs")
	}
}

func TestAStartProgramThatWaitsForTheApplicationIsNotWaitedFor(t *testing.T) {
	b := newBench(t, background+"wait\n")
	began := time.Now()
	i := b.up()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %s", took)
	}
	b.stop()
	if alive(i.PID) {
		t.Error("it still runs")
	}
}

func TestAnApplicationThatDoesNotServeYetIsStartedThoughItsStartProgramWaits(t *testing.T) {
	t.Parallel()
	b := newBench(t, "#!/bin/sh\nsleep 600 &\necho $! >\"$1\"\nwait\n")
	b.start()
	i := b.observe()
	if i.PID != b.pid() || i.Key != b.step.Release.Key() || i.PortPID != 0 {
		t.Errorf("it shows %+v", i)
	}
	b.stop()
	if alive(i.PID) {
		t.Error("it still runs")
	}
}

func TestAStartProgramThatHangsIsToldOfAndEndedByTheStop(t *testing.T) {
	t.Parallel()
	b := newBench(t, "#!/bin/sh\necho $$ >\"$1.starter\"\nexec sleep 600\n")
	err := b.try()
	starter := strings.TrimSpace(b.read("app.pid.starter"))
	refused(t, err, deploy.CodeFailed, "is still under way as process "+starter+" after ten seconds", b.path("app.pid"))
	pid, err := strconv.Atoi(starter)
	if err != nil || !alive(pid) {
		t.Fatalf("the start program is %q, %v", starter, err)
	}
	b.stop()
	if alive(pid) {
		t.Error("the start program still runs after the stop")
	}
}

func TestAnApplicationThatAPersonStartedIsKnownWithoutItsReleaseAndHasToBeStoppedFirst(t *testing.T) {
	b := newBench(t, background)
	i := b.byHand()
	if i.PID != b.pid() || !i.Owned || i.Foreign() || i.Key != "" || i.Release != "" {
		t.Errorf("it shows %+v", i)
	}
	refused(t, b.try(), deploy.CodeConflict, "process "+strconv.Itoa(i.PID)+" of pid file "+b.path("app.pid")+" runs, and ipublish did not start it")
	b.stop()
	if alive(i.PID) {
		t.Error("it still runs")
	}
	b.up()
}

func TestAnApplicationThatAPersonRestartedIsNotTakenForTheRelease(t *testing.T) {
	b := newBench(t, background)
	first := b.up()
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.shows(func(i deploy.Instance) bool { return i.PID == 0 && i.PortPID == 0 })
	if i := b.byHand(); i.PID == first.PID || !i.Owned || i.Key != "" || i.Release != "" {
		t.Errorf("it shows %+v", i)
	}
}

func TestAPortThatIsNotThePidFilesIsNamedWithItsOwner(t *testing.T) {
	b := newBench(t, background)
	i := b.byHand()
	pid := strconv.Itoa(i.PID)
	port := " owns port " + strconv.Itoa(b.step.Port) + ": stop it, or write its pid into the file"
	other := stranger(t)
	for name, c := range map[string]struct{ text, want string }{
		"gone":            {"", "pid file " + b.path("app.pid") + " is gone, but process " + pid + " (app)" + port},
		"empty":           {"\n", "pid file " + b.path("app.pid") + " holds no pid, but process " + pid + " (app)" + port},
		"of nobody":       {"999999999", "names process 999999999, which is not the application any more, but process " + pid + " (app)" + port},
		"of another":      {strconv.Itoa(other), "names process " + strconv.Itoa(other) + ", but process " + pid + " (app)" + port},
		"not of a number": {"$(reboot)", "holds no pid, but process " + pid},
	} {
		t.Run(name, func(t *testing.T) {
			b.write("app.pid", c.text)
			if c.text == "" {
				if err := os.Remove(b.path("app.pid")); err != nil {
					t.Fatal(err)
				}
			}
			refused(t, b.try(), deploy.CodeForeign, c.want)
			if name == "of another" {
				return
			}
			refused(t, b.tryStop(), deploy.CodeForeign, c.want)
			if i := b.observe(); i.PID != 0 || strconv.Itoa(i.PortPID) != pid || i.Owned || !i.Foreign() || i.Program() != "app" || i.PortStarted == "" {
				t.Errorf("it shows %+v", i)
			}
		})
	}
	if !alive(i.PID) || !alive(other) {
		t.Error("something was stopped")
	}
	b.write("app.pid", pid+"\n")
	b.stop()
	if alive(i.PID) {
		t.Error("it still runs once its pid is written into the file")
	}
}

func TestTheProgramsWorkWhereTheyAreToldAndGetNothingOfALogin(t *testing.T) {
	b := newBench(t, "#!/bin/sh\npwd >\"$1.start\"\nread line && echo $line >\"$1.start\"\n"+background)
	b.program("stop.sh", "#!/bin/sh\nenv >\"$1.env\"\npwd >\"$1.stop\"\nkill $(cat \"$1\")\n")
	b.section["stop"] = []string{b.path("stop.sh"), b.path("app.pid")}
	b.up()
	b.stop()
	if b.read("app.pid.start") != b.dir+"\n" || b.read("app.pid.stop") != b.dir+"\n" {
		t.Errorf("they worked in %q and %q", b.read("app.pid.start"), b.read("app.pid.stop"))
	}
	env := strings.Split(b.read("app.pid.env"), "\n")
	for _, want := range []string{"PORT=" + strconv.Itoa(b.step.Port), "RELEASE=" + b.step.Release.Commit.SHA, "SLOT=main", "RUNTIME_SECRET=" + b.step.Env["RUNTIME_SECRET"]} {
		if !slices.Contains(env, want) {
			t.Errorf("stop was not given %s", want)
		}
	}
	b.section["dir"] = filepath.Dir(b.dir)
	b.up()
	if got := b.read("app.pid.start"); got != filepath.Dir(b.dir)+"\n" {
		t.Errorf("start worked in %q", got)
	}
	b.stop()
}

func TestTwoApplicationsOfOneHostDoNotKnowOfEachOther(t *testing.T) {
	one, two := newBench(t, background), newBench(t, background)
	first, second := one.up(), two.up()
	one.stop()
	if i := two.observe(); alive(first.PID) || i.PID != second.PID || !i.Owned {
		t.Errorf("after the other's stop it shows %+v", i)
	}
	two.stop()
}

func TestTheApplicationsOwnLogIsShownOnceItWritesToIt(t *testing.T) {
	b := newBench(t, "#!/bin/sh\necho starting\n"+background)
	b.section["log"] = b.path("app.pid.log")
	b.write("app.pid.log", "of an earlier run\n")
	old(t, b.path("app.pid.log"))
	b.up()
	b.shows(func(i deploy.Instance) bool { return strings.HasSuffix(i.Log, "listening as [31mmain[0m\n") })
	b.stop()
	b.program("start.sh", "#!/bin/sh\necho no java here\nexit 1\n")
	old(t, b.path("app.pid.log"))
	refused(t, b.try(), deploy.CodeFailed, "nothing runs")
	if i := b.observe(); i.Log != "no java here\n" {
		t.Errorf("the log is %q", i.Log)
	}
	b.stop()
}

func TestAReleaseThatIsNotStagedIsNotStarted(t *testing.T) {
	b := newBench(t, background)
	b.step.Release.SHA256 = strings.Repeat("0", 64)
	refused(t, b.try(), deploy.CodeFailed, "does not hold the artifact")
	b.step.Release = deploy.Release{}
	refused(t, b.try(), deploy.CodeInvalid, "not built")
	s := drivertest.RuntimeStep(t)
	b.step.Dir, b.step.Release = filepath.Join(s.Dir, "absent"), s.Release
	refused(t, b.try(), deploy.CodeFailed, "is not on the host")
}

func TestAStartThatWasCutIsGoneOnWithAndNotRunTwice(t *testing.T) {
	for name, text := range map[string]string{
		"before there was a process": "#!/bin/sh\necho ran >>\"$1.count\"\nsleep 1\n\"${0%/*}/app\" >/dev/null 2>&1 &\necho $! >\"$1\"\n",
		"after there was one":        "#!/bin/sh\necho ran >>\"$1.count\"\nsleep 600 &\necho $! >\"$1\"\nwait\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, text)
			ctx, cancel := context.WithCancel(t.Context())
			cut := make(chan error, 1)
			runtime, local := b.runtime(), host(t)
			go func() { cut <- runtime.Start(ctx, local, b.step) }()
			eventually(t, func() error {
				_, err := os.Stat(b.path("app.pid.count"))
				if err == nil && name == "after there was one" {
					_, err = os.Stat(b.path("app.pid"))
				}
				return err
			})
			cancel()
			refused(t, <-cut, deploy.CodeCancelled)
			b.start()
			if i := b.observe(); i.PID != b.pid() || i.Key != b.step.Release.Key() || b.read("app.pid.count") != "ran\n" {
				t.Errorf("it ran as %q and shows %+v", b.read("app.pid.count"), i)
			}
			b.stop()
		})
	}
}
