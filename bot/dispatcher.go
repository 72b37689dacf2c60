package bot

import (
	"context"
	"slices"
	"sync"
	"time"

	"ipublish/deploy"
)

const (
	// spacing is the least time between two messages to one channel.
	spacing = 1200 * time.Millisecond
	// gathering lets the events of a burst come in before the letters are read:
	// there may be thousands of them.
	gathering = 50 * time.Millisecond
	// remembered is how long the timing of a message is kept after its last try.
	remembered = 2 * time.Minute
	// idleWait is how long to sleep where nothing is due; any event wakes.
	idleWait = time.Hour
)

// dispatcher sends pending letters: one at a time a channel, channels side by
// side, finals first. One goroutine owns its maps; a goroutine per channel in
// use does the sending and reports back.
type dispatcher struct {
	n       *Notifier
	lanes   map[string]*lane     // by channel
	timings map[envelope]*timing // by letter
	results chan result          // from the senders
	senders sync.WaitGroup
}

// lane is one channel's turn.
type lane struct {
	busy  bool
	after time.Time // nothing is sent before
	pause backoff
}

// envelope names a letter.
type envelope struct {
	id      deploy.ID
	channel string
}

// timing is when one letter was tried, and when it may be again.
type timing struct {
	tried time.Time
	after time.Time
	pause backoff
}

type result struct {
	letter deploy.Letter
	sent   deploy.Letter // as it is recorded now
	called bool          // the chat was asked to show something
	err    error
}

func newDispatcher(n *Notifier) *dispatcher {
	return &dispatcher{n: n, lanes: map[string]*lane{}, timings: map[envelope]*timing{}, results: make(chan result)}
}

func envelopeOf(l deploy.Letter) envelope { return envelope{l.Deploy, l.Channel} }

// run sends until ctx ends, then waits for the senders.
func (d *dispatcher) run(ctx context.Context, wake <-chan struct{}) error {
	defer d.senders.Wait()
	var trouble backoff
	pending, err := d.n.Outbox.Pending()
	for {
		wait := d.start(ctx, pending)
		wait = min(wait, d.readTrouble(err, &trouble))
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-wake:
			sleep(ctx, gathering)
			pending, err = d.n.Outbox.Pending()
		case r := <-d.results:
			d.settle(r, time.Now())
			pending = d.refresh(pending, r)
		case <-timer.C:
			pending, err = d.n.Outbox.Pending()
		}
		timer.Stop()
	}
}

// refresh brings one handled letter of the list up to date, without reading
// thousands of others again; what is new meanwhile comes with the next wake.
func (d *dispatcher) refresh(pending []deploy.Letter, r result) []deploy.Letter {
	i := slices.IndexFunc(pending, func(l deploy.Letter) bool { return envelopeOf(l) == envelopeOf(r.letter) })
	if i < 0 || r.err != nil {
		return pending
	}
	if r.sent.SentN >= pending[i].WantN {
		return slices.Delete(pending, i, i+1)
	}
	pending[i].Ref, pending[i].SentN, pending[i].Data = r.sent.Ref, r.sent.SentN, r.sent.Data
	return pending
}

// readTrouble says when to read the letters again.
func (d *dispatcher) readTrouble(err error, pause *backoff) time.Duration {
	if err == nil {
		*pause = backoff{}
		return idleWait
	}
	if pause.failures == 0 {
		d.n.Log.Error("letters cannot be read", "err", err)
	}
	return pause.next(maxPause)
}

// start begins to send what may be sent now, and says when to look again.
func (d *dispatcher) start(ctx context.Context, pending []deploy.Letter) time.Duration {
	now := time.Now()
	d.forget(pending, now)
	chosen, next := d.choose(pending, now)
	for _, l := range chosen {
		d.lane(l.Channel).busy = true
		d.senders.Go(func() { d.deliver(ctx, l) })
	}
	return next.Sub(now)
}

func (d *dispatcher) deliver(ctx context.Context, l deploy.Letter) {
	r := result{letter: l}
	r.sent, r.called, r.err = d.n.send(ctx, l)
	select {
	case d.results <- r:
	case <-ctx.Done():
	}
}

// choose picks for every free channel the letter whose turn it is, and the
// time at which the next one's may come.
func (d *dispatcher) choose(pending []deploy.Letter, now time.Time) (chosen []deploy.Letter, next time.Time) {
	next = now.Add(idleWait)
	best := map[string]deploy.Letter{}
	for _, l := range pending {
		free := later(d.lane(l.Channel).after, d.timing(l).after)
		switch known, taken := best[l.Channel]; {
		case d.lane(l.Channel).busy:
		case free.After(now):
			next = earlier(next, free)
		case !taken || d.before(l, known):
			best[l.Channel] = l
		}
	}
	for _, l := range best {
		chosen = append(chosen, l)
	}
	return chosen, next
}

// before orders letters of a channel: ends first, then the one that waits longest.
func (d *dispatcher) before(a, b deploy.Letter) bool {
	if a.Final != b.Final {
		return a.Final
	}
	at, bt := d.timing(a).tried, d.timing(b).tried
	if !at.Equal(bt) {
		return at.Before(bt)
	}
	return a.Deploy < b.Deploy
}

// settle notes how a sending went. Trouble of the platform holds the channel,
// trouble of one message only that message.
func (d *dispatcher) settle(r result, now time.Time) {
	lane, t := d.lane(r.letter.Channel), d.timing(r.letter)
	lane.busy, t.tried = false, now
	if r.called {
		lane.after = now.Add(spacing)
	}
	code := deploy.CodeOf(r.err)
	wait, asked := throttled(r.err)
	switch {
	case r.err == nil:
		lane.pause, t.pause = backoff{}, backoff{}
		return
	case asked:
		lane.after = later(lane.after, now.Add(wait))
		return
	case code == deploy.CodeUnavailable || code == deploy.CodeTimeout:
		d.complain(r, lane.pause)
		lane.after = later(lane.after, now.Add(lane.pause.next(maxPause)))
	case code != deploy.CodeCancelled:
		d.complain(r, t.pause)
		t.after = now.Add(t.pause.next(personPause))
	}
}

// complain logs the first failure of a row.
func (d *dispatcher) complain(r result, pause backoff) {
	if pause.failures == 0 {
		d.n.Log.Warn("a message could not be sent and is tried again", "deploy", r.letter.Deploy.String(), "channel", r.letter.Channel, "err", r.err)
	}
}

func (d *dispatcher) lane(channel string) *lane {
	if d.lanes[channel] == nil {
		d.lanes[channel] = &lane{}
	}
	return d.lanes[channel]
}

func (d *dispatcher) timing(l deploy.Letter) *timing {
	if d.timings[envelopeOf(l)] == nil {
		d.timings[envelopeOf(l)] = &timing{}
	}
	return d.timings[envelopeOf(l)]
}

// forget drops the timing of what is not pending any more, so that memory is
// bounded by what is.
func (d *dispatcher) forget(pending []deploy.Letter, now time.Time) {
	wanted, channels := map[envelope]bool{}, map[string]bool{}
	for _, l := range pending {
		wanted[envelopeOf(l)], channels[l.Channel] = true, true
	}
	for e, t := range d.timings {
		if !wanted[e] && now.Sub(t.tried) > remembered {
			delete(d.timings, e)
		}
	}
	for c, l := range d.lanes {
		if !channels[c] && !l.busy && now.Sub(l.after) > remembered {
			delete(d.lanes, c)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
