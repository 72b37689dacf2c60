package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"ipublish/deploy"
)

// tales are the stories whose message is shown in testdata/messages.txt.
func tales() []struct {
	name string
	tell func(*testing.T) *story
} {
	request := deploy.Request{Want: deploy.WantDeploy, Commit: sha("b"), Title: "Fix the basket", Ref: "main", By: ann()}
	titled := func(t *testing.T, w *world) *story {
		w.want(request)
		return planned(t, w)
	}
	return []struct {
		name string
		tell func(*testing.T) *story
	}{
		{"queued", func(t *testing.T) *story { return begin(t, request) }},
		{"queued, not resolved yet", func(t *testing.T) *story {
			return begin(t, deploy.Request{Want: deploy.WantDeploy, Ref: "v1.2", By: ann()})
		}},
		{"starting", func(t *testing.T) *story {
			s := titled(t, usual())
			s.until(deploy.OpStart)
			s.start()
			s.add(deploy.Event{Kind: deploy.KindNoted, Text: "web-1: waiting for port 8081"})
			return s
		}},
		{"baking", func(t *testing.T) *story { s := titled(t, usual()); s.until(deploy.OpBake); s.start(); return s }},
		{"cleaning up", func(t *testing.T) *story { s := titled(t, usual()); s.until(deploy.OpDrain); s.start(); return s }},
		{"succeeded", func(t *testing.T) *story {
			w := usual()
			w.want(request)
			s := lively(t, w)
			s.conclude(w.live, deploy.Succeeded)
			return s
		}},
		{"nothing to do", func(t *testing.T) *story {
			w := usual()
			w.want(deploy.Request{Want: deploy.WantDeploy, Commit: sha("a"), By: ann()})
			s := planned(t, w)
			s.conclude(w.live, deploy.Succeeded)
			return s
		}},
		{"undoing", func(t *testing.T) *story {
			s := titled(t, usual())
			s.until(deploy.OpCheck)
			s.fail(unhealthy(deploy.OpCheck))
			s.back(deploy.Failed)
			return s
		}},
		{"reverting", func(t *testing.T) *story {
			s := titled(t, usual())
			s.until(deploy.OpBake)
			s.fail(unhealthy(deploy.OpBake))
			s.back(deploy.Reverted)
			s.do(nil)
			s.start()
			return s
		}},
		{"reverted", func(t *testing.T) *story {
			w := usual()
			s := titled(t, w)
			s.until(deploy.OpBake)
			s.fail(unhealthy(deploy.OpBake))
			s.back(deploy.Reverted)
			s.all()
			r := deploy.Conclude(s.state, w.live, deploy.Reverted, noon())
			s.add(deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Reverted, Report: &r, Err: s.state.Err})
			return s
		}},
		{"held", func(t *testing.T) *story {
			s := titled(t, usual())
			s.until(deploy.OpCheck)
			s.fail(&deploy.Error{Code: deploy.CodeHold, Op: "check", Subject: "green", Message: "the old release fails its check too"})
			s.add(deploy.Event{Kind: deploy.KindStuck, Err: s.state.Trouble})
			return s
		}},
		{"held after bake", func(t *testing.T) *story {
			s := titled(t, usual())
			s.until(deploy.OpDrain)
			s.fail(&deploy.Error{Code: deploy.CodeTimeout, Op: "drain", Subject: "blue", Message: "the balancer does not answer"})
			s.add(deploy.Event{Kind: deploy.KindStuck, Err: s.state.Trouble})
			return s
		}},
		{"a journal that makes no sense", func(t *testing.T) *story {
			s := titled(t, usual())
			s.state = s.state.Apply(s.event(deploy.Event{Kind: "paused"}))
			return s
		}},
		{"cancelled in the queue", func(t *testing.T) *story {
			s := begin(t, request)
			s.conclude(usual().live, deploy.Cancelled)
			return s
		}},
		{"superseded", func(t *testing.T) *story {
			s := begin(t, request)
			s.add(deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Superseded, Other: 10})
			return s
		}},
		{"rolled back by a person while baking", func(t *testing.T) *story {
			s := titled(t, usual())
			s.until(deploy.OpBake)
			by := deploy.Actor{ID: "slack:U2", Name: "bob"}
			s.add(deploy.Event{Kind: deploy.KindCancel, By: &by, Text: "rollback"})
			s.back(deploy.Reverted)
			return s
		}},
		{"a rollback", func(t *testing.T) *story {
			w := worlds()["flip"]
			s := lively(t, w)
			s.conclude(w.live, deploy.Succeeded)
			return s
		}},
		{"an old slot is stopped", func(t *testing.T) *story {
			w := worlds()["flip"]
			w.want(deploy.Request{Want: deploy.WantRetire, By: deploy.SystemActor()})
			s := planned(t, w)
			s.all()
			s.conclude(w.live, deploy.Succeeded)
			return s
		}},
		{"a deploy with hooks", func(t *testing.T) *story {
			w := usual()
			w.hooked()
			w.want(request)
			s := planned(t, w)
			s.until(deploy.OpHook)
			s.start()
			return s
		}},
		{"background work is waited for", func(t *testing.T) *story {
			w := worlds()["flip"]
			w.hooked()
			w.want(deploy.Request{Want: deploy.WantRetire, By: deploy.SystemActor()})
			s := planned(t, w)
			s.until(deploy.OpIdle)
			s.start()
			return s
		}},
		{"rolled back by a person", func(t *testing.T) *story {
			w := usual()
			s := titled(t, w)
			s.until(deploy.OpBake)
			by := deploy.Actor{ID: "slack:U2", Name: "bob"}
			s.add(deploy.Event{Kind: deploy.KindCancel, By: &by, Text: deploy.RolledBack})
			s.back(deploy.Reverted)
			s.all()
			s.conclude(w.live, deploy.Reverted)
			return s
		}},
		{"what runs is adopted", func(t *testing.T) *story {
			w := newWorld()
			w.strange(deploy.Blue, 4242, "java", "")
			w.want(deploy.Request{Want: deploy.WantAdopt, By: ann()})
			s := planned(t, w)
			s.all()
			s.conclude(deploy.Live{Release: deploy.AdoptedRelease("shop"), Slot: deploy.Blue}, deploy.Succeeded)
			return s
		}},
		{"a lock is asked for", func(t *testing.T) *story {
			return begin(t, deploy.Request{Want: deploy.WantLock, Reason: "database migration", By: ann()})
		}},
		{"locked for some time", func(t *testing.T) *story {
			return instant(t, deploy.Request{Want: deploy.WantLock, Reason: "database migration", For: deploy.Duration(2 * time.Hour), At: noon(), By: ann()})
		}},
		{"locked", func(t *testing.T) *story {
			return instant(t, deploy.Request{Want: deploy.WantLock, Reason: "database migration", At: noon(), By: ann()})
		}},
		{"a lock is refused", func(t *testing.T) *story {
			s := begin(t, deploy.Request{Want: deploy.WantLock, Reason: "database migration", By: ann()})
			s.add(deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Rejected, Err: &deploy.Error{Code: deploy.CodeRefused, Message: "lock needs the role deployer"}})
			return s
		}},
		{"unlocked", func(t *testing.T) *story {
			return instant(t, deploy.Request{Want: deploy.WantUnlock, By: ann()})
		}},
		{"a lock's time is over", func(t *testing.T) *story {
			return instant(t, deploy.Request{Want: deploy.WantUnlock, Lock: 7, By: deploy.SystemActor()})
		}},
		{"a file is accepted", func(t *testing.T) *story {
			w := usual()
			w.want(deploy.Request{Want: deploy.WantAccept, By: ann()})
			return planned(t, w)
		}},
	}
}

// instant is the story of a request that is carried out at the claim.
func instant(t *testing.T, r deploy.Request) *story {
	s := begin(t, r)
	s.add(deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Succeeded})
	return s
}

func TestGoldenMessages(t *testing.T) {
	name := filepath.Join("testdata", "messages.txt")
	got := &txtar.Archive{Comment: []byte("What a channel shows at each place of a deploy's life.\n")}
	for _, tale := range append(tales(), rollTales()...) {
		s := tale.tell(t)
		before := text(t, s.state)
		m := deploy.Describe(s.state)
		if after := text(t, s.state); after != before {
			t.Errorf("%s: describing changed the state", tale.name)
		}
		got.Files = append(got.Files, txtar.File{Name: tale.name, Data: []byte(shown(m))})
	}
	if *update {
		if err := os.WriteFile(name, txtar.Format(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, f := range archive.Files {
		want[f.Name] = string(f.Data)
	}
	for _, f := range got.Files {
		if want[f.Name] != string(f.Data) {
			t.Errorf("%s is now told as\n%s\ninstead of\n%s", f.Name, f.Data, want[f.Name])
		}
	}
	if len(want) != len(got.Files) {
		t.Errorf("%d messages are told, %s has %d", len(got.Files), name, len(want))
	}
}

func shown(m deploy.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n[%s, %s, %d%%%s]\n", m.Title, m.Status, m.Tone, m.Percent, map[bool]string{true: ", final"}[m.Final])
	var steps []string
	for _, s := range m.Steps {
		steps = append(steps, s.Label+" ("+s.State+")")
	}
	if len(steps) > 0 {
		fmt.Fprintln(&b, strings.Join(steps, ", "))
	}
	for _, l := range m.Lines {
		fmt.Fprintln(&b, "- "+l)
	}
	if m.Log != "" {
		fmt.Fprintln(&b, "log: "+m.Log)
	}
	return b.String()
}
