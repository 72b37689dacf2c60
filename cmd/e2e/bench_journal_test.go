package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/store"
)

// replay journals a deploy's events anew as a new deploy of the target, and
// returns what all of it took.
func replay(t testing.TB, s *store.Store, target deploy.Target, key string, events []deploy.Event) time.Duration {
	t.Helper()
	request := *events[0].Request
	request.App, request.Env, request.Key = target.App, target.Env, key
	began := time.Now()
	id, fresh, err := s.Submit(context.Background(), request)
	if err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	for i, ev := range events[1:] {
		if ev.Kind == deploy.KindClaimed {
			claimed, err := s.Claim(context.Background(), takeOnly(id))
			if err != nil || claimed != id {
				t.Fatal(claimed, err)
			}
			continue
		}
		if err := s.Append(id, uint64(i+1), ev); err != nil {
			t.Fatalf("event %d, %s: %v", ev.N, ev.Kind, err)
		}
	}
	return time.Since(began)
}

// takeOnly admits one deploy.
func takeOnly(id deploy.ID) deploy.Admit {
	return func(q deploy.Queue) deploy.Verdict {
		for _, w := range q.Waiting {
			if w.ID == id {
				return deploy.Verdict{Take: id}
			}
		}
		return deploy.Verdict{}
	}
}

// plainFile is the yardstick: the same events appended to a file, each with a
// fsync of its own.
func plainFile(t testing.TB, events []deploy.Event) time.Duration {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines [][]byte
	for _, ev := range events {
		line, err := json.Marshal(ev)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, append(line, '\n'))
	}
	began := time.Now()
	for _, line := range lines {
		_, err := f.Write(line)
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(began)
}

// journalCost measures what the journal alone takes of a whole deploy.
func (b *deployBench) journalCost(d told) {
	b.t.Helper()
	s, err := store.Open(b.t.TempDir(), store.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	defer s.Close()
	var ours, plain []time.Duration
	for i := range b.deploys + 1 {
		took, file := replay(b.t, s, d.state.Target, fmt.Sprint("replay ", i), d.events), plainFile(b.t, d.events)
		if i > 0 { // the first one lays the file out
			ours, plain = append(ours, took), append(plain, file)
		}
	}
	b.figures.row(entry{
		Figure: fmt.Sprintf("journal of a whole deploy, %d events, fsync'd, p50", len(d.events)), Ours: brief(middle(ours)),
		Peer: "a file, append and fsync " + brief(middle(plain)), Ratio: ratioOf(middle(ours).Seconds(), middle(plain).Seconds()),
		Goal: "≤ 10 ms", Result: reached(middle(ours) <= 10*time.Millisecond),
	})
}
