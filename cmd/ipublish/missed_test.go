package main

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ipublish/bot"
	"ipublish/cmd/config"
	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/store"
)

// branchTips is a remote: branch tips by repository and branch.
type branchTips struct {
	deployer.Source
	tips  map[string]deploy.Commit
	mu    sync.Mutex
	asked []string
}

func (b *branchTips) Resolve(ctx context.Context, p deploy.Settings, ref string) (deploy.Commit, error) {
	b.mu.Lock()
	b.asked = append(b.asked, p.Repository+" "+ref)
	c, ok := b.tips[p.Repository+" "+ref]
	b.mu.Unlock()
	if !ok {
		<-ctx.Done()
		return deploy.Commit{}, ctx.Err()
	}
	return c, nil
}

// channelLog is a chat that keeps what it is told.
type channelLog struct {
	mu   sync.Mutex
	fail error
	told []deploy.Message
}

func (*channelLog) Command(*http.Request, []byte) (deploy.Command, error) {
	return deploy.Command{}, errors.New("nobody speaks here")
}

func (*channelLog) Listen(ctx context.Context, _ func(deploy.Command) error) error {
	<-ctx.Done()
	return nil
}

func (c *channelLog) Post(_ context.Context, m deploy.Message) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail == nil {
		c.told = append(c.told, m)
	}
	return "", c.fail
}

// away is a worker's part that tells of missed pushes, on a real store.
type away struct {
	*worker
	t      *testing.T
	chat   *channelLog
	remote *branchTips
	text   bytes.Buffer
	keys   int
}

func inAway(t *testing.T, test func(a *away)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		st, err := store.Open(dir, store.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		}()
		a := &away{t: t, chat: &channelLog{}, remote: &branchTips{tips: map[string]deploy.Commit{}}}
		log := slog.New(slog.NewTextHandler(&a.text, nil))
		a.worker = &worker{
			log: log, store: st, engine: deployer.New(deployer.Options{Source: a.remote}),
			notifier: &bot.Notifier{Config: func() bot.Config { return bot.Config{} }, Chats: map[string]bot.Chat{"slack": a.chat}, Log: log},
		}
		a.configure(awayApp("shop", "slack:C1"))
		test(a)
	})
}

func (a *away) configure(apps ...deploy.App) { a.worker.config.Store(&config.Config{Apps: apps}) }

func awayApp(name string, channels ...string) deploy.App {
	return deploy.App{Name: name, Repository: name, Environments: []deploy.Environment{{Name: "production", Branch: "main", AutoDeploy: true, Channels: channels}}}
}

func hashOf(name string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(name))) }

func (a *away) tip(app, name string) {
	a.remote.tips[app+" main"] = deploy.Commit{SHA: hashOf(name), Title: "change " + name, Ref: "main"}
}

// deployed runs a deploy of a commit to its end; nothing ends it if ending is empty.
func (a *away) deployed(app, name string, ending deploy.Ending) {
	a.t.Helper()
	t := deploy.Target{App: app, Env: "production"}
	a.keys++
	id, _, err := a.store.Submit(a.t.Context(), deploy.Request{App: t.App, Env: t.Env, Want: deploy.WantDeploy, Ref: "main", Commit: hashOf(name), By: deploy.Actor{ID: "slack:U1"}, Key: fmt.Sprint(a.keys)})
	if err != nil {
		a.t.Fatal(err)
	}
	if ending == "" {
		return
	}
	rel := deploy.NewRelease(deploy.App{Name: app}, deploy.Commit{SHA: hashOf(name)})
	if name == "adopted" {
		rel = deploy.AdoptedRelease(app)
	}
	report := deploy.Report{}
	if ending == deploy.Succeeded {
		report = deploy.Report{Observed: true, Serving: rel, Slot: deploy.Blue}
	}
	if err := a.store.Append(id, 1, deploy.Event{Deploy: id, Target: t, Kind: deploy.KindEnded, Ending: ending, Report: &report}); err != nil {
		a.t.Fatal(err)
	}
}

// begin is what happens at a worker's start.
func (a *away) begin() {
	a.t.Helper()
	if err := a.tellMissed(a.t.Context()); err != nil {
		a.t.Errorf("it ends the worker: %v", err)
	}
}

// said are the messages so far, sorted, their lines joined.
func (a *away) said() []string {
	var out []string
	for _, m := range a.chat.told {
		out = append(out, m.Channel+"\n"+strings.Join(m.Lines, "\n"))
	}
	slices.Sort(out)
	return out
}

func TestAMissedPushIsToldOnceOverRestarts(t *testing.T) {
	inAway(t, func(a *away) {
		a.deployed("shop", "old", deploy.Succeeded)
		a.tip("shop", "new")
		a.begin()
		a.begin()
		want := "slack:C1\n1 push was missed while ipublish was away:\nshop → production: main is at " + deploy.Short(hashOf("new")) +
			" change new, " + deploy.Short(hashOf("old")) + " is live: `deploy shop main to production`"
		if got := a.said(); len(got) != 1 || got[0] != want {
			t.Errorf("told %q", got)
		}
		a.tip("shop", "newer")
		a.begin()
		if got := a.said(); len(got) != 2 {
			t.Errorf("told %q", got)
		}
		if all, err := a.store.History(nil, 0, 10); err != nil || len(all) != 1 {
			t.Errorf("%d deploys, %v: telling deploys nothing", len(all), err)
		}
	})
}

func TestEachChannelGetsOneMessageWithWhatConcernsIt(t *testing.T) {
	inAway(t, func(a *away) {
		a.configure(awayApp("api", "slack:C1", "slack:C2"), awayApp("shop", "slack:C1", "slack:C1"))
		for _, app := range []string{"api", "shop"} {
			a.deployed(app, "old", deploy.Succeeded)
			a.tip(app, "new")
		}
		a.begin()
		got := a.said()
		if len(got) != 2 || !strings.HasPrefix(got[0], "slack:C1\n2 pushes were missed") || !strings.HasPrefix(got[1], "slack:C2\n1 push was missed") {
			t.Errorf("told %q", got)
		}
	})
}

func TestWhatIsKnownHereWasNotMissed(t *testing.T) {
	for name, happened := range map[string]func(a *away){
		"live":    func(a *away) { a.tip("shop", "old") },
		"waiting": func(a *away) { a.deployed("shop", "new", "") },
		"failed":  func(a *away) { a.deployed("shop", "new", deploy.Failed) },
		"live before": func(a *away) {
			a.deployed("shop", "new", deploy.Succeeded)
			a.deployed("shop", "old", deploy.Succeeded)
		},
		"skipped by its title": func(a *away) {
			a.remote.tips["shop main"] = deploy.Commit{SHA: hashOf("new"), Title: "[SKIP deploy] notes"}
		},
		"polled": func(a *away) {
			app := awayApp("shop", "slack:C1")
			app.Poll = deploy.Duration(time.Minute)
			a.configure(app)
		},
		"not deployed by pushes": func(a *away) {
			app := awayApp("shop", "slack:C1")
			app.Environments[0].AutoDeploy = false
			a.configure(app)
		},
		"beside what was adopted": func(a *away) { a.deployed("shop", "adopted", deploy.Succeeded) },
		"the first deploy": func(a *away) {
			a.configure(awayApp("fresh", "slack:C1"))
			a.tip("fresh", "new")
		},
	} {
		t.Run(name, func(t *testing.T) {
			inAway(t, func(a *away) {
				a.deployed("shop", "old", deploy.Succeeded)
				a.tip("shop", "new")
				happened(a)
				a.begin()
				if got := a.said(); len(got) != 0 {
					t.Errorf("told %q", got)
				}
			})
		})
	}
}

func TestReleasesThatFailedOrWereLeftLongAgoAreKnown(t *testing.T) {
	tip := deploy.Commit{SHA: hashOf("new")}
	key := deploy.NewRelease(awayApp("shop"), tip).Key()
	other := deploy.NewRelease(awayApp("shop"), deploy.Commit{SHA: hashOf("old")})
	for name, live := range map[string]deploy.Live{
		"failed": {Bad: []string{other.Key(), key}},
		"left":   {Left: []string{key}},
		"good":   {Good: []deploy.Past{{Release: other}, {Release: deploy.NewRelease(deploy.App{Name: "changed"}, tip)}}},
	} {
		if missing(tip, live, nil) {
			t.Errorf("a release that is %s counts as missed", name)
		}
	}
	if !missing(tip, deploy.Live{Bad: []string{other.Key()}, Left: []string{other.Key()}, Good: []deploy.Past{{Release: other}}}, nil) {
		t.Error("a tip that nobody knows is not missed")
	}
}

func TestAPushWhoseDeliveryIsOnItsWayIsNotMissed(t *testing.T) {
	inAway(t, func(a *away) {
		a.deployed("shop", "old", deploy.Succeeded)
		a.tip("shop", "new")
		done := make(chan struct{})
		go func() { defer close(done); a.begin() }()
		time.Sleep(3 * time.Second)
		a.deployed("shop", "new", "")
		<-done
		if got := a.said(); len(got) != 0 {
			t.Errorf("told %q", got)
		}
	})
}

func TestARepositoryThatDoesNotAnswerHidesNoOther(t *testing.T) {
	inAway(t, func(a *away) {
		a.configure(awayApp("dumb", "slack:C1"), awayApp("shop", "slack:C1"))
		a.deployed("dumb", "old", deploy.Succeeded)
		a.deployed("shop", "old", deploy.Succeeded)
		a.tip("shop", "new")
		began := time.Now()
		a.begin()
		if took := time.Since(began); took > missedPatience+missedGrace {
			t.Errorf("it took %s", took)
		}
		if got := a.said(); len(got) != 1 || !strings.Contains(got[0], "shop → production") {
			t.Errorf("told %q", got)
		}
		if !strings.Contains(a.text.String(), "target=dumb/production") {
			t.Errorf("the log does not name what could not be looked at:\n%s", a.text.String())
		}
	})
}

func TestAChannelThatWasAwayIsToldAtTheNextStart(t *testing.T) {
	inAway(t, func(a *away) {
		a.deployed("shop", "old", deploy.Succeeded)
		a.tip("shop", "new")
		a.chat.fail = &deploy.Error{Code: deploy.CodeUnavailable, Message: "slack.com does not answer"}
		a.begin()
		a.chat.fail = nil
		a.begin()
		a.begin()
		if got := a.said(); len(got) != 1 {
			t.Errorf("told %q", got)
		}
	})
}

func TestTargetsAreEveryConfiguredEnvironment(t *testing.T) {
	inAway(t, func(a *away) {
		a.configure(awayApp("api"), awayApp("shop"))
		if got := fmt.Sprint(a.targets()); got != "[api/production shop/production]" {
			t.Errorf("%s", got)
		}
	})
}
