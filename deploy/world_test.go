package deploy_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"ipublish/deploy"
)

// noon is when every story of these tests begins.
func noon() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) }

func seconds(n int) deploy.Duration { return deploy.Duration(time.Duration(n) * time.Second) }

// world is the planner's whole input. Releases are named by one hex digit: the
// commit of b is b, forty times.
type world struct {
	app  deploy.App
	env  deploy.Environment
	live deploy.Live
	st   deploy.State
	obs  deploy.Observation
}

func newWorld() *world {
	w := &world{
		app: deploy.App{
			Name: "shop", Repository: "https://git.example.com/acme/shop.git", Keep: 2,
			Runtime: deploy.Section{Driver: "command"}, Build: deploy.Build{Timeout: seconds(900)},
			Health: deploy.Health{
				Path: "/healthz", Method: "GET", ExpectStatus: []int{200}, ExpectRelease: "process",
				Interval: seconds(1), Timeout: seconds(5), SuccessThreshold: 1, FailureThreshold: 3,
				MinHealthyTime: seconds(10), HealthyDeadline: seconds(300),
			},
		},
		env: deploy.Environment{
			Name: "production", Branch: "main", ReleaseDir: "/srv/ipublish", AutoRevert: true,
			BlueGreen:    deploy.BlueGreen{Blue: 8080, Green: 8081, BakeTime: seconds(60), KeepOld: seconds(600)},
			Balancer:     deploy.Section{Driver: "proxy"},
			DrainTimeout: seconds(30), IdleAfter: seconds(5), StopTimeout: seconds(20), ProgressDeadline: seconds(600),
		},
		live: deploy.Live{Target: target(), Slots: map[deploy.Slot]deploy.SlotState{}},
		obs:  deploy.Observation{Slots: map[deploy.Slot][]deploy.Instance{}},
	}
	w.hosts(1)
	w.want(deploy.Request{Want: deploy.WantDeploy, Commit: sha("b"), By: ann()})
	return w
}

func target() deploy.Target { return deploy.Target{App: "shop", Env: "production"} }
func ann() deploy.Actor     { return deploy.Actor{ID: "slack:U1", Name: "ann"} }
func sha(name string) string {
	return strings.Repeat(name, 40)
}

func (w *world) hosts(n int) {
	w.env.Hosts = nil
	for i := range n {
		w.env.Hosts = append(w.env.Hosts, deploy.Host{
			ID: deploy.HostID(fmt.Sprintf("web-%d", i+1)), Address: fmt.Sprintf("10.0.0.%d", i+1), Driver: deploy.Section{Driver: "ssh"},
		})
	}
}

// want makes the request a claimed deploy #9.
func (w *world) want(r deploy.Request) {
	r.App, r.Env, r.ID, r.At = "shop", "production", 9, noon()
	w.st = deploy.State{ID: 9, Target: target(), Phase: deploy.PhaseRunning, Request: r, Claimed: noon()}
	w.st.Commit = deploy.Commit{SHA: r.Commit}
}

// release is the release of a commit under the configuration as it stands.
func (w *world) release(name string) deploy.Release {
	r := deploy.NewRelease(w.app, deploy.Commit{SHA: sha(name)})
	r.SHA256, r.Kind, r.Size = "sum-of-"+name, deploy.ArtifactTree, 4096
	return r
}

// instances are those of a release in a slot, one a host; first is the pid on the first.
func (w *world) instances(slot deploy.Slot, name string, first int) []deploy.Instance {
	var out []deploy.Instance
	for i, h := range w.env.Hosts {
		pid := first + i
		out = append(out, deploy.Instance{
			Host: h.ID, Slot: slot, PID: pid, Started: fmt.Sprint(pid * 10), PortPID: pid, Owned: true,
			Release: "sum-of-" + name, Key: w.release(name).Key(),
		})
	}
	return out
}

func passed(in []deploy.Instance) []deploy.Instance {
	out := slices.Clone(in)
	for i := range out {
		out[i].Passed, out[i].Status = true, 200
	}
	return out
}

// pidOf gives each slot's processes their own numbers.
func pidOf(slot deploy.Slot) int {
	if slot == deploy.Blue {
		return 100
	}
	return 200
}

// serves makes a release live in a slot by deploy #5, seen as it was left.
func (w *world) serves(slot deploy.Slot, name string) {
	w.live.Release, w.live.Slot, w.live.Deploy, w.live.Since, w.live.By = w.release(name), slot, 5, noon().Add(-time.Hour), ann()
	w.live.Slots[slot] = deploy.SlotState{Release: w.release(name), Instances: passed(w.instances(slot, name, pidOf(slot)))}
	w.live.Good = append([]deploy.Past{{Release: w.release(name), Deploy: 5, At: noon().Add(-time.Hour)}}, w.live.Good...)
	w.obs.Slots[slot] = w.instances(slot, name, pidOf(slot))
	w.traffic(slot)
}

// keeps makes a slot warm, seen as it was left.
func (w *world) keeps(slot deploy.Slot, name string) {
	w.live.Warm = &deploy.Lease{Slot: slot, Release: w.release(name), Until: noon().Add(10 * time.Minute)}
	w.live.Slots[slot] = deploy.SlotState{Release: w.release(name), Instances: passed(w.instances(slot, name, pidOf(slot)))}
	w.obs.Slots[slot] = w.instances(slot, name, pidOf(slot))
}

// traffic says what the balancer is seen to send requests to.
func (w *world) traffic(slot deploy.Slot) {
	var up []string
	for _, h := range w.env.Hosts {
		up = append(up, fmt.Sprintf("%s:%d", h.Address, w.env.BlueGreen.Port(slot)))
	}
	w.obs.Traffic.Up = up
}

// plan is what the planner makes of the world.
func (w *world) plan() (deploy.Plan, error) {
	return deploy.NewPlan(w.app, w.env, w.live, w.st, w.obs)
}

// mustPlan fails the test where the planner refuses.
func (w *world) mustPlan(t rapid.TB) deploy.Plan {
	t.Helper()
	p, err := w.plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// read builds a world from the lines of a golden file's input.
func read(input string) (*world, error) {
	w := newWorld()
	for _, line := range strings.Split(strings.TrimSpace(input), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if err := w.line(words[0], words[1:]); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
	}
	return w, nil
}

func (w *world) line(word string, args []string) error {
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	slot := deploy.Slot(arg(0))
	switch word {
	case "want":
		return w.wanted(args)
	case "hosts":
		n, err := strconv.Atoi(arg(0))
		w.hosts(n)
		return err
	case "keep_old":
		return w.env.BlueGreen.KeepOld.UnmarshalText([]byte(arg(0)))
	case "verify":
		w.env.Verify = &deploy.Verify{URL: arg(0), Interval: seconds(1), Health: deploy.Health{Method: "GET", ExpectStatus: []int{200}, Timeout: seconds(5)}}
	case "live":
		w.serves(slot, arg(1))
	case "warm":
		w.keeps(slot, arg(1))
	case "good":
		w.live.Good = append(w.live.Good, deploy.Past{Release: w.release(arg(0)), Deploy: 3, At: noon().Add(-2 * time.Hour)})
	case "bad":
		w.live.Bad = append(w.live.Bad, w.release(arg(0)).Key())
	case "left":
		w.live.Left = append(w.live.Left, w.release(arg(0)).Key())
	case "hooks":
		w.hooked()
		if on := arg(0); on != "" {
			w.app.Hooks.OnLive.On, w.app.Hooks.OnIdle.On, w.app.Hooks.SmokeTest.On = on, on, on
		}
	case "caveat":
		w.app.Caveats = append(w.app.Caveats, strings.Join(args, " "))
	case "adopted":
		w.adopts(slot)
	case "adopted-live":
		w.adopts(slot)
		w.live.Release, w.live.Slot, w.live.Deploy = deploy.AdoptedRelease("shop"), slot, 2
		w.traffic(slot)
	case "adopted-restarted":
		w.strange(slot, 5555, "java", "")
	case "adopted-restarted-one":
		w.strange(slot, 5555, "java -Dsecret=x", "")
		for i, in := range w.live.Slots[slot].Instances[1:] {
			in.Passed, in.Status = false, 0
			w.obs.Slots[slot][i+1] = in
		}
	case "adopted-warm":
		w.adopts(slot)
		w.live.Warm = &deploy.Lease{Slot: slot, Release: deploy.AdoptedRelease("shop")}
	case "known":
		w.live.Known = arg(0)
	default:
		return w.seen(word, slot, arg)
	}
	return nil
}

// seen reads what the observation differs in from what the fold says.
func (w *world) seen(word string, slot deploy.Slot, arg func(int) string) error {
	switch word {
	case "dead":
		w.obs.Slots[slot] = nil
		for _, h := range w.env.Hosts {
			w.obs.Slots[slot] = append(w.obs.Slots[slot], deploy.Instance{Host: h.ID, Slot: slot})
		}
	case "restarted":
		w.obs.Slots[slot] = w.instances(slot, arg(1), 900)
	case "foreign":
		pid, err := strconv.Atoi(arg(1))
		w.strange(slot, pid, arg(2), arg(3))
		return err
	case "edited":
		w.obs.Traffic.File, w.obs.Traffic.Edited = arg(0), true
	case "traffic":
		for i := 0; arg(i) != ""; i++ {
			w.obs.Traffic.Up = append(w.obs.Traffic.Up[:i:i], arg(i))
		}
	default:
		return w.fleetLine(word, arg)
	}
	return nil
}

// strange puts a process of somebody else on a slot's port, on one host or all.
func (w *world) strange(slot deploy.Slot, pid int, command, hosts string) {
	w.obs.Slots[slot] = nil
	for _, h := range w.env.Hosts {
		in := deploy.Instance{Host: h.ID, Slot: slot, PortPID: pid, Command: command}
		if pid > 0 {
			in.PortStarted = fmt.Sprint(pid * 10)
		}
		if hosts == "one" && h.ID != "web-1" {
			in = deploy.Instance{Host: h.ID, Slot: slot}
		}
		w.obs.Slots[slot] = append(w.obs.Slots[slot], in)
	}
}

// adopts makes a slot hold what was adopted, as the engine recognises it.
func (w *world) adopts(slot deploy.Slot) {
	w.strange(slot, 4242, "java", "")
	rel := deploy.AdoptedRelease("shop")
	var seen []deploy.Instance
	for _, in := range w.obs.Slots[slot] {
		seen = append(seen, in.Adopt(rel))
	}
	w.live.Slots[slot] = deploy.SlotState{Release: rel, Instances: passed(seen)}
	w.live.Good = append(w.live.Good, deploy.Past{Release: rel, Deploy: 2, At: noon().Add(-3 * time.Hour)})
	w.obs.Slots[slot] = nil
	for _, in := range w.live.Slots[slot].Instances {
		in.PID, in.Started, in.Owned, in.Key, in.Passed, in.Status = 0, "", false, "", false, 0
		w.obs.Slots[slot] = append(w.obs.Slots[slot], w.live.Recognise(in))
	}
}

// hooked gives the app one hook of each kind.
func (w *world) hooked() {
	hook := func(on string, run ...string) deploy.Hook { return deploy.Hook{Run: run, On: on, Timeout: seconds(60)} }
	w.app.Hooks = deploy.Hooks{
		Migrate: hook(deploy.OnFirstHost, "./migrate.sh"), SmokeTest: hook(deploy.OnBot, "smoke", "{port}"),
		OnLive: hook(deploy.OnHosts, "jobs", "on"), OnIdle: hook(deploy.OnHosts, "jobs", "off"), Idle: hook(deploy.OnHosts, "jobs", "done"),
	}
}

func (w *world) wanted(args []string) error {
	r := deploy.Request{Want: deploy.Want(args[0]), By: ann()}
	for _, a := range args[1:] {
		switch {
		case a == "auto":
			r.Auto, r.By = true, deploy.Actor{ID: "push:github"}
		case a == "forced":
			r.Force = "it is needed"
		case strings.HasPrefix(a, "web-"):
			r.Hosts = append(r.Hosts, deploy.HostID(a))
		case strings.HasPrefix(a, "without=web-"):
			r.Without = append(r.Without, deploy.HostID(strings.TrimPrefix(a, "without=")))
		case len(a) == 1 && r.Want == deploy.WantDeploy:
			r.Commit = sha(a)
		case len(a) == 1:
			r.Release = sha(a)[:7]
		default:
			return fmt.Errorf("nothing here knows %q", a)
		}
	}
	w.want(r)
	return nil
}
