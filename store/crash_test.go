package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"ipublish/deploy"
	"ipublish/store"
)

// crashFolder names the state folder of a child that is going to be killed.
const crashFolder = "IPUBLISH_STORE_CRASH_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashFolder); dir != "" {
		fmt.Println("error", writeUntilKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeUntilKilled submits, claims and appends without end and prints a line for
// everything that the store acknowledged.
func writeUntilKilled(dir string) error {
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	base := s.LastSeq()
	fail := make(chan error)
	for w := range 8 {
		go func() { fail <- writeOn(s, fmt.Sprintf("%d:%d", base, w), w) }()
	}
	return <-fail
}

func writeOn(s *store.Store, prefix string, w int) error {
	target := deploy.Target{App: fmt.Sprintf("app%d", w), Env: "production"}
	for i := 0; ; i++ {
		key := fmt.Sprintf("%s:%d", prefix, i)
		id, _, err := s.Submit(context.Background(), deploy.Request{App: target.App, Env: target.Env, Want: deploy.WantDeploy, Key: key})
		if err != nil {
			return err
		}
		fmt.Println("submitted", id, key)
		if err := runThrough(s, id); err != nil {
			return err
		}
		if fresh, err := s.Remember(key, s2100()); err != nil || !fresh {
			return errors.Join(err, fmt.Errorf("nonce %s is fresh: %v", key, fresh))
		}
		fmt.Println("remembered", key)
	}
}

// runThrough brings a deploy to its end, whatever a crash before left of the
// environment's others.
func runThrough(s *store.Store, id deploy.ID) error {
	for n := uint64(1); n < 4; n++ {
		ev := deploy.Event{Kind: deploy.KindNoted, Text: "note"}
		if n == 3 {
			ev = deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Cancelled}
		}
		if err := s.Append(id, n, ev); err != nil {
			return err
		}
		fmt.Println("appended", id, n+1)
	}
	return nil
}

func TestNothingAcknowledgedIsLostByKill9(t *testing.T) {
	dir := t.TempDir()
	keys, events, nonces := map[string]deploy.ID{}, map[deploy.ID]uint64{}, map[string]bool{}
	for round := range 6 {
		for _, line := range crash(t, dir, 150+round*70) {
			var id deploy.ID
			var key string
			var n uint64
			switch {
			case scans(line, "submitted #%d %s", &id, &key):
				keys[key] = id
			case scans(line, "appended #%d %d", &id, &n):
				events[id] = max(events[id], n)
			case scans(line, "remembered %s", &key):
				nonces[key] = true
			default:
				t.Fatalf("the child said %q", line)
			}
		}
		verify(t, dir, keys, events, nonces)
	}
	if len(keys) < 100 {
		t.Errorf("only %d requests were acknowledged", len(keys))
	}
	t.Logf("%d requests, %d deploys with events and %d nonces survived", len(keys), len(events), len(nonces))
}

func scans(line, format string, args ...any) bool {
	n, err := fmt.Sscanf(line, format, args...)
	return err == nil && n == len(args)
}

// crash runs a child, kills it after so many lines, and returns all that it said.
func crash(t *testing.T, dir string, lines int) []string {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashFolder+"="+dir)
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	var stop sync.Once
	kill := func() { stop.Do(func() { child.Process.Kill() }) }
	t.Cleanup(func() { kill(); child.Wait() })
	var said []string
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			child.Wait()
			return said
		}
		said = append(said, strings.TrimSpace(line))
		if len(said) == lines {
			kill()
		}
	}
}

func verify(t *testing.T, dir string, keys map[string]deploy.ID, events map[deploy.ID]uint64, nonces map[string]bool) {
	t.Helper()
	s := open(t, dir, store.Options{})
	defer s.Close()
	for key, want := range keys {
		st, err := s.State(want)
		if err != nil || st.Request.Key != key || st.N < events[want] {
			t.Errorf("%v is at event %d for key %s (%v); event %d for %s was acknowledged", want, st.N, st.Request.Key, err, events[want], key)
		}
		id, fresh, err := s.Submit(context.Background(), deploy.Request{App: st.Target.App, Env: st.Target.Env, Key: key})
		if id != want || fresh || err != nil {
			t.Errorf("key %s leads to %v (fresh %v, %v), not %v", key, id, fresh, err, want)
		}
	}
	for nonce := range nonces {
		if fresh, err := s.Remember(nonce, s2100()); fresh || err != nil {
			t.Errorf("nonce %s is fresh: %v, %v", nonce, fresh, err)
		}
	}
	all, err := s.Tail(context.Background(), 0, 1<<20)
	must(t, err)
	for i, ev := range all {
		if ev.Seq != uint64(i+1) {
			t.Fatalf("event %d of the journal has Seq %d", i+1, ev.Seq)
		}
	}
}
