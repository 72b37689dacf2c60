package bot

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

// fleetConfig has rolling environments: shop/production with web-1 to web-10 and
// shop/staging with stag-1 and web-1, mall/live with a host that is called like
// its app; and api/live, which switches between two slots.
func fleetConfig() Config {
	c := testConfig()
	c.Apps = []deploy.App{
		{Name: "shop", Environments: []deploy.Environment{
			rollingEnv("production", append(numbered("web-", 10), "Db.internal")...),
			rollingEnv("staging", "stag-1", "web-1"),
		}},
		{Name: "mall", Environments: []deploy.Environment{rollingEnv("hall", "mall", "hall", "lift-1")}},
		{Name: "api", Environments: []deploy.Environment{
			{Name: "live", Branch: "main", Hosts: []deploy.Host{{ID: "api-1"}}},
		}},
	}
	return c
}

func rollingEnv(name string, hosts ...deploy.HostID) deploy.Environment {
	e := deploy.Environment{Name: name, Branch: "main", Rolling: &deploy.Rolling{Port: 9001, MaxParallel: 1, MinHealthy: 1}}
	for _, id := range hosts {
		e.Hosts = append(e.Hosts, deploy.Host{ID: id, Address: string(id)})
	}
	return e
}

func numbered(prefix string, n int) []deploy.HostID {
	out := make([]deploy.HostID, n)
	for i := range out {
		out[i] = deploy.HostID(fmt.Sprint(prefix, i+1))
	}
	return out
}

func TestStatusTellsWhoIsOutOfTrafficAndWhoRunsSomethingElse(t *testing.T) {
	f := newFleet(10)
	now := time.Now()
	f.live.By, f.live.Since = deploy.Actor{Name: "ann"}, now.Add(-5*time.Hour)
	told := func() string {
		return statusText(Overview{Live: f.live, hosts: f.env.Hosts}, now)
	}
	contains(t, told(), "live: 1111111 Old since ", " (5 h) by ann, #7\n  10 hosts in traffic")
	f.out("web-3", "ann", true)
	f.out("web-5", "bob", false)
	f.stopped("web-4", "ann")
	other := f.release("b9a0a1c0000000000000000000000000000000000", "Other")
	for _, id := range []deploy.HostID{"web-4", "web-7"} {
		h := f.live.Hosts.Get(id)
		h.Release = other
		f.live.Hosts = f.live.Hosts.With(id, h)
	}
	f.env.Hosts = append(f.env.Hosts[:9:9], deploy.Host{ID: "web-11"})
	want := `  6 of 10 hosts in traffic
  web-3 out of traffic for 3 days by #5 (ann), until online
  web-4 stopped and out of traffic for 3 days by #5 (ann), until start
  web-5 out of traffic for 3 days by #5: the next deploy or online puts it back
  new and not deployed to yet: web-11
  2 hosts run b9a0a1c: web-4, web-7
  not in the configuration any more, stopped by the next deploy: web-10`
	if _, got, _ := strings.Cut(told(), "#7\n"); got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
}

func TestStatusTellsWhoIsLeavingTrafficAndWhoMayNotHaveLeft(t *testing.T) {
	f := newFleet(3)
	for id, unproven := range map[deploy.HostID]bool{"web-1": true, "web-2": false} {
		f.out(id, "ann", false)
		h := f.live.Hosts.Get(id)
		h.Out.Unproven = unproven
		f.live.Hosts = f.live.Hosts.With(id, h)
	}
	f.live.Active = 5
	contains(t, statusText(Overview{Live: f.live, hosts: f.env.Hosts}, time.Now()), "web-1 is being taken out by #5", "web-2 out of traffic for 3 days by #5, which is at work on it")
	f.live.Active = 0
	contains(t, statusText(Overview{Live: f.live, hosts: f.env.Hosts}, time.Now()), "it is not certain whether web-1 has traffic since #5 took it out", "web-2 out of traffic for 3 days by #5: the next deploy or online puts it back")
}

func TestStatusTellsWhatTheOpenStepDoesToAHost(t *testing.T) {
	open := func(steps int) string {
		m := newMemory()
		submitted(t, m, shopProd, "k").rolling().done(steps).began()
		o, err := newHandler(m).overview(shopProd)
		if err != nil {
			t.Fatal(err)
		}
		o.hosts = newFleet(4).env.Hosts
		return statusText(o, time.Now())
	}
	contains(t, open(3), "web-1 is being taken out by #1")
	contains(t, open(5), "web-1 out of traffic for less than a minute by #1, which is at work on it")
	if text := open(8); !strings.Contains(text, "web-1 is being put back by #1") || strings.Contains(text, "not certain") {
		t.Error(text)
	}
}

func TestStatusSaysStoppedOnlyOfWhatWasDeployedTo(t *testing.T) {
	f := newFleet(2)
	f.stopped("web-1", "ann")
	h := f.live.Hosts.Get("web-1")
	h.Release = deploy.Release{}
	f.live.Hosts = f.live.Hosts.With("web-1", h)
	contains(t, statusText(Overview{Live: f.live, hosts: f.env.Hosts}, time.Now()), "web-1 out of traffic for 3 days by #5 (ann), until online")
}

func TestStatusTellsTwoBuildsOfOneCommitApart(t *testing.T) {
	f := newFleet(3)
	for i, id := range []deploy.HostID{"web-2", "web-3"} {
		h := f.live.Hosts.Get(id)
		h.Release.Recipe = "another"
		f.live.Hosts = f.live.Hosts.With(id, h)
		want := []string{"web-2 runs 1111111 with older settings", "2 hosts run 1111111 with older settings: web-2, web-3"}[i]
		contains(t, statusText(Overview{Live: f.live, hosts: f.env.Hosts}, time.Now()), want)
	}
}

func TestHostsLeftOutAreNeverTakenForHostsNorForABranch(t *testing.T) {
	both := []deploy.HostID{"web-3", "web-4"}
	for _, list := range []string{"--without web-3, web-4", "--without web-3 ,web-4", "--without web-3 , web-4", "--without=web-3, web-4", `--without "web-3, web-4"`, "--without web-3，　web-4"} {
		for _, text := range []string{"restart shop production " + list, "deploy shop " + list + " to production", "deploy " + list + " shop to production"} {
			p, err := Parse(text, Scope{Apps: fleetConfig().Apps})
			if err != nil || !slices.Equal(p.Without, both) || len(p.Hosts) > 0 || p.Ref != "" || p.Target() != shopProd {
				t.Errorf("%s: %+v %v", text, p, err)
			}
		}
	}
	for text, want := range map[string]string{
		"restart shop production --without web-3,":            "a host is missing after",
		`restart shop production --without "web-3," web-4`:    "a host is missing after",
		"restart web-4 shop production --without web-3":       "name the hosts, or those to leave out, not both",
		"restart shop production --without web-3, --force no": "a host is missing after",
		"restart shop production --without web-3, nowhere":    `has no host "nowhere"`,
	} {
		if p, err := Parse(text, Scope{Apps: fleetConfig().Apps}); err == nil || !strings.Contains(deploy.MessageOf(err), want) {
			t.Errorf("%s: %+v %v", text, p, err)
		}
	}
}

func TestAHostWhereNoneIsMeantIsAnsweredWithWhatToType(t *testing.T) {
	refusal := func(text string) string {
		_, err := Parse(text, Scope{Apps: fleetConfig().Apps})
		if err == nil {
			t.Fatalf("%s is understood", text)
		}
		return deploy.MessageOf(err)
	}
	contains(t, refusal("drill web-3"), "web-3 is a host of shop/production, and drill is about whole environments: `drill shop production`")
	contains(t, refusal("status web-3"), "`status shop production`")
	if text := refusal("offline web-3 shopp shop production"); strings.Contains(text, "did you mean shop") {
		t.Error(text)
	}
	p, err := Parse("offline web-3 to production", Scope{Apps: fleetConfig().Apps})
	if err != nil || p.Target() != shopProd || !slices.Equal(p.Hosts, []deploy.HostID{"web-3"}) {
		t.Errorf("%+v %v", p, err)
	}
}

func TestAnOnlineThatIsNotPlannedYetIsNotPaused(t *testing.T) {
	m := newMemory()
	fleetSays(t, m, "online web-3 production")
	drive{t, m, 1}.append(deploy.Event{Kind: deploy.KindClaimed})
	a := says(t, m, "pause #1")
	contains(t, a.Text, "#1 takes no host out of traffic")
	if a.Code != deploy.CodeRefused {
		t.Errorf("%+v", a)
	}
}

func (f *fleetWorld) stopped(id deploy.HostID, by string) {
	f.out(id, by, true)
	h := f.live.Hosts.Get(id)
	h.Instance = deploy.Instance{}
	f.live.Hosts = f.live.Hosts.With(id, h)
}

func TestStatusNamesTwelveHostsAndCountsTheRest(t *testing.T) {
	f := newFleet(200)
	for _, id := range f.env.HostIDs()[:150] {
		f.out(id, "ann", false)
	}
	text := statusText(Overview{Live: f.live, hosts: f.env.Hosts}, time.Now())
	contains(t, text, "50 of 200 hosts in traffic", "web-12 out of traffic", "and 138 more out of traffic")
	if n := strings.Count(text, "\n"); n > 16 {
		t.Errorf("%d lines:\n%s", n, text)
	}
}

func TestAnEnvironmentOfTwoSlotsHasNoLinesAboutHosts(t *testing.T) {
	l := deploy.Live{Slot: deploy.Blue, Release: deploy.Release{Commit: deploy.Commit{SHA: sha}}}
	if text := statusText(Overview{Live: l, hosts: []deploy.Host{{ID: "web-1"}}}, time.Now()); strings.Contains(text, "hosts") || !strings.Contains(text, "on blue") {
		t.Errorf("told %s", text)
	}
}

// fleetHandler is a handler of the environments that fleetConfig has.
func fleetHandler(m *memory) *Handler {
	h := newHandler(m)
	h.Config = fleetConfig
	return h
}

func fleetSays(t *testing.T, m *memory, text string) Answer {
	t.Helper()
	return fleetHandler(m).Handle(t.Context(), deploy.Command{Chat: "slack", User: deploy.Actor{ID: "slack:UDEPLOY", Name: "Ann"}, Text: text, Key: text})
}

func TestAVerbAboutHostsIsARequestLikeADeploy(t *testing.T) {
	for _, c := range []struct {
		text    string
		want    deploy.Want
		hosts   []deploy.HostID
		without []deploy.HostID
		told    []string
	}{
		{"offline WEB-3 web-4", deploy.WantOffline, []deploy.HostID{"web-3", "web-4"}, nil, []string{"#1 queued: offline web-3, web-4 of shop → production. `cancel #1` takes it back"}},
		{"restart shop production --without web-2", deploy.WantRestart, nil, []deploy.HostID{"web-2"}, []string{"#1 queued: restart of shop → production.", "left as they are: web-2"}},
		{"drill mall", deploy.WantDrill, nil, nil, []string{"#1 queued: drill of mall → hall."}},
		{"deploy shop to production --without web-2,web-3", deploy.WantDeploy, nil, []deploy.HostID{"web-2", "web-3"}, []string{"#1 queued: shop → production main.", "left as they are: web-2, web-3"}},
	} {
		m := newMemory()
		a := fleetSays(t, m, c.text)
		contains(t, a.Text, c.told...)
		s, _ := m.State(1)
		if r := s.Request; r.Want != c.want || !slices.Equal(r.Hosts, c.hosts) || !slices.Equal(r.Without, c.without) || r.By.ID != "slack:UDEPLOY" {
			t.Errorf("%s: %+v", c.text, r)
		}
		contains(t, fleetSays(t, m, "history").Text, "#1 "+string(c.want))
	}
}

func TestHistoryNamesTheHostsOfAVerb(t *testing.T) {
	m := newMemory()
	fleetSays(t, m, "offline web-3")
	fleetSays(t, m, "restart shop production --without web-2")
	contains(t, fleetSays(t, m, "history").Text, "#1 offline web-3 by Ann", "#2 restart by Ann, without web-2")
}

// rolling claims and plans a deploy of four hosts, one after another.
func (d drive) rolling() drive {
	d.t.Helper()
	f := newFleet(4)
	f.env.Rolling.BakeTime = 0
	p := f.plan(d.t, deploy.WantDeploy)
	d.append(deploy.Event{Kind: deploy.KindClaimed})
	d.append(deploy.Event{Kind: deploy.KindPlanned, Plan: &p})
	return d
}

// began starts the next step and leaves it open.
func (d drive) began() drive {
	d.t.Helper()
	s, _ := d.m.State(d.id)
	d.append(deploy.Event{Kind: deploy.KindStarted, Step: s.Next})
	return d
}

// The plan: fetch, build, stage, then out, drain, stop, start, check, in a host, prune.
func TestPauseSaysWhenItTakesEffect(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(d drive)
		want    string
		now     deploy.Phase
	}{
		"before it is planned":   {func(d drive) { d.append(deploy.Event{Kind: deploy.KindClaimed}) }, "#1 pauses before anything leaves traffic or is switched, if anything does:", deploy.PhaseRunning},
		"while it builds":        {func(d drive) { d.rolling().done(1).began() }, "#1 pauses before the next hosts, web-1:", deploy.PhaseRunning},
		"within a host's turn":   {func(d drive) { d.rolling().done(4).began() }, "#1 pauses before the next hosts, web-2:", deploy.PhaseRunning},
		"between two hosts":      {func(d drive) { d.rolling().done(9) }, "#1 pauses before the next hosts, web-2:", deploy.PhasePaused},
		"before the switch":      {func(d drive) { d.planned().done(1).began() }, "#1 pauses before the switch:", deploy.PhaseRunning},
		"right before a switch":  {func(d drive) { d.planned().done(2) }, "#1 pauses before the switch:", deploy.PhasePaused},
		"the last host is ahead": {func(d drive) { d.rolling().done(20).began() }, "#1 pauses before the next hosts, web-4:", deploy.PhaseRunning},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			c.prepare(submitted(t, m, shopProd, "k"))
			a := says(t, m, "pause")
			contains(t, a.Text, c.want, "`resume #1` goes on", "`cancel #1` goes back")
			s, _ := m.State(1)
			if a.Code != "" || a.Deploy != 1 || s.Pause == nil || s.Phase != c.now {
				t.Errorf("%+v, paused by %v, it is %s", a, s.Pause, s.Phase)
			}
			before := len(m.events)
			again := "asked already for a pause of #1"
			if c.now == deploy.PhasePaused {
				again = "#1 is paused already"
			}
			contains(t, saysAs(t, m, "slack:UADMIN", "pause #1", "another").Text, again)
			if len(m.events) != before {
				t.Error("a second pause was recorded")
			}
			contains(t, says(t, m, "resume").Text, "#1 goes on: the pause is over")
			if s, _ = m.State(1); s.Pause != nil {
				t.Error("it is still paused")
			}
		})
	}
}

func TestPausingWhatCannotBePausedSaysWhyItDoesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(d drive)
		wants   []string
	}{
		"waiting":       {func(drive) {}, []string{"has not begun", "`cancel #1`", "lock shop production"}},
		"held":          {func(d drive) { d.rolling().done(4).stuck() }, []string{"held already"}},
		"going back":    {func(d drive) { d.planned().done(3).undo() }, []string{"is going back"}},
		"switched":      {func(d drive) { d.planned().done(3) }, []string{"switched already", "`cancel #1`"}},
		"live for good": {func(d drive) { d.planned().done(4) }, []string{"live for good", "rollback shop production"}},
		"the last host": {func(d drive) { d.rolling().done(3 + 18).began() }, []string{"no further host", "`cancel #1`"}},
		"ended":         {func(d drive) { d.planned().ended(deploy.Succeeded) }, []string{"has ended already"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			c.prepare(submitted(t, m, shopProd, "k"))
			before := len(m.events)
			a := says(t, m, "pause #1")
			contains(t, a.Text, c.wants...)
			if a.Code != deploy.CodeRefused || len(m.events) != before {
				t.Errorf("%+v", a)
			}
		})
	}
	contains(t, says(t, newMemory(), "pause").Text, "there is nothing to pause")
}

func TestARepeatedPauseHasOneEffectAlsoAfterItWasResumed(t *testing.T) {
	m := newMemory()
	submitted(t, m, shopProd, "k").rolling().done(9)
	first := saysAs(t, m, "slack:UADMIN", "pause", "one")
	saysAs(t, m, "slack:UADMIN", "resume", "two")
	again := saysAs(t, m, "slack:UADMIN", "pause", "one")
	if s, _ := m.State(1); again.Text != first.Text || s.Pause != nil {
		t.Errorf("first %q, again %q, paused by %v", first.Text, again.Text, s.Pause)
	}
}

func TestStatusTellsWhoPausedAndWhatToType(t *testing.T) {
	m := newMemory()
	submitted(t, m, shopProd, "k").rolling().done(9)
	says(t, m, "pause")
	contains(t, fleetSays(t, m, "status shop production").Text, "  1 of 11 hosts in traffic", "by Ann paused\n", "`resume #1` goes on", "■ web-1 · web-2")
}

func TestHostsArePublishedWithoutHowTheyAreReached(t *testing.T) {
	secret := deploy.HostState{
		Release:  deploy.Release{Commit: deploy.Commit{SHA: sha}},
		Instance: deploy.Instance{Host: "web-1", PID: 7, Command: "java -Dpassword=canary"},
		Host:     deploy.Host{ID: "web-1", Address: "10.0.0.1", Driver: deploy.Section{Driver: "ssh", Settings: []byte(`{"identity_file":"canary"}`)}},
		Out:      &deploy.Outage{Deploy: 5, Person: true},
	}
	evidence := deploy.Evidence{Instances: []deploy.Instance{secret.Instance}}
	report := &deploy.Report{Hosts: map[deploy.HostID]deploy.HostState{"web-1": secret}, Slots: map[deploy.Slot]deploy.SlotState{deploy.Blue: {Instances: evidence.Instances}}}
	o := Overview{Live: deploy.Live{Hosts: deploy.Roster{}.With("web-1", secret), Slots: report.Slots}, Active: &deploy.State{Report: report}}
	for name, v := range map[string]any{
		"an environment": published(o),
		"a deploy":       publishedState(*o.Active),
		"an event":       publishedEvent(deploy.Event{Report: report, Evidence: &evidence}),
	} {
		b, err := json.Marshal(v)
		if err != nil || strings.Contains(string(b), "canary") || strings.Contains(string(b), "10.0.0.1") {
			t.Errorf("%s: %v %s", name, err, b)
		}
	}
	b, _ := json.Marshal(published(o))
	contains(t, string(b), `"web-1":{"release":`, `"pid":7`, `"out":{"deploy":5,`, `"person":true`)
	if secret.Instance.Command == "" || o.Live.Hosts.Get("web-1").Host.Address == "" || evidence.Instances[0].Command == "" || report.Hosts["web-1"].Host.ID == "" {
		t.Error("what is published was taken from the record itself")
	}
}
