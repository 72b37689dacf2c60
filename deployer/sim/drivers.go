package sim

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// Drivers opens the world's hosts, runtime and balancer.
type Drivers struct{ W *World }

// Host implements deployer.Drivers.
func (d Drivers) Host(h deploy.Host) (deployer.Host, error) {
	m, ok := d.W.machines[h.ID]
	if !ok {
		m = &machine{id: h.ID} // the bot's own
	}
	return host{d.W, m}, nil
}

// Runtime implements deployer.Drivers.
func (d Drivers) Runtime(deploy.Section) (deployer.Runtime, error) { return Runtime{d.W}, nil }

// Balancer implements deployer.Drivers.
func (d Drivers) Balancer(_ deploy.Target, _ deploy.Section, open func(string) (deployer.Host, error)) (deployer.Balancer, error) {
	if d.W.Fleet != nil {
		return FleetBalancer{d.W, open}, nil
	}
	return Balancer{d.W}, nil
}

// Resolve implements deployer.Drivers; there are no secrets here.
func (d Drivers) Resolve(v map[string]string) (map[string]string, error) { return v, nil }

type host struct {
	w *World
	m *machine
}

// Run understands the engine's own scripts by what they print.
func (h host) Run(ctx context.Context, argv []string, _ io.Reader) ([]byte, error) {
	argv, err := h.guarded(argv)
	if err != nil || argv[0] == whichMachine {
		return []byte(h.m.id), err
	}
	var out []byte
	err = h.w.call(ctx, "host:"+string(h.m.id), func() error {
		if err := h.w.reachable(h.m); err != nil {
			return err
		}
		text, args := argv[2], argv[4:]
		switch {
		case strings.Contains(text, "echo lack"):
			if err := h.w.refused(deploy.OpStage); err != nil {
				return err
			}
			if h.w.barred(h.m.id, deploy.OpStage) {
				return &deploy.Error{Code: deploy.CodeFailed, Op: "stage", Subject: string(h.m.id), Message: "no space left on device"}
			}
			out = []byte("lack")
			if h.m.dirs[args[0]] == args[1] {
				out = []byte("have")
			}
		case strings.Contains(text, "arrived as"):
			h.m.dirs[args[0]] = args[1]
			h.w.changes++
		case strings.Contains(text, "continue 2"):
			if err := h.w.refused(deploy.OpPrune); err != nil {
				return err
			}
			h.prune(args[0], args[1:])
		case strings.Contains(text, "/proc/net/tcp"):
			out = h.connections(args[0])
		case strings.Contains(text, "end of env"):
			return h.hook(args[1], args[2])
		default:
			return fmt.Errorf("the simulated host does not know this script: %.60s", text)
		}
		return nil
	})
	return out, err
}

// hook runs a program of the user's in a release's folder.
func (h host) hook(name, dir string) error {
	if dir != "/" && h.m.dirs[dir] == "" {
		h.w.violate("hook: %s runs in %s on %s, which does not hold it", name, dir, h.m.id)
	}
	err := h.w.refused(deploy.Op(name))
	if name == "idle" && time.Now().Before(h.w.hands.busy) {
		err = errors.New("busy")
	}
	if err != nil {
		return &deploy.Error{Code: deploy.CodeFailed, Op: "run", Subject: string(h.m.id), Err: &deployer.ExitError{Code: 1, Stderr: err.Error()}}
	}
	h.w.hands.hooks[name]++
	h.w.changes++
	return nil
}

func (h host) prune(root string, keep []string) {
	for dir := range h.m.dirs {
		if path.Dir(dir) != root || slices.Contains(keep, path.Base(dir)) {
			continue
		}
		for port := range h.m.procs {
			if p := h.m.on(port); p.alive(time.Now()) && p.key == path.Base(dir) {
				h.w.violate("I24 target: release %s is pruned while port %d runs it", p.key, port)
			}
		}
		delete(h.m.dirs, dir)
		h.w.changes++
	}
}

// Put reads the file and forgets it; what lands is told by the scripts.
func (h host) Put(ctx context.Context, _ string, _ uint32, r io.Reader) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	return h.w.call(ctx, "host:"+string(h.m.id), func() error { return h.w.reachable(h.m) })
}

// Dial connects to a process's health answer.
func (h host) Dial(_ context.Context, _, addr string) (net.Conn, error) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if h.w.crashed {
		return nil, errDown
	}
	if err := h.w.reachable(h.m); err != nil {
		return nil, err
	}
	_, text, _ := net.SplitHostPort(addr)
	port, _ := strconv.Atoi(text)
	p := h.m.on(port)
	if p == nil || !p.listens(time.Now()) {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	go h.w.answer(theirs, p)
	return ours, nil
}

// answer serves one health probe.
func (w *World) answer(c net.Conn, p *process) {
	defer c.Close()
	if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
		return
	}
	w.mu.Lock()
	status := p.probed(time.Now(), w.minHold)
	w.mu.Unlock()
	fmt.Fprintf(c, "HTTP/1.1 %d x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status)
}

// Runtime starts and stops the world's processes.
type Runtime struct{ W *World }

// whichMachine is a command that only the simulator's hosts know.
const whichMachine = "which-machine"

// machine finds the machine behind a host; a guarded one may refuse.
func (r Runtime) machine(ctx context.Context, h deployer.Host) (*machine, error) {
	id, err := h.Run(ctx, []string{whichMachine}, nil)
	return r.W.machines[deploy.HostID(id)], err
}

// guarded takes the guard off a command, after it did its work (I9).
func (h host) guarded(argv []string) ([]string, error) {
	if len(argv) < 8 || !strings.Contains(argv[2], "ipublish-fence") {
		return argv, nil
	}
	epoch, err := strconv.ParseUint(argv[5], 10, 64)
	if err != nil {
		return nil, err
	}
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if epoch < h.m.epoch {
		return nil, &deploy.Error{Code: deploy.CodeConflict, Op: "run", Message: "a newer command has taken over"}
	}
	h.m.epoch = epoch
	return argv[7:], nil
}

// Start implements deployer.Runtime.
func (r Runtime) Start(ctx context.Context, h deployer.Host, s deploy.Step) error {
	m, err := r.machine(ctx, h)
	if err != nil {
		return err
	}
	return r.W.call(ctx, "runtime:"+string(m.id), func() error {
		if err := r.W.reachable(m); err != nil {
			return err
		}
		start := func() error {
			return r.W.act(s, []deploy.Op{deploy.OpStart}, func() error { return r.start(m, s) })
		}
		if r.W.delays(m) {
			return r.W.postpone(m, func() error {
				if p := m.on(s.Port); p != nil && p.asked == s.Release.Key() {
					return nil // it came to that without this command
				}
				return start()
			})
		}
		return start()
	})
}

func (r Runtime) start(m *machine, s deploy.Step) error {
	if err := r.W.refused(deploy.OpStart); err != nil {
		return err
	}
	now := time.Now()
	if p := m.on(s.Port); p != nil && p.alive(now) {
		if p.foreign {
			return &deploy.Error{Code: deploy.CodeForeign, Op: "start", Subject: string(m.id), Message: "the port is held"}
		}
		if p.asked == s.Release.Key() {
			return nil
		}
		return &deploy.Error{Code: deploy.CodeConflict, Op: "start", Subject: string(m.id), Message: "another release runs there"}
	}
	if m.dirs[s.Dir] != s.Release.SHA256 {
		r.W.violate("start of %s on %s, which does not hold it", s.Release.Key(), m.id)
	}
	m.start(r.W, s, now)
	return nil
}

// Stop implements deployer.Runtime.
func (r Runtime) Stop(ctx context.Context, h deployer.Host, s deploy.Step) error {
	m, err := r.machine(ctx, h)
	if err != nil {
		return err
	}
	return r.W.call(ctx, "runtime:"+string(m.id), func() error {
		if err := r.W.reachable(m); err != nil {
			return err
		}
		p := m.on(s.Port)
		if p == nil || p.foreign {
			return nil
		}
		if err := r.W.refused(s.Op); err != nil {
			return err
		}
		return r.W.act(s, []deploy.Op{deploy.OpRetire, deploy.OpStop}, func() error {
			r.W.checkStop(s, fmt.Sprintf("%s:%d", m.addr, s.Port), p)
			delete(m.procs, s.Port)
			return nil
		})
	})
}

// Observe implements deployer.Runtime.
func (r Runtime) Observe(ctx context.Context, h deployer.Host, s deploy.Step) (deploy.Evidence, error) {
	m, err := r.machine(ctx, h)
	if err != nil {
		return deploy.Evidence{}, err
	}
	in := deploy.Instance{Host: m.id, Slot: s.Slot}
	err = r.W.call(ctx, "runtime:"+string(m.id), func() error {
		if err := r.W.reachable(m); err != nil {
			return err
		}
		r.observe(m, s, &in)
		return nil
	})
	return deploy.Evidence{Instances: []deploy.Instance{in}}, err
}

func (r Runtime) observe(m *machine, s deploy.Step, in *deploy.Instance) {
	p, now := m.on(s.Port), time.Now()
	if p == nil || !p.alive(now) {
		return
	}
	if p.foreign {
		in.PortPID, in.PortStarted, in.Command = p.pid, strconv.FormatInt(p.born.UnixNano(), 10), "java"
		return
	}
	in.PID, in.Started, in.Key, in.Release = p.pid, strconv.FormatInt(p.born.UnixNano(), 10), p.key, p.sha
	if p.listens(now) {
		in.PortPID, in.Owned = p.pid, true
	}
}

// Source is the world's git remote and build.
type Source struct{ W *World }

// Resolve implements deployer.Source: a branch's tip, or the commit itself.
func (s Source) Resolve(ctx context.Context, _ deploy.Settings, ref string) (deploy.Commit, error) {
	var c deploy.Commit
	err := s.W.call(ctx, "source", func() error {
		ref = strings.TrimPrefix(ref, "refs/heads/")
		sha, ok := s.W.branches[ref]
		if !ok && len(ref) == 40 {
			sha, ok = ref, true
		}
		if !ok {
			return &deploy.Error{Code: deploy.CodeNotFound, Op: "resolve", Subject: ref, Message: "no such branch"}
		}
		c = deploy.Commit{SHA: sha, Title: "change " + deploy.Short(sha), Ref: ref}
		return nil
	})
	return c, err
}

// Fetch implements deployer.Source.
func (s Source) Fetch(ctx context.Context, _ deploy.Settings, commit string, _ func(string)) (deploy.Commit, error) {
	return deploy.Commit{SHA: commit}, s.W.call(ctx, "source", func() error { return nil })
}

// Build implements deployer.Source.
func (s Source) Build(ctx context.Context, _ deploy.Settings, r deploy.Release, _ func(string)) (deploy.Release, error) {
	r.SHA256, r.Kind, r.Name, r.Size = hash(r.Commit.SHA), deploy.ArtifactFile, "app.war", 3
	return r, s.W.call(ctx, "source", func() error { return nil })
}

// Open implements deployer.Artifacts.
func (s Source) Open(string) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader([]byte("war"))), nil
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
