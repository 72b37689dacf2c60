package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/bot"
	"ipublish/bot/bottest"
	"ipublish/cmd/client"
	"ipublish/deploy"
)

// endLimit is how long a deploy may take.
const endLimit = 100 * time.Second

// api speaks to the rig's server as the local user.
type api struct {
	rig    *rig
	client *client.Client
	http   *http.Client
	newest deploy.ID // that was found by its commit
	limit  time.Duration
}

func newAPI(r *rig) *api {
	socket := r.state("ipublish.sock")
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &api{rig: r, limit: endLimit, client: client.New("unix:"+socket, ""),
		http: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// get reads one JSON answer.
func (a *api) get(path string, into any) (int, error) {
	res, err := a.http.Get("http://ipublish" + path)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return res.StatusCode, nil
	}
	return res.StatusCode, json.NewDecoder(res.Body).Decode(into)
}

// state is one deploy as it stands; false while the server does not tell it.
func (a *api) state(id deploy.ID) (deploy.State, bool) {
	var st deploy.State
	status, err := a.get(fmt.Sprintf("/api/v1/deploys/%d", id), &st)
	return st, err == nil && status == http.StatusOK
}

// live is the environment shop/production as it stands.
func (a *api) live() deploy.Live {
	a.rig.t.Helper()
	var answer bot.StatusAnswer
	if status, err := a.get("/api/v1/status", &answer); err != nil || status != http.StatusOK || len(answer.Environments) == 0 {
		a.rig.t.Fatalf("status: %d %v %v", status, err, answer)
	}
	return answer.Environments[0].Live
}

// push commits a version, delivers GitHub's push of it and returns its deploy.
func (r *rig) push(b behaviour) deploy.ID {
	r.t.Helper()
	return r.pushed(r.commit(b))
}

// pushed delivers the push of a commit and returns its deploy.
func (r *rig) pushed(sha string) deploy.ID {
	r.t.Helper()
	if status, err := r.deliver(bottest.Push{After: sha, Title: r.title(sha)}); err != nil || status != http.StatusAccepted {
		r.t.Fatalf("the push is answered %d, %v; want 202", status, err)
	}
	return r.api.byCommit(sha)
}

// title is what the push says of the commit.
func (r *rig) title(sha string) string { return "Release " + deploy.Short(sha) }

// byCommit finds the newest push's deploy.
func (a *api) byCommit(sha string) deploy.ID {
	a.rig.t.Helper()
	var id deploy.ID
	eventually(a.rig.t, 10*time.Second, "the acknowledged push of "+deploy.Short(sha)+" is a deploy", func() bool {
		for next := a.newest + 1; ; next++ {
			st, ok := a.state(next)
			if !ok {
				return false
			}
			a.newest = next
			if st.Request.Auto && st.Request.Commit == sha {
				id = next
				return true
			}
		}
	})
	return id
}

// command sends one line of the grammar and wants it to be accepted.
func (a *api) command(text, key string) bot.CommandAnswer {
	a.rig.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	answer, err := a.client.Command(ctx, text, key)
	if err != nil || answer.Exit != 0 {
		a.rig.t.Fatalf("%s: %v: %+v", text, err, answer)
	}
	return answer
}

// follow tells every event of a deploy once, in order, until it has ended or is
// held for the first time; it returns the deploy as it then stands.
func (a *api) follow(id deploy.ID, tell func(deploy.State, deploy.Event)) deploy.State {
	a.rig.t.Helper()
	return a.watch(id, tell, func(st deploy.State) bool { return st.Ended() || st.Phase == deploy.PhaseStuck })
}

// watch tells every event once, in order, over restarts of the server, until it
// is over.
func (a *api) watch(id deploy.ID, tell func(deploy.State, deploy.Event), over func(deploy.State) bool) deploy.State {
	a.rig.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), a.limit)
	defer stop()
	var st deploy.State
	eventually(a.rig.t, a.limit, fmt.Sprintf("%s ends", id), func() bool {
		inner, done := context.WithCancel(ctx)
		defer done()
		_ = a.client.Follow(inner, id, func(ev deploy.Event) {
			if ev.N != st.N+1 || over(st) {
				return
			}
			st = st.Apply(ev)
			if tell != nil {
				tell(st, ev)
			}
			if over(st) {
				done()
			}
		}) // a server that was killed ends the stream; the next one is asked again
		return over(st)
	})
	return st
}

// ends waits for a deploy's end and wants it to be one of these.
func (a *api) ends(id deploy.ID, want ...deploy.Ending) deploy.State {
	a.rig.t.Helper()
	st := a.watch(id, nil, deploy.State.Ended)
	if !slices.Contains(want, st.Ending) {
		a.rig.t.Fatalf("%s is %s %s (%v, %v), want %s", id, st.Phase, st.Ending, st.Err, st.Stuck, want)
	}
	return st
}

// atStep calls act once, when the journal says that the operation's step began.
func atStep(op deploy.Op, act func()) func(deploy.State, deploy.Event) {
	done := false
	return func(st deploy.State, ev deploy.Event) {
		step, ok := st.StepAt(ev.Step)
		if ev.Kind == deploy.KindStarted && ok && step.Op == op && !done {
			done = true
			act()
		}
	}
}

// serves asks a front door once who answers there.
func serves(t testing.TB, front string) string {
	t.Helper()
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Post(strings.TrimSuffix(front, "/")+"/", "text/plain", strings.NewReader("x"))
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	var version string
	_, _ = fmt.Fscan(res.Body, &version) // an empty answer is told as one
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	return version
}

// mustServe wants a version at a front door.
func mustServe(t testing.TB, front, want string) {
	t.Helper()
	if got := serves(t, front); got != want {
		t.Errorf("%s is answered by %q, want %q", front, got, want)
	}
}

// mustHold wants every text in what was said.
func mustHold(t testing.TB, what, said string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(said, w) {
			t.Errorf("%s does not say %q:\n%s", what, w, said)
		}
	}
}

// cards are what the channel shows of a deploy, oldest first.
func (r *rig) cards(id deploy.ID) []bottest.SlackMessage {
	var out []bottest.SlackMessage
	for _, m := range r.slack.Messages(channel) {
		if strings.Contains(m.Visible(), "· "+id.String()+" ·") || strings.HasSuffix(firstLine(m.Visible()), "· "+id.String()) {
			out = append(out, m)
		}
	}
	return out
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// told waits until the channel shows a deploy's end, and returns everything that
// it shows of it.
func (r *rig) told(id deploy.ID, wanted ...string) string {
	r.t.Helper()
	all := func() string {
		var parts []string
		for _, m := range r.cards(id) {
			parts = append(parts, m.Visible())
		}
		return strings.Join(parts, "\n---\n")
	}
	over := time.Now().Add(30 * time.Second)
	eventually(r.t, 40*time.Second, fmt.Sprintf("the channel tells of %s", id), func() bool {
		said := all()
		for _, w := range wanted {
			if !strings.Contains(said, w) {
				return time.Now().After(over)
			}
		}
		return true
	})
	mustHold(r.t, "the channel", all(), wanted...)
	return all()
}
