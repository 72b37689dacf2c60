package deploy_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ipublish/deploy"
)

// rolls is the world of a golden file's input, for tests that tell a story in it.
func rolls(t rapid.TB, lines ...string) *world {
	t.Helper()
	w, err := read(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// fleetLine reads what is about an environment of many hosts:
//
//	rolling parallel=1 floor=3 batches=1,50%,100% bake=30s failure=skip failed=1
//	fleet a              every host runs a, healthy and in traffic
//	host web-2 sick      one of them was found otherwise
//	gone web-9 a         ipublish knows a host that is configured no more
func (w *world) fleetLine(word string, arg func(int) string) error {
	switch word {
	case "rolling":
		return w.strategy(arg)
	case "no_revert":
		w.env.AutoRevert = false
	case "fleet":
		w.fleet(arg(0))
	case "gone":
		w.remember(deploy.Host{ID: deploy.HostID(arg(0)), Address: "10.0.0.99", Driver: deploy.Section{Driver: "ssh"}}, arg(1))
	case "host":
		return w.found(deploy.HostID(arg(0)), arg(1), arg)
	default:
		return fmt.Errorf("nothing here knows %q", word)
	}
	return nil
}

// strategy makes the environment a rolling one; its hosts are empty until a line says otherwise.
func (w *world) strategy(arg func(int) string) error {
	r := &deploy.Rolling{Port: 9001, MaxParallel: 1, MinHealthy: len(w.env.Hosts) - 1, OnHostFailure: deploy.OnFailureRevert, UnreachableAfter: seconds(60)}
	w.env.Rolling, w.env.BlueGreen, w.obs.Hosts = r, deploy.BlueGreen{}, map[deploy.HostID]deploy.Sight{}
	for _, h := range w.env.Hosts {
		w.obs.Hosts[h.ID] = deploy.Sight{Instance: deploy.Instance{Host: h.ID, Slot: deploy.Main}}
	}
	for i := 0; arg(i) != ""; i++ {
		key, value, _ := strings.Cut(arg(i), "=")
		n, err := strconv.Atoi(value)
		switch key {
		case "parallel":
			r.MaxParallel = n
		case "floor":
			r.MinHealthy = n
		case "failed":
			r.MaxFailedHosts = n
		case "failure":
			r.OnHostFailure, err = deploy.OnFailure(value), nil
		case "bake":
			err = r.BakeTime.UnmarshalText([]byte(value))
		case "batches":
			r.Batches, err = shares(value)
		default:
			err = fmt.Errorf("nothing here knows %q", key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func shares(text string) ([]deploy.Share, error) {
	var out []deploy.Share
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(strings.TrimSuffix(word, "%"))
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(word, "%") {
			out = append(out, deploy.Share{Percent: n})
			continue
		}
		out = append(out, deploy.Share{Hosts: n})
	}
	return out, nil
}

// one is the instance of a release on a host of the fleet.
func (w *world) one(id deploy.HostID, name string) deploy.Instance {
	n, _ := strconv.Atoi(strings.TrimPrefix(string(id), "web-"))
	pid := 300 + n
	return deploy.Instance{
		Host: id, Slot: deploy.Main, PID: pid, Started: fmt.Sprint(pid * 10), PortPID: pid, Owned: true,
		Release: "sum-of-" + name, Key: w.release(name).Key(),
	}
}

// remember makes ipublish know a host as one that it brought a release to.
func (w *world) remember(h deploy.Host, name string) {
	w.live.Hosts = w.live.Hosts.With(h.ID, deploy.HostState{Release: w.release(name), Instance: passed([]deploy.Instance{w.one(h.ID, name)})[0], Host: h})
}

// fleet makes a release live on every host by deploy #5, seen as it was left.
func (w *world) fleet(name string) {
	w.live.Release, w.live.Slot, w.live.Deploy, w.live.Since, w.live.By = w.release(name), deploy.Main, 5, noon().Add(-time.Hour), ann()
	w.live.Good = append([]deploy.Past{{Release: w.release(name), Deploy: 5, At: noon().Add(-time.Hour)}}, w.live.Good...)
	for _, h := range w.env.Hosts {
		w.remember(h, name)
		w.obs.Hosts[h.ID] = deploy.Sight{Instance: w.one(h.ID, name), Healthy: true, Up: true}
	}
}

// found says how a host was found, or what the ledger has of it.
func (w *world) found(id deploy.HostID, how string, arg func(int) string) error {
	sight, known := w.obs.Hosts[id], w.live.Hosts.Get(id)
	host := w.env.Hosts[slices.Index(w.env.HostIDs(), id)]
	switch how {
	case "empty": // as it comes from the factory
		w.live.Hosts = w.live.Hosts.Without(id)
		sight = deploy.Sight{Instance: deploy.Instance{Host: id, Slot: deploy.Main}}
	case "sick": // it runs and fails its check
		sight.Healthy = false
	case "dead": // nothing runs, and the balancer may not know it yet
		sight.Healthy, sight.Instance = false, deploy.Instance{Host: id, Slot: deploy.Main}
	case "down": // the balancer sends it nothing
		sight.Up = false
	case "unknown": // it serves something that ipublish can see and did not bring
		w.live.Hosts = w.live.Hosts.Without(id)
		sight = deploy.Sight{Instance: w.one(id, "f"), Healthy: true, Up: true}
		sight.Instance.Key, sight.Instance.Release = "", ""
	case "runs": // a release, brought by ipublish
		sight.Instance, sight.Healthy = w.one(id, arg(2)), true
		up := known.Out
		w.remember(host, arg(2))
		w.ledger(id, up)
	case "foreign":
		pid, err := strconv.Atoi(arg(2))
		if err != nil {
			return err
		}
		sight.Instance = deploy.Instance{Host: id, Slot: deploy.Main, PortPID: pid, Command: arg(3)}
	case "unreachable":
		sight = deploy.Sight{Err: &deploy.Error{Code: deploy.CodeUnavailable, Op: "on", Subject: string(id), Message: fmt.Sprintf("%s does not answer: is it on?", id)}}
	case "out": // by a deploy that did not put it back
		w.ledger(id, &deploy.Outage{Deploy: 7, By: ann(), At: noon().Add(-2 * time.Hour)})
		sight.Up = false
	case "offline": // by a person's word
		w.ledger(id, &deploy.Outage{Deploy: 6, By: ann(), At: noon().Add(-3 * time.Hour), Person: true})
		sight.Up = false
	default:
		return fmt.Errorf("nothing here knows %q", how)
	}
	w.obs.Hosts[id] = sight
	return nil
}

func (w *world) ledger(id deploy.HostID, out *deploy.Outage) {
	h := w.live.Hosts.Get(id)
	h.Out = out
	w.live.Hosts = w.live.Hosts.With(id, h)
}

// departed are the hosts that ipublish knows and the configuration does not.
func (w *world) departed() []deploy.Host {
	var out []deploy.Host
	for _, id := range w.live.Hosts.IDs() {
		if w.env.Rolling != nil && !slices.Contains(w.env.HostIDs(), id) {
			out = append(out, w.live.Hosts.Get(id).Host)
		}
	}
	return out
}

// turns prints the hosts of a rolling plan in their turn, and those left out of it.
func turns(p deploy.Plan) string {
	var b strings.Builder
	for _, m := range p.Fleet {
		fmt.Fprintf(&b, "turn: %s batch %d, ran %s", m.Host, m.Batch, release(m.Old))
		if m.Served {
			b.WriteString(", serves")
		}
		if m.Kept {
			b.WriteString(", stays out")
		}
		fmt.Fprintln(&b)
	}
	for _, f := range p.Behind {
		fmt.Fprintf(&b, "behind: %s (%s)\n", f.Host, f.Err.Code)
	}
	for _, h := range p.Settings.Gone {
		fmt.Fprintf(&b, "gone: %s\n", h.ID)
	}
	return b.String()
}

// soundRoll checks what holds for every rolling plan: each host leaves traffic
// and is drained before it is stopped, is checked before it gets traffic, and
// neither the floor nor the number of hosts that are out at once is broken.
func soundRoll(t *testing.T, w *world, p deploy.Plan) {
	t.Helper()
	in, well := map[deploy.HostID]bool{}, map[deploy.HostID]bool{}
	left, drained := map[deploy.HostID]bool{}, map[deploy.HostID]bool{}
	for id, s := range w.obs.Hosts {
		in[id], well[id] = s.Up, s.Healthy
	}
	for i, s := range p.Steps {
		if s.Limit <= 0 {
			t.Errorf("step %d (%s) has no limit", i, s.Op)
		}
		if (s.Op == deploy.OpOut || s.Op == deploy.OpIn) && len(s.Targets) != len(s.Hosts) {
			t.Errorf("step %d (%s) names %d hosts and %d targets", i, s.Op, len(s.Hosts), len(s.Targets))
		}
		for _, id := range s.Hosts {
			switch s.Op {
			case deploy.OpOut:
				in[id], left[id] = false, true
			case deploy.OpDrain:
				drained[id] = left[id]
			case deploy.OpStop:
				well[id] = false
				if in[id] || !drained[id] {
					t.Errorf("step %d stops %s in traffic or before it is drained", i, id)
				}
			case deploy.OpStart:
				well[id] = false
				if in[id] {
					t.Errorf("step %d starts %s in traffic", i, id)
				}
			case deploy.OpCheck:
				well[id] = true
			case deploy.OpBake:
				if ran := oldOf(p, id); p.Want != deploy.WantDeploy && p.Want != deploy.WantRollback && !s.Release.IsZero() && s.Release.Key() != ran.Key() {
					t.Errorf("step %d watches %s as %s, which runs %s", i, id, release(s.Release), release(ran))
				}
			case deploy.OpIn:
				in[id] = true
				if !well[id] {
					t.Errorf("step %d gives %s traffic before its check", i, id)
				}
			}
		}
		floored(t, w, p, i, in, well)
	}
	if p.Commit > p.Baked || p.Baked >= len(p.Steps) {
		t.Errorf("the marks are %d and %d of %d steps", p.Commit, p.Baked, len(p.Steps))
	}
}

// oldOf is what a host of the plan ran before.
func oldOf(p deploy.Plan, id deploy.HostID) deploy.Release {
	i := slices.IndexFunc(p.Fleet, func(m deploy.Member) bool { return m.Host == id })
	return p.Fleet[i].Old
}

// floored checks the budget after a step that went as planned.
func floored(t *testing.T, w *world, p deploy.Plan, step int, in, well map[deploy.HostID]bool) {
	t.Helper()
	served, out, serving := 0, 0, 0
	for _, h := range w.env.Hosts {
		if in[h.ID] && well[h.ID] {
			serving++
		}
		if w.obs.Hosts[h.ID].Serving() {
			served++
			if !in[h.ID] {
				out++
			}
		}
	}
	r := w.env.Rolling
	byName := p.Want == deploy.WantStop || p.Want == deploy.WantOffline
	if out > r.MaxParallel && !byName {
		t.Errorf("after step %d %d hosts are out at once", step, out)
	}
	if serving < r.MinHealthy && serving < served {
		t.Errorf("after step %d %d hosts serve", step, serving)
	}
}
