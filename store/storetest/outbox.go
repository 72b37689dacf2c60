package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"ipublish/deploy"
)

const channel = "slack:C0DEPLOYS"

func testOutbox(t *testing.T, open Open) {
	t.Run("cursor and letters advance together and survive a restart", func(t *testing.T) {
		f := begin(t, open)
		must(t, f.Enqueue("notifier", 5, []deploy.Letter{{Deploy: 2, Channel: channel, WantN: 3}, {Deploy: 1, Channel: channel, WantN: 4}}))
		f.reopen()
		f.cursor("notifier", 5)
		f.cursor("somebody", 0)
		f.pending(deploy.Letter{Deploy: 1, Channel: channel, WantN: 4}, deploy.Letter{Deploy: 2, Channel: channel, WantN: 3})
	})
	t.Run("a cursor never goes back", func(t *testing.T) {
		f := begin(t, open)
		must(t, f.Enqueue("notifier", 5, nil))
		must(t, f.Enqueue("notifier", 3, nil))
		f.cursor("notifier", 5)
	})
	t.Run("a sent letter is pending only for what came after", func(t *testing.T) {
		f := begin(t, open)
		must(t, f.Enqueue("notifier", 1, []deploy.Letter{{Deploy: 1, Channel: channel, WantN: 1}}))
		sent := deploy.Letter{Deploy: 1, Channel: channel, Ref: "170.1", SentN: 1, Data: json.RawMessage(`{"thread":"t"}`)}
		must(t, f.Enqueue("notifier", 2, []deploy.Letter{{Deploy: 1, Channel: channel, WantN: 2, Final: true}}))
		must(t, f.Sent(sent))
		want := sent
		want.WantN, want.Final = 2, true
		f.pending(want)
		sent.SentN = 2
		must(t, f.Sent(sent))
		f.pending()
		want.SentN = 2
		f.reopen()
		got, err := f.Letter(1, channel)
		must(t, err)
		equal(t, "letter", got, want)
		must(t, f.Enqueue("notifier", 3, []deploy.Letter{{Deploy: 1, Channel: channel, WantN: 1}}))
		f.pending()
		must(t, f.Enqueue("notifier", 4, []deploy.Letter{{Deploy: 1, Channel: channel, WantN: 3}}))
		want.WantN = 3
		f.pending(want)
	})
	t.Run("an unknown letter is not found", func(t *testing.T) {
		f := begin(t, open)
		_, err := f.Letter(1, channel)
		wantCode(t, err, deploy.CodeNotFound)
		wantCode(t, f.Sent(deploy.Letter{Deploy: 1, Channel: channel}), deploy.CodeNotFound)
	})
}

func (f *fixture) cursor(reader string, want uint64) {
	f.t.Helper()
	got, err := f.Cursor(reader)
	must(f.t, err)
	equal(f.t, "cursor of "+reader, got, want)
}

func (f *fixture) pending(want ...deploy.Letter) {
	f.t.Helper()
	got, err := f.Pending()
	must(f.t, err)
	equal(f.t, "pending letters", got, want)
}

func testNonces(t *testing.T, open Open) {
	t.Run("a nonce is fresh once until its time has passed", func(t *testing.T) {
		f := begin(t, open)
		until := f.now().Add(time.Minute)
		f.remember("n1", until, true)
		f.remember("n1", until, false)
		f.remember("n2", until, true)
		f.reopen()
		f.remember("n1", until, false)
		f.time = until
		f.remember("n1", until.Add(time.Minute), true)
		f.remember("n1", until.Add(time.Minute), false)
	})
	t.Run("purging the expired keeps those that count", func(t *testing.T) {
		f := begin(t, open)
		for i := range 40 {
			f.remember(key(i), f.now().Add(time.Duration(i)*time.Second), true)
		}
		f.time = f.time.Add(20 * time.Second)
		for i := range 5 {
			f.remember(key(100+i), f.now().Add(time.Hour), true)
		}
		for i := range 19 {
			f.remember(key(21+i), f.now().Add(time.Hour), false)
		}
		f.remember(key(0), f.now().Add(time.Hour), true)
	})
}

func (f *fixture) remember(nonce string, until time.Time, want bool) {
	f.t.Helper()
	fresh, err := f.Remember(nonce, until)
	must(f.t, err)
	equal(f.t, "fresh "+nonce, fresh, want)
}

func testClosing(t *testing.T, open Open) {
	t.Run("blocked calls come back when the store is closed", func(t *testing.T) {
		f := begin(t, open)
		id := f.submit(person(production, "a", deploy.WantDeploy))
		wait := func(deploy.Queue) deploy.Verdict { return deploy.Verdict{} }
		claim := start(func() (deploy.ID, error) { return f.Claim(f.ctx, wait) })
		events := start(func() ([]deploy.Event, error) { return f.Events(f.ctx, id, 1) })
		tail := start(func() ([]deploy.Event, error) { return f.Tail(f.ctx, 1, 10) })
		must(t, f.Close())
		_, err := result(f, claim)
		wantCode(t, err, deploy.CodeUnavailable)
		_, err = result(f, events)
		wantCode(t, err, deploy.CodeUnavailable)
		_, err = result(f, tail)
		wantCode(t, err, deploy.CodeUnavailable)
	})
	t.Run("every call on a closed store says so", func(t *testing.T) {
		f := begin(t, open)
		id := f.submit(person(production, "a", deploy.WantDeploy))
		must(t, f.Close())
		must(t, f.Close())
		for name, call := range closedCalls(f, id) {
			t.Run(name, func(t *testing.T) { wantCode(t, call(), deploy.CodeUnavailable) })
		}
	})
}

func closedCalls(f *fixture, id deploy.ID) map[string]func() error {
	return map[string]func() error{
		"submit":   func() error { _, _, err := f.Submit(f.ctx, person(production, "b", deploy.WantDeploy)); return err },
		"claim":    func() error { _, err := f.Claim(f.ctx, first); return err },
		"append":   func() error { return f.Append(id, 1, deploy.Event{Kind: deploy.KindNoted}) },
		"events":   func() error { _, err := f.Events(f.ctx, id, 0); return err },
		"state":    func() error { _, err := f.State(id); return err },
		"live":     func() error { _, err := f.Live(production); return err },
		"lives":    func() error { _, err := f.Lives(); return err },
		"waiting":  func() error { _, err := f.Waiting(production); return err },
		"active":   func() error { _, err := f.Active(); return err },
		"history":  func() error { _, err := f.History(nil, 0, 1); return err },
		"tail":     func() error { _, err := f.Tail(f.ctx, 0, 1); return err },
		"enqueue":  func() error { return f.Enqueue("r", 1, nil) },
		"sent":     func() error { return f.Sent(deploy.Letter{Deploy: id, Channel: channel}) },
		"pending":  func() error { _, err := f.Pending(); return err },
		"letter":   func() error { _, err := f.Letter(id, channel); return err },
		"cursor":   func() error { _, err := f.Cursor("r"); return err },
		"remember": func() error { _, err := f.Remember("n", f.now()); return err },
	}
}
