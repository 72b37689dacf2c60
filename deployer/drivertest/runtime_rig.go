package drivertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// RuntimeStep is the step of a fresh slot on a free port, with an empty release
// folder that carries its mark. Nothing is started.
func RuntimeStep(t *testing.T) deploy.Step {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := deploy.Step{
		Op: deploy.OpStart, Slot: deploy.Green, Port: l.Addr().(*net.TCPAddr).Port, Home: filepath.Join(t.TempDir(), "green home's"),
		Stop: deploy.Duration(5 * time.Second), Limit: deploy.Duration(time.Minute),
		Env: map[string]string{runtimeAppVar: "polite", "RUNTIME_SECRET": "s3cr3t-" + runtimeHash(t.Name())},
	}
	runtimeRelease(t, &s, "first")
	return s
}

// runtimeRelease gives the step a release of its own with a folder for it.
func runtimeRelease(t *testing.T, s *deploy.Step, name string) {
	t.Helper()
	s.Dir = t.TempDir()
	s.Release = deploy.Release{App: "shop", Commit: deploy.Commit{SHA: runtimeHash(name)[:40]}, Recipe: "r", Runtime: "r",
		SHA256: runtimeHash(name + " artifact"), Kind: deploy.ArtifactTree}
	if err := os.WriteFile(filepath.Join(s.Dir, ".ipublish-sha256"), []byte(s.Release.SHA256+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func runtimeHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (rig RuntimeRig) step(t *testing.T) deploy.Step {
	t.Helper()
	s := RuntimeStep(t)
	rig.Stage(t, s)
	t.Cleanup(func() {
		s.Stop = 0
		if err := rig.Runtime.Stop(context.Background(), rig.Host, s); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return s
}

// next is the same slot with another release.
func (rig RuntimeRig) next(t *testing.T, s deploy.Step) deploy.Step {
	t.Helper()
	runtimeRelease(t, &s, "second")
	rig.Stage(t, s)
	return s
}

func (rig RuntimeRig) start(t *testing.T, s deploy.Step) {
	t.Helper()
	if err := rig.Runtime.Start(t.Context(), rig.Host, s); err != nil {
		t.Fatal(err)
	}
}

func (rig RuntimeRig) stop(t *testing.T, s deploy.Step) {
	t.Helper()
	if err := rig.Runtime.Stop(t.Context(), rig.Host, s); err != nil {
		t.Fatal(err)
	}
}

func (rig RuntimeRig) observe(t *testing.T, s deploy.Step) deploy.Instance {
	t.Helper()
	seen, err := rig.Runtime.Observe(t.Context(), rig.Host, s)
	if err != nil {
		t.Fatal(err)
	}
	if len(seen.Instances) != 1 {
		t.Fatalf("observe gave %d instances, want exactly one", len(seen.Instances))
	}
	return seen.Instances[0]
}

// up waits until the app answers, and returns what is observed then.
func (rig RuntimeRig) up(t *testing.T, s deploy.Step) deploy.Instance {
	t.Helper()
	runtimeEventually(t, rig.Boot, func() error {
		answer, err := rig.client().Get("http://" + runtimeAddr(s) + rig.Ready)
		if err != nil {
			return fmt.Errorf("%w; its log: %s", err, rig.observe(t, s).Log)
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", rig.Ready, answer.Status)
		}
		return nil
	})
	i := rig.observe(t, s)
	if !i.Running() || !i.Owned || i.Foreign() {
		t.Fatalf("an app that answers shows %+v", i)
	}
	return i
}

// one: the app is up, and there is exactly one process of it.
func (rig RuntimeRig) one(t *testing.T, s deploy.Step) {
	t.Helper()
	i := rig.up(t, s)
	if all := runtimeProcesses(t, s); len(all) != 1 || all[0] != i.PID {
		t.Fatalf("processes %v run, want exactly %d", all, i.PID)
	}
}

// client reaches the app through the host, one connection a request.
func (rig RuntimeRig) client() *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: rig.Host.Dial, DisableKeepAlives: true}}
}

func runtimeAddr(s deploy.Step) string { return "127.0.0.1:" + strconv.Itoa(s.Port) }

// runtimeEventually waits until try gives no error.
func runtimeEventually(t *testing.T, limit time.Duration, try func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(limit)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", limit, err)
		}
		<-tick.C
	}
}

// runtimeProcesses are the processes of this machine that got the step's PORT
// and secret when they were started.
func runtimeProcesses(t *testing.T, s deploy.Step) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		env, err := os.ReadFile(file)
		all := append([]byte{0}, env...)
		if err != nil || !bytes.Contains(all, []byte("\x00PORT="+strconv.Itoa(s.Port)+"\x00")) || !bytes.Contains(all, []byte(s.Env["RUNTIME_SECRET"])) {
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

func runtimeStat(t *testing.T, pid int) (ppid, session int) {
	t.Helper()
	var group int
	var state string
	if _, err := fmt.Sscan(runtimeStatFields(t, pid), &state, &ppid, &group, &session); err != nil {
		t.Fatal(err)
	}
	return ppid, session
}

// runtimeStarted is a process's start time in the kernel's ticks since the boot.
func runtimeStarted(t *testing.T, pid int) string {
	t.Helper()
	return strings.Fields(runtimeStatFields(t, pid))[19]
}

// runtimeStatFields is what follows the name in /proc/PID/stat.
func runtimeStatFields(t *testing.T, pid int) string {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	return string(stat[bytes.LastIndexByte(stat, ')')+1:])
}

// runtimeSpy is a host that remembers what was on its command lines.
type runtimeSpy struct {
	deployer.Host
	mu   sync.Mutex
	seen []string
}

func (h *runtimeSpy) Run(ctx context.Context, argv []string, in io.Reader) ([]byte, error) {
	h.mu.Lock()
	h.seen = append(h.seen, argv...)
	h.mu.Unlock()
	return h.Host.Run(ctx, argv, in)
}

func (h *runtimeSpy) argv() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.seen, "\n")
}

// runtimeGone is a host that cannot be reached.
type runtimeGone struct{}

func (runtimeGone) err() error {
	return &deploy.Error{Code: deploy.CodeUnavailable, Op: "run", Subject: "web-1", Message: "web-1 does not answer"}
}

func (h runtimeGone) Run(context.Context, []string, io.Reader) ([]byte, error) { return nil, h.err() }

func (h runtimeGone) Put(context.Context, string, uint32, io.Reader) error { return h.err() }

func (h runtimeGone) Dial(context.Context, string, string) (net.Conn, error) { return nil, h.err() }
