package statusfile_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/host/ssh"
	"ipublish/deployer/host/sshtest"
)

// Killed means killed: a context's end kills the command on the host, wherever it is.
func TestKilledHalfWayTheContentIsNeverLostAndRepeatingConverges(t *testing.T) {
	onEveryHost(t, func(t *testing.T, r *rig) {
		e := r.targets[0]
		began := time.Now()
		r.route(deploy.OpOut, e)
		r.route(deploy.OpIn, e)
		whole := time.Since(began) / 2
		random := rand.New(rand.NewPCG(uint64(began.UnixNano()), 1))
		for range 30 {
			op := []deploy.Op{deploy.OpOut, deploy.OpIn}[random.IntN(2)]
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.Int64N(int64(whole))))
			killed, end := context.WithCancel(t.Context())
			stop := context.AfterFunc(ctx, end)
			_ = r.driver.Route(killed, r.step(op, e))
			stop()
			end()
			cancel()
			eventually(t, "the file is in one place, whole", func() bool { return (r.file(e) == ours) != (r.kept(e) == ours) })
			r.driver = r.openWith(nil)
			op = []deploy.Op{deploy.OpOut, deploy.OpIn}[random.IntN(2)]
			r.route(op, e)
			if want := map[deploy.Op]string{deploy.OpOut: "-", deploy.OpIn: ours}[op]; r.file(e) != want {
				t.Fatalf("%s: the file is %q, want %q", op, r.file(e), want)
			}
		}
		r.route(deploy.OpIn, e)
		if r.file(e) != ours || len(r.leftovers(e)) > 0 {
			t.Errorf("at last the file is %q, beside it stands %v", r.file(e), r.leftovers(e))
		}
	})
}

func TestAHostThatIsGoneCanBeTriedAgain(t *testing.T) {
	r := newRig(t, 2, "", nil)
	server := sshtest.Start(t)
	h, err := ssh.New(server.Settings(nil), ssh.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	local := r.open
	r.open = func(name string) (deployer.Host, error) {
		if name == "web-1" {
			return h, nil
		}
		return local(name)
	}
	r.driver = r.openWith(nil)
	gone, there := r.targets[0], r.targets[1]
	r.route(deploy.OpOut, gone)
	server.Stop()
	r.refused(deploy.OpIn, gone, deploy.CodeUnavailable)
	ev := r.observe(gone, there)
	if len(ev.Traffic.Down) != 0 || len(ev.Traffic.Up) != 1 || ev.Traffic.Up[0] != there.Addr || !strings.HasPrefix(ev.Note, "web-1 could not be asked: ") {
		t.Errorf("%+v, note %q", ev.Traffic, ev.Note)
	}
	server.Restart()
	r.route(deploy.OpIn, gone)
	if r.file(gone) != ours {
		t.Errorf("the file is %q", r.file(gone))
	}
}

func TestAStatusPageThatIsCutOffBySSHIsNoPageThatFails(t *testing.T) {
	r := newRig(t, 1, "", nil)
	r.open = sshHosts(t, sshtest.Start(t, "AllowTcpForwarding no"))
	r.driver = r.openWith(nil)
	ev := r.observe(r.targets...)
	if len(ev.Traffic.Up)+len(ev.Traffic.Down) != 0 || !strings.Contains(ev.Note, "AllowTcpForwarding") {
		t.Errorf("%+v, note %q", ev.Traffic, ev.Note)
	}
	r.refused(deploy.OpOut, r.targets[0], deploy.CodeRefused, "AllowTcpForwarding")
	if r.file(r.targets[0]) != ours {
		t.Errorf("the file is %q", r.file(r.targets[0]))
	}
}

func TestWhatKeepsACommandFromRunningIsToldAsItIs(t *testing.T) {
	r := newRig(t, 1, "", nil)
	r.tap(func(_ context.Context, what string) error {
		if !strings.HasPrefix(what, "run") {
			return nil
		}
		ended := &deploy.Error{Code: deploy.CodeFailed, Err: &deployer.ExitError{Code: 74, Stderr: "newer 7"}}
		return &deploy.Error{Code: deploy.CodeConflict, Message: "a newer command of ipublish has taken over on this host", Err: ended}
	})
	r.refused(deploy.OpOut, r.targets[0], deploy.CodeConflict, "a newer command of ipublish has taken over on this host")
	if r.file(r.targets[0]) != ours {
		t.Errorf("the file is %q", r.file(r.targets[0]))
	}
}
