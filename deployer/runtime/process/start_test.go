package process_test

import (
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/runtime/process"
)

func TestAProcessOutlivesTheProgramThatStartedIt(t *testing.T) {
	s := slot(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	starter := exec.Command(self)
	starter.Env = append(os.Environ(), starterVar+"="+strings.Join([]string{s.Home, s.Dir, strconv.Itoa(s.Port), s.Release.Commit.SHA, s.Release.SHA256}, "\n"))
	if out, err := starter.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if i := observe(t, s); !i.Running() || i.Release != s.Release.SHA256 {
		t.Errorf("after its starter's end the slot shows %+v", i)
	}
}

func TestAStartWhoseShellAloneIsKilledLeavesOneProcess(t *testing.T) {
	s := slot(t)
	p := app(t, s, "exec ", "")
	for range 30 {
		_ = process.Start(t.Context(), abrupt{host(t), time.Duration(rand.Int64N(int64(40 * time.Millisecond)))}, s, p)
		start(t, s, p)
		i := shows(t, s, listening)
		if !i.Owned {
			t.Fatalf("the slot shows %+v", i)
		}
		if all := carriers(t, "PORT="+strconv.Itoa(s.Port)); !slices.Equal(all, []int{i.PID}) {
			t.Fatalf("processes %v run, want %d alone", all, i.PID)
		}
		stop(t, s)
	}
}

// carriers are the processes that were started with a variable.
func carriers(t *testing.T, variable string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), variable) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func TestTheEnvironmentArrivesByteForByteAndIsNobodyElses(t *testing.T) {
	s := slot(t)
	want := map[string]string{
		"QUOTES": `it's "so" \ $HOME $(id) ` + "`id`" + ` # !`, "LINES": "a\nb\n\n'c'\n", "EMPTY": "", "home": "x", "start": "y", "port": "z",
		"IFS": "/", "UNICODE": "发布 ✓", "PATH": "/nowhere",
	}
	s.Env["PORT"], s.Env["RELEASE"] = "1", "none"
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := process.Program{Argv: []string{self}, Env: process.Env(s)}
	for k, v := range want {
		p.Env[k] = v
	}
	start(t, s, p)
	shows(t, s, listening)
	got := drivertest.RuntimeEnviron(t, host(t), s)
	want["PORT"], want["RELEASE"], want["SLOT"], want["RUNTIME_SECRET"] = strconv.Itoa(s.Port), s.Release.Commit.SHA, "green", s.Env["RUNTIME_SECRET"]
	for k, v := range want {
		if !slices.Contains(got, k+"="+v) {
			t.Errorf("%s=%q did not arrive in %q", k, v, got)
		}
	}
	info, err := os.Stat(filepath.Join(s.Home, "env"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the env file: %v, %v, want mode 0600", info, err)
	}
	stop(t, s)
	if _, err := os.Stat(filepath.Join(s.Home, "env")); !os.IsNotExist(err) {
		t.Errorf("the env file after the stop: %v, want none", err)
	}
}

func TestAnEnvironmentThatCannotBePassedOnIsRefusedWithoutItsValue(t *testing.T) {
	for name, value := range map[string]string{"A-B": "s3cret", "1A": "s3cret", "": "s3cret", "A;id": "s3cret", "NUL": "s3cret\x00", "IPUBLISH_INSTANCE": "s3cret"} {
		s := slot(t)
		err := process.Start(t.Context(), host(t), s, process.Program{Argv: []string{"true"}, Env: map[string]string{name: value}})
		refused(t, err, deploy.CodeInvalid, name)
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v tells the value", err)
		}
	}
}

func TestAnEnvironmentThatArrivesInPartStartsNothing(t *testing.T) {
	s := slot(t)
	p := script("sleep 600")
	p.Env = process.Env(s)
	refused(t, process.Start(t.Context(), short{host(t)}, s, p), deploy.CodeUnavailable)
	if i := observe(t, s); i.Running() {
		t.Errorf("the slot shows %+v", i)
	}
}

func TestWhatCannotStartSaysWhy(t *testing.T) {
	program := func(s deploy.Step, argv ...string) error {
		return process.Start(t.Context(), host(t), s, process.Program{Argv: argv})
	}
	s := slot(t)
	refused(t, program(s), deploy.CodeInvalid, "no program")
	refused(t, program(s, "./absent"), deploy.CodeFailed, `"./absent"`, s.Dir)
	refused(t, program(s, "no-such-program"), deploy.CodeFailed, `"no-such-program"`)
	refused(t, process.Start(t.Context(), host(t), s, process.Program{Argv: []string{"true"}, Prepare: process.Script{Text: `echo "no $1"; exit 1`, Args: []string{"luck"}}}),
		deploy.CodeFailed, "no luck")
	refused(t, process.Start(t.Context(), host(t), s, process.Program{Argv: []string{"true"}, Prepare: process.Script{Text: `echo theirs; exit 3`}}),
		deploy.CodeDrift, "theirs")
	bad := s
	bad.Home = "relative"
	refused(t, program(bad, "true"), deploy.CodeInvalid, "relative")
	bad = s
	bad.Port = 65536
	refused(t, program(bad, "true"), deploy.CodeInvalid, "65536")
	bad = s
	bad.Release.SHA256 = ""
	refused(t, program(bad, "true"), deploy.CodeInvalid, "not built")
	write(t, filepath.Join(s.Dir, ".ipublish-sha256"), "0123\n")
	refused(t, program(s, "true"), deploy.CodeFailed, "0123", s.Dir)
	bad.Release.SHA256, bad.Dir = s.Release.SHA256, s.Dir+"/absent"
	refused(t, program(bad, "true"), deploy.CodeFailed, bad.Dir)
}

func TestThePortOfADifferentSlotOrAnotherArtifactIsAConflict(t *testing.T) {
	s := slot(t)
	p := script("sleep 600")
	start(t, s, p)
	other := s
	other.Port = drivertest.RuntimeStep(t).Port
	refused(t, process.Start(t.Context(), host(t), other, p), deploy.CodeConflict, s.Release.Key())
	other = s
	other.Release.SHA256 = strings.Repeat("0", 64)
	refused(t, process.Start(t.Context(), host(t), other, p), deploy.CodeConflict)
}

func TestAListenerOnAnotherAddressOfThePortIsForeignToo(t *testing.T) {
	s := slot(t)
	l, err := net.Listen("tcp6", "[::1]:"+strconv.Itoa(s.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	refused(t, process.Start(t.Context(), host(t), s, script("sleep 600")), deploy.CodeForeign, strconv.Itoa(os.Getpid()), "stop it")
}

func TestALongLogIsTurnedAtStartAndAShortOneIsContinued(t *testing.T) {
	s := slot(t)
	write(t, filepath.Join(s.Home, "log"), "before\n")
	start(t, s, script("echo one"))
	shows(t, s, func(i deploy.Instance) bool { return i.Log == "one\n" && !i.Running() })
	if all := read(t, filepath.Join(s.Home, "log")); !strings.HasPrefix(all, "before\n=== ipublish starts "+s.Release.Key()+" ") {
		t.Errorf("the log is %q", all)
	}
	write(t, filepath.Join(s.Home, "log"), strings.Repeat("x", 10<<20+1))
	start(t, s, script("echo two"))
	shows(t, s, func(i deploy.Instance) bool { return i.Log == "two\n" })
	if got := len(read(t, filepath.Join(s.Home, "log.1"))); got != 10<<20+1 {
		t.Errorf("log.1 has %d bytes", got)
	}
}

func TestAProgramGetsDefaultSignalsNoInputAndNotTheLock(t *testing.T) {
	s := slot(t)
	p := script(`grep -E '^Sig(Ign|Blk)' /proc/self/status; readlink /proc/$$/fd/* | grep -F "$HERE"; readlink /proc/$$/fd/0; sleep 600`)
	p.Env = map[string]string{"HERE": s.Home}
	start(t, s, p)
	i := shows(t, s, func(i deploy.Instance) bool { return strings.Contains(i.Log, "/dev/null") })
	log := filepath.Join(s.Home, "log")
	// Signals 32 and 33 are the C library's own: whoever was started by its
	// posix_spawn, as by make, ignores them and passes that on.
	i.Log = strings.NewReplacer("0000000080000000", "0000000000000000", "0000000180000000", "0000000000000000", "0000000100000000", "0000000000000000").Replace(i.Log)
	if want := "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n" + log + "\n" + log + "\n/dev/null\n"; i.Log != want {
		t.Errorf("the program was given %q, want %q", i.Log, want)
	}
}
