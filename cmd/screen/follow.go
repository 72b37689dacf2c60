package screen

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ipublish/bot"
	"ipublish/deploy"
)

// redrawn is how often a deploy is drawn anew on a terminal.
const redrawn = 200 * time.Millisecond

// Stream calls tell with each event of a deploy, in order, until its end or ctx's.
type Stream func(ctx context.Context, tell func(deploy.Event)) error

// Follow shows a deploy as its events come, to the end of the stream, and
// returns its last state. It blocks until then, or until a person is needed: a
// deploy that is held gets no events by itself. aside, where it is not nil,
// gives a line that is shown below the moving picture. The error is the stream's.
func (s *Screen) Follow(ctx context.Context, stream Stream, aside func() string) (deploy.State, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	events, ended := make(chan deploy.Event), make(chan error, 1)
	go func() {
		ended <- stream(ctx, func(ev deploy.Event) {
			select {
			case events <- ev:
			case <-ctx.Done():
			}
		})
	}()
	f := following{screen: s, aside: aside}
	tick := time.NewTicker(redrawn)
	defer tick.Stop()
	for {
		select {
		case ev := <-events:
			f.apply(ev)
			if f.st.Phase == deploy.PhaseStuck && f.st.Cancel == nil {
				stop()
			}
		case <-tick.C:
			f.draw()
		case err := <-ended:
			f.close()
			return f.st, err
		}
	}
}

type following struct {
	screen *Screen
	aside  func() string
	st     deploy.State
	said   string
}

func (f *following) apply(ev deploy.Event) {
	f.st = f.st.Apply(ev)
	if f.screen.Moves() {
		f.draw()
		return
	}
	f.line(ev.At)
}

// draw shows the state as it stands now, with the time that it has taken.
func (f *following) draw() {
	if f.st.N == 0 || f.st.Ended() {
		return
	}
	m := deploy.Describe(f.st)
	m.Log = ""
	if took := time.Since(f.st.Claimed); !f.st.Claimed.IsZero() && took > 0 {
		m.Status += fmt.Sprintf(", %d s", int(took.Seconds()))
	}
	text := bot.RenderText(m)
	if f.aside != nil {
		text += "\n" + f.aside()
	}
	f.screen.Draw(text)
}

// line prints what changed, once: a new status, or the step that began.
func (f *following) line(at time.Time) {
	m := deploy.Describe(f.st)
	status, step := fmt.Sprintf("%s %s", f.st.ID, m.Status), doing(m)
	if f.st.Ended() || step == "" && strings.HasPrefix(f.said, status) || status+step == f.said {
		return
	}
	f.said = status + step
	f.screen.Print(at.Local().Format(time.TimeOnly) + " " + f.said)
}

// doing names the step at work: ", step 4 of 12: start green".
func doing(m deploy.Message) string {
	for i, s := range m.Steps {
		if s.State == "doing" {
			return fmt.Sprintf(", step %d of %d: %s", i+1, len(m.Steps), s.Label)
		}
	}
	return ""
}

// close prints the last state whole, so that it stays.
func (f *following) close() {
	if f.st.N > 0 {
		f.screen.Print(strings.TrimRight(bot.RenderText(deploy.Describe(f.st)), "\n"))
	}
}
