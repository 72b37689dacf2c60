package dingtalk_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/bot/bottest"
	"ipublish/bot/bottest/dingtalkgateway"
	"ipublish/bot/chat/dingtalk"
	"ipublish/deploy"
)

// brisk is a stream whose pauses and probes are short. Its probes still leave a
// busy machine enough time to answer.
var brisk = dingtalk.Pace{
	Ping: 100 * time.Millisecond, Pong: 2 * time.Second, Overlap: 10 * time.Second,
	First: 10 * time.Millisecond, Most: 40 * time.Millisecond, Stable: time.Minute,
}

// stream is a bot in Stream mode and its DingTalk.
type stream struct {
	*dingtalkgateway.Gateway
	chat *dingtalk.Chat
	log  *journal
	ctx  context.Context // of Listen
	stop func()          // ends Listen and waits for it
}

// journal is a log that can be read while it is written, and the commands that
// were handled.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
	keys []string
	cmds []deploy.Command
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// count returns how many lines hold a text.
func (j *journal) count(text string) int { return strings.Count(j.String(), text) }

func (j *journal) note(cmd deploy.Command) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.keys, j.cmds = append(j.keys, cmd.Key), append(j.cmds, cmd)
	return nil
}

func (j *journal) handled() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.keys)
}

func (j *journal) commands() []deploy.Command {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.cmds)
}

// newStream starts DingTalk and opens a bot that does not listen yet.
func newStream(t testing.TB, p dingtalk.Pace, options ...dingtalkgateway.Option) *stream {
	t.Helper()
	s := &stream{Gateway: dingtalkgateway.New(t, bottest.NewDingTalk(t), options...), log: &journal{}}
	s.chat = s.open(t, p, s.ClientSecret)
	return s
}

func (s *stream) open(t testing.TB, p dingtalk.Pace, secret string) *dingtalk.Chat {
	t.Helper()
	c, err := dingtalk.New(dingtalk.Config{
		Transport: dingtalk.TransportStream, ClientID: s.ClientID, ClientSecret: secret, RobotCode: s.RobotCode, APIURL: s.URL, Now: s.Now,
		Translate: func(text string) string { return "说：" + text },
		Log:       slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	c.SetPace(p)
	return c
}

// listen starts to listen; a nil handle notes the commands.
func (s *stream) listen(t testing.TB, handle func(deploy.Command) error) {
	t.Helper()
	if handle == nil {
		handle = s.log.note
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.ctx = ctx
	ended := make(chan error, 1)
	go func() { ended <- s.chat.Listen(ctx, handle) }()
	s.stop = sync.OnceFunc(func() {
		select {
		case err := <-ended:
			t.Errorf("Listen ended by itself: %v", err)
			return
		default:
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Listen ended with %v", err)
		}
	})
	t.Cleanup(s.stop)
}

// listening is a bot that listens and is connected.
func listening(t testing.TB, handle func(deploy.Command) error, options ...dingtalkgateway.Option) *stream {
	t.Helper()
	s := newStream(t, brisk, options...)
	s.listen(t, handle)
	must(t, s.WaitConnections(soon(t), 1))
	return s
}

// acked says something and returns how it was acknowledged.
func (s *stream) acked(t testing.TB, text string) dingtalkgateway.Ack {
	t.Helper()
	id, ok := s.Say("manager4220", group, text)
	if !ok {
		t.Fatal("no connection is open")
	}
	got, err := s.WaitAck(soon(t), id)
	must(t, err)
	return got
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
