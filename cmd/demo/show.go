package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"ipublish/cmd/client"
	"ipublish/cmd/screen"
	"ipublish/deploy"
)

// findPatience is how long a push may take to show up as a deploy.
const findPatience = 10 * time.Second

// crowdTime is how long the users are watched before the first push.
const crowdTime = 1500 * time.Millisecond

// show is the acts, and what of them did not hold.
type show struct {
	*demo
	api    *client.Client
	began  time.Time
	missed []string
}

// run plays the acts. The error names what did not hold.
func (s *show) run(ctx context.Context) error {
	acts := []func(context.Context) error{s.first, s.crowd, s.release, s.bad, s.summary}
	for _, act := range acts {
		err := act(ctx)
		switch {
		case ctx.Err() != nil:
			return interrupted(ctx)
		case err != nil:
			return err
		case len(s.missed) > 0:
			return failure(s.missed)
		}
	}
	return nil
}

// expect notes a promise that did not hold.
func (s *show) expect(holds bool, format string, args ...any) {
	if !holds {
		s.missed = append(s.missed, fmt.Sprintf(format, args...))
	}
}

func (s *show) act(title string, lines ...string) {
	s.screen.Print(strings.Join(append([]string{"", screen.Heading(title)}, lines...), "\n"))
}

// first starts the server and puts version 1 live by a command.
func (s *show) first(ctx context.Context) error {
	s.act("1 · A server, a sample app, its first release",
		"installed in "+s.folder.Dir, "ipublish serve, its proxy and the shop are processes of their own", "ipub> /ipub deploy main")
	if err := s.serve(ctx, s.api); err != nil {
		return err
	}
	s.git.tell()
	answer, err := s.api.Command(ctx, "/ipub deploy main", rand.Text())
	if err != nil {
		return err
	}
	s.screen.Print(answer.Text)
	st, err := s.follow(ctx, answer.Deploy)
	if err != nil {
		return err
	}
	s.expect(st.Ending == deploy.Succeeded, "version 1 goes live (it %s)", ended(st))
	if len(s.missed) > 0 {
		return nil
	}
	return s.serves(ctx, 1)
}

// crowd lets the users come.
func (s *show) crowd(ctx context.Context) error {
	s.act("2 · Users: about 100 orders a second through the proxy, from now on",
		fmt.Sprintf("%d keep their connections, %d open a new one for each; no order is repeated", regulars, visitors))
	s.users = startUsers(context.WithoutCancel(ctx), s.folder.Front)
	for range 5 {
		pause(ctx, crowdTime/5)
		s.screen.Draw(s.usersLine())
	}
	s.screen.Print(s.usersLine())
	n := s.users.tally.now()
	s.expect(n.Requests > 0 && n.Failed == 0, "users are served (%s)", n)
	return nil
}

// release pushes version 2, which nobody is to notice.
func (s *show) release(ctx context.Context) error {
	s.act("3 · A git push releases version 2, in front of everybody")
	before := s.users.tally.now()
	st, err := s.pushed(ctx, 2, "Offer gift wrapping")
	if err != nil {
		return err
	}
	saw := s.users.tally.now().since(before)
	s.expect(st.Ending == deploy.Succeeded, "version 2 goes live (it %s)", ended(st))
	s.silent(st, saw)
	if err := s.serves(ctx, 2); err != nil {
		return err
	}
	s.verdict("nobody noticed: "+saw.String()+" meanwhile", saw)
	return nil
}

// bad pushes version 3, which passes the gate and fails under traffic.
func (s *show) bad(ctx context.Context) error {
	s.act("4 · A git push releases version 3, which is bad",
		"it keeps the database connection of every order: healthy while it is idle, so",
		"that it passes the gate, and not healthy any more once the users are on it")
	before := s.users.tally.now()
	st, err := s.pushed(ctx, 3, "Use a database")
	if err != nil {
		return err
	}
	saw := s.users.tally.now().since(before)
	s.expect(st.Ending == deploy.Reverted, "version 3 is reverted by itself (it %s)", ended(st))
	s.expect(saw.Versions["3"] > 0, "version 3 had traffic before it was reverted")
	s.silent(st, saw)
	if err := s.serves(ctx, 2); err != nil {
		return err
	}
	s.verdict("taken back by itself, and again nobody noticed: "+saw.String(), saw)
	return nil
}

// summary tells how it all stands.
func (s *show) summary(ctx context.Context) error {
	s.act("What is so now", "ipub> /ipub status")
	answer, err := s.api.Command(ctx, "/ipub status", rand.Text())
	if err != nil {
		return err
	}
	s.screen.Print(answer.Text)
	n := s.users.tally.now()
	s.screen.Print(fmt.Sprintf("all in all: %s, in %d s", n, int(time.Since(s.began).Seconds())))
	s.expect(n.Failed == 0, "no request failed in all the time (%s)", n)
	return nil
}

// pushed commits and pushes a version and follows the deploy that this leads to.
func (s *show) pushed(ctx context.Context, version int, message string) (deploy.State, error) {
	hash, err := s.repo.commit(version, message)
	if err != nil {
		return deploy.State{}, err
	}
	s.screen.Print(fmt.Sprintf("$ git commit -am %q && git push     # %.7s", message, hash))
	if err := s.repo.push(ctx); err != nil {
		return deploy.State{}, err
	}
	if err := s.git.delivered(); err != nil {
		return deploy.State{}, err
	}
	<-s.git.pushed
	return s.arrived(ctx, hash)
}

// arrived follows the deploy that a push led to.
func (s *show) arrived(ctx context.Context, hash string) (deploy.State, error) {
	id, err := s.find(ctx, hash)
	if err != nil {
		return deploy.State{}, err
	}
	s.screen.Print(fmt.Sprintf("the git host's signed webhook was taken: %s", id))
	return s.follow(ctx, id)
}

// find waits for the deploy of a commit to show up.
func (s *show) find(ctx context.Context, commit string) (deploy.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, findPatience)
	defer cancel()
	for {
		answer, err := s.api.Status(ctx)
		if err != nil {
			return 0, err
		}
		for _, o := range answer.Environments {
			states := o.Waiting
			if o.Active != nil {
				states = append(states, *o.Active)
			}
			for _, st := range states {
				if st.Commit.SHA == commit {
					return st.ID, nil
				}
			}
			if o.Live.Release.Commit.SHA == commit {
				return o.Live.Deploy, nil
			}
		}
		if !pause(ctx, askInterval) {
			return 0, &deploy.Error{Code: deploy.CodeTimeout, Op: "demo", Message: fmt.Sprintf("the push of %.7s did not lead to a deploy", commit)}
		}
	}
}

// follow shows a deploy to its end, with the users below it; one that waits
// behind a lock is left waiting, because the unlock is typed here too.
func (s *show) follow(ctx context.Context, id deploy.ID) (deploy.State, error) {
	var aside func() string
	if s.users != nil {
		aside = s.usersLine
	}
	stream := func(ctx context.Context, tell func(deploy.Event)) error {
		ctx, leave := context.WithCancel(ctx)
		defer leave()
		var st deploy.State
		return s.api.Follow(ctx, id, func(ev deploy.Event) {
			tell(ev)
			if st = st.Apply(ev); waits(st) {
				leave()
			}
		})
	}
	st, err := s.screen.Follow(ctx, stream, aside)
	if st.Phase == deploy.PhaseStuck || waits(st) {
		err = nil // the last picture says so, and what to do
	}
	return st, err
}

// waits reports whether the deploy was told what it waits for.
func waits(st deploy.State) bool { return st.Phase == deploy.PhaseQueued && st.Note != "" }

func (s *show) usersLine() string {
	n := s.users.tally.now()
	return fmt.Sprintf("users: %s orders, %d failed · %s", thousands(n.Requests), n.Failed, n.answers())
}

// silent expects that neither the users nor ipublish saw a failure.
func (s *show) silent(st deploy.State, saw count) {
	s.expect(saw.Failed == 0 && saw.Requests > 0, "no user notices %s (%s)", st.ID, saw)
	if r := st.Report; r != nil {
		s.expect(r.Measured != "" && r.Requests > 0 && r.Failures == 0, "ipublish's report of %s has no failure (%s)", st.ID, r.Silence())
	}
}

func (s *show) verdict(text string, saw count) {
	if len(s.missed) > 0 {
		s.screen.Print("✘ " + strings.Join(s.missed, "; "))
		return
	}
	s.screen.Print("✔ " + text + "\n  answered by " + saw.answers())
}

// serves expects the version behind the front door.
func (s *show) serves(ctx context.Context, version int) error {
	url := "http://" + s.folder.Front + "/"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err != nil {
		return err
	}
	s.screen.Print("$ curl " + url + "\n" + strings.TrimSpace(string(text)))
	s.expect(res.Header.Get("X-Version") == fmt.Sprint(version), "version %d answers at %s (%s)", version, url, res.Status)
	return nil
}

// ended is the ending in words, or why there is none.
func ended(st deploy.State) string {
	switch {
	case st.Ended() && st.Err != nil:
		return string(st.Ending) + ": " + deploy.MessageOf(st.Err)
	case st.Ended():
		return string(st.Ending)
	}
	return "is " + string(st.Phase)
}
