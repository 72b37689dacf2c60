package dingtalk_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/bot/bottest"
	"ipublish/bot/bottest/dingtalkgateway"
)

// The connection is lost ten times in five ways while people go on saying
// commands; who got no acknowledgement says it again.
func TestNoAcknowledgedCommandIsLostOrHandledTwiceWhateverHappensToTheConnection(t *testing.T) {
	const losses, commands = 10, 30
	p := brisk
	p.Ping, p.Pong = 50*time.Millisecond, 500*time.Millisecond
	s := newStream(t, p, dingtalkgateway.Quiet(100*time.Millisecond))
	before := runtime.NumGoroutine()
	s.listen(t, nil)
	must(t, s.WaitConnections(soon(t), 1))

	turn := make(chan struct{}, commands) // commands that may be said
	var people sync.WaitGroup
	acked := make([]string, commands)
	for i := range commands {
		people.Go(func() {
			<-turn
			acked[i] = sayUntilAcked(t, s, fmt.Sprint("deploy r", i))
		})
	}
	ways := []func(){s.Reset, s.GoSilent, func() { s.Disconnect() }, func() { s.ExpireTickets(); s.Reset() }, func() { s.SpendTicket(); s.Disconnect() }}
	for i := range losses {
		had := s.Opened()
		for range commands / losses {
			turn <- struct{}{}
		}
		ways[i%len(ways)]()
		must(t, s.WaitOpened(soon(t), had+1))
		must(t, s.WaitConnections(soon(t), 1))
	}
	people.Wait()
	must(t, s.WaitSockets(soon(t), 1))
	s.stop()
	judgeHandled(t, s, acked)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	bottest.Eventually(t, "every goroutine has ended", func() bool { return runtime.NumGoroutine() <= before })
}

func sayUntilAcked(t *testing.T, s *stream, text string) (msgID string) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if err := s.WaitConnections(ctx, 1); err != nil {
			break
		}
		id, ok := s.Say("manager4220", group, text)
		if !ok {
			continue // lost between the look and the word
		}
		if ack, err := s.WaitAck(ctx, id); err == nil && ack.Code == http.StatusOK {
			return id
		}
	}
	t.Errorf("%q was never acknowledged", text)
	return ""
}

// judgeHandled wants each acknowledged message handled, and none twice.
func judgeHandled(t *testing.T, s *stream, acked []string) {
	t.Helper()
	handled := s.log.handled()
	slices.Sort(handled)
	if twice := len(handled) - len(slices.Compact(slices.Clone(handled))); twice != 0 {
		t.Errorf("%d messages were handled twice", twice)
	}
	for _, id := range acked {
		if !slices.Contains(handled, "dingtalk:"+id) {
			t.Errorf("%s was acknowledged and not handled", id)
		}
	}
	texts := map[string]bool{}
	for _, cmd := range s.log.commands() {
		texts[cmd.Text] = true
	}
	if len(texts) != len(acked) {
		t.Errorf("%d different commands of %d arrived", len(texts), len(acked))
	}
	if lost := strings.Count(s.log.String(), "was lost"); lost < 4 {
		t.Errorf("the connection was lost %d times only:\n%s", lost, s.log)
	}
}
