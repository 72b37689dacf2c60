package bot

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ipublish/deploy"
)

// reader is the notifier's name among the readers of the journal.
const reader = "notifier"

const (
	tailBatch = 256 // events read at once
	// longestLag is how many events that nobody is told of may be looked at again
	// after a kill.
	longestLag = 4 * tailBatch
	// stillness is how long the journal rests before it is remembered that the
	// events before want no letters.
	stillness = 5 * time.Second
)

// Tail is the journal of all deploys, for a reader that remembers how far it came.
type Tail interface {
	// Tail returns at most limit events with Seq > afterSeq; it blocks while there
	// is none. With deploy.CodeDamaged the events are right nevertheless.
	Tail(ctx context.Context, afterSeq uint64, limit int) ([]deploy.Event, error)
	// LastSeq is that of the newest event; 0 before the first one.
	LastSeq() uint64
	// Cursor returns how far a reader came.
	Cursor(reader string) (uint64, error)
}

// Outbox keeps what is to be told, durably.
type Outbox interface {
	// Enqueue moves the reader's cursor and makes the letters wanted, in one
	// transaction; of a known letter only WantN and Final grow.
	Enqueue(reader string, seq uint64, letters []deploy.Letter) error
	// Pending lists the letters with WantN > SentN; with deploy.CodeDamaged the
	// others are right nevertheless.
	Pending() ([]deploy.Letter, error)
	// Sent records Ref, SentN and Data of a letter; WantN and Final stay.
	Sent(l deploy.Letter) error
}

// States gives single deploys.
type States interface {
	// State gives one deploy; deploy.CodeNotFound for an unknown number.
	State(id deploy.ID) (deploy.State, error)
}

// Notifier tells channels how deploys go. It follows the journal from where it
// left off, keeps one letter per deploy and channel, and sends the newest state
// of each: what happened while a chat was away is told in one message. All
// exported fields must be set before Run.
type Notifier struct {
	Config func() Config
	Chats  map[string]Chat // "slack" → its driver
	Tail   Tail
	Outbox Outbox
	States States
	Log    *slog.Logger

	languages translations
}

// Run tells until ctx ends, and has joined everything when it returns. After a
// kill at any moment the next Run goes on; at most one message is told twice.
// No error of a chat ends it.
func (n *Notifier) Run(ctx context.Context) error {
	wake := make(chan struct{}, 1)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.follow(ctx, wake) })
	g.Go(func() error { return newDispatcher(n).run(ctx, wake) })
	return g.Wait()
}

// follow turns new events into letters until ctx ends.
func (n *Notifier) follow(ctx context.Context, wake chan<- struct{}) error {
	var pause backoff
	f := follower{Notifier: n, wake: wake}
	for ctx.Err() == nil {
		err := f.once(ctx)
		if err == nil {
			pause = backoff{}
			continue
		}
		if ctx.Err() != nil {
			break
		}
		n.Log.Error("the journal cannot be told to the channels just now", "err", err)
		sleep(ctx, pause.next(maxPause))
	}
	if err := f.save(nil); err != nil {
		n.Log.Warn("events that nobody is told of will be looked at again", "after", f.saved, "err", err)
	}
	return nil
}

func nudge(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// letters gives the newest want of every deploy and channel that the events touch.
func (n *Notifier) letters(events []deploy.Event) ([]deploy.Letter, error) {
	stories := map[deploy.ID][]deploy.Event{}
	var order []deploy.ID
	for _, ev := range events {
		if stories[ev.Deploy] == nil {
			order = append(order, ev.Deploy)
		}
		stories[ev.Deploy] = append(stories[ev.Deploy], ev)
	}
	var out []deploy.Letter
	for _, id := range order {
		story := stories[id]
		newest := story[len(story)-1]
		channels, err := n.channels(story)
		if err != nil {
			return nil, err
		}
		for _, c := range channels {
			out = append(out, deploy.Letter{Deploy: id, Channel: c, WantN: newest.N, Final: newest.Kind == deploy.KindEnded})
		}
	}
	return out, nil
}

// channels lists who is told of a deploy's events: the environment's channels and
// the one where it was asked for; nobody of housekeeping that goes well.
func (n *Notifier) channels(story []deploy.Event) ([]string, error) {
	s, err := n.stateOf(story)
	if err != nil && deploy.CodeOf(err) != deploy.CodeDamaged && deploy.CodeOf(err) != deploy.CodeNotFound {
		return nil, err
	}
	if s.Request.Housekeeping() && s.Err == nil {
		return nil, nil
	}
	env := n.Config().environment(story[0].Target)
	all := slices.Clone(env.Channels)
	if s.Request.Origin != "" {
		all = append(all, s.Request.Origin)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(c string) bool { return n.chatOf(c) == nil }), nil
}

// stateOf folds a deploy that is told from its beginning, and reads any other.
func (n *Notifier) stateOf(story []deploy.Event) (deploy.State, error) {
	newest := story[len(story)-1]
	if newest.N == uint64(len(story)) {
		return deploy.Fold(story), nil
	}
	return n.States.State(newest.Deploy)
}

// chatOf finds the driver of a channel, which is told in its language; nil for none.
func (n *Notifier) chatOf(channel string) Chat {
	name, _, _ := strings.Cut(channel, ":")
	if n.Chats[name] == nil {
		return nil
	}
	return speaker{Chat: n.Chats[name], name: name, notifier: n}
}

// speaker is a chat that shows messages in its language.
type speaker struct {
	Chat
	name     string
	notifier *Notifier
}

// Post translates the message and shows it.
func (s speaker) Post(ctx context.Context, m deploy.Message) (string, error) {
	return s.Chat.Post(ctx, s.notifier.languages.of(s.notifier.Config(), s.name).Message(m))
}

// Edits asks the chat itself.
func (s speaker) Edits(channel string) bool {
	e, ok := s.Chat.(Editor)
	return ok && e.Edits(channel)
}

const (
	postTimeout = 30 * time.Second
	giveUpAfter = 24 * time.Hour
)

// send shows what is due of one letter: at most one call of the chat.
func (n *Notifier) send(ctx context.Context, l deploy.Letter) (sent deploy.Letter, called bool, err error) {
	s, err := n.States.State(l.Deploy)
	if err != nil {
		return l, false, err
	}
	chat := n.chatOf(l.Channel)
	if chat == nil || s.Ended() && time.Since(s.Last) > giveUpAfter {
		n.Log.Warn("a message is given up", "deploy", l.Deploy.String(), "channel", l.Channel, "ended", s.Ended(), "chat_configured", chat != nil)
		l.SentN = max(s.N, l.WantN)
		return l, false, n.Outbox.Sent(l)
	}
	d := draftFor(s, l, edits(chat, l.Channel))
	ref := ""
	if d.due {
		if ref, err = post(ctx, chat, d.message); err != nil {
			return l, true, err
		}
	}
	sent = d.sent(l, ref)
	return sent, d.due, n.Outbox.Sent(sent)
}

func post(ctx context.Context, c Chat, m deploy.Message) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	return c.Post(ctx, m)
}

func edits(c Chat, channel string) bool {
	e, ok := c.(Editor)
	return ok && e.Edits(channel)
}

// throttled gives the wait that a platform asked for.
func throttled(err error) (time.Duration, bool) {
	var t *Throttled
	if !errors.As(err, &t) {
		return 0, false
	}
	return max(t.After, time.Second), true
}
