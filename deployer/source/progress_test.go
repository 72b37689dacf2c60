package source

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestAServersProgressIsToldInWholeLinesAndNotTooOften(t *testing.T) {
	said := newLines()
	p := &progress{tell: said.tell}
	for i := range 1000 {
		_, _ = p.Write([]byte("Counting objects: " + strings.Repeat("1", i%3+1) + "%\r"))
	}
	_, _ = p.Write([]byte("Counting objects: 100%, done.\n\n  \nTot"))
	_, _ = p.Write([]byte("al 3 (delta 0)\n" + strings.Repeat("x", 10*maxLine) + "\n\xff\xfe\n"))
	if n := len(said.all); n < 4 || n > 8 {
		t.Errorf("told %d lines: %q", n, said.all)
	}
	for _, want := range []string{"Counting objects: 100%, done.", "Total 3 (delta 0)", "\uFFFD"} {
		if !slices.Contains(said.all, want) {
			t.Errorf("nobody said %q", want)
		}
	}
}

func TestABuildsOutputIsCutAndItsSecretsReplaced(t *testing.T) {
	said := newLines()
	var log strings.Builder
	o := newOutput(said.tell, &log, []string{"hunter2", "1", "-----BEGIN KEY-----\nabcdefgh\n"})
	_, _ = o.Write([]byte("the password is hun"))
	_, _ = o.Write([]byte("ter2, not 1\nabcdefgh\r" + strings.Repeat("y", 3*longestLine)))
	o.flush()
	if !strings.HasPrefix(log.String(), "the password is ***, not 1\n***\nyyy") {
		t.Errorf("the log holds %q", clip(log.String(), 60))
	}
	if len(log.String()) < 3*longestLine {
		t.Error("the log lost a part of the long line")
	}
	for _, l := range said.all {
		if len([]rune(l)) > maxLine {
			t.Errorf("a line of %d characters is told", len(l))
		}
	}
	if len(o.tail.String()) > maxTail {
		t.Errorf("the tail has %d bytes", len(o.tail.String()))
	}
}

func TestATurnstileIsLeftByWhoGivesUpWaiting(t *testing.T) {
	var s turnstile
	leave, err := s.enter(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.enter(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("entered what is held: %v", err)
	}
	other, err := s.enter(t.Context(), "y")
	if err != nil {
		t.Fatal(err)
	}
	other()
	leave()
	if leave, err = s.enter(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	leave()
	if len(s.gate) != 0 {
		t.Errorf("gates are left: %v", s.gate)
	}
}
