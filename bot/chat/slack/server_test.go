package slack_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"ipublish/bot"
	"ipublish/bot/bottest"
	"ipublish/bot/bottest/slacksocket"
	"ipublish/deploy"
)

// intake takes every request with the next number, once a key.
type intake struct {
	mu   sync.Mutex
	ids  map[string]deploy.ID
	full error
}

// Submit implements bot.Intake.
func (i *intake) Submit(_ context.Context, r deploy.Request) (id deploy.ID, fresh bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.full != nil {
		return 0, false, i.full
	}
	if id, ok := i.ids[r.Key]; ok {
		return id, false, nil
	}
	i.ids[r.Key] = deploy.ID(len(i.ids) + 1)
	return i.ids[r.Key], true, nil
}

func (i *intake) fill(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.full = err
}

func (i *intake) size() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.ids)
}

// nowhere is a store without a deploy; only queries are answered.
type nowhere struct {
	bot.Journal
	bot.Planner
}

// State implements bot.Records.
func (nowhere) State(deploy.ID) (deploy.State, error) {
	return deploy.State{}, &deploy.Error{Code: deploy.CodeNotFound}
}

// History implements bot.Records.
func (nowhere) History(*deploy.Target, deploy.ID, int) ([]deploy.State, error) { return nil, nil }

// Live implements bot.Records.
func (nowhere) Live(t deploy.Target) (deploy.Live, error) { return deploy.Live{Target: t}, nil }

// Waiting implements bot.Queue.
func (nowhere) Waiting(deploy.Target) ([]deploy.State, error) { return nil, nil }

// served is a whole bot behind the socket.
func served(t *testing.T) (*slacksocket.Slack, *intake) {
	t.Helper()
	s := slacksocket.New(t, slacksocket.Options{})
	in := &intake{ids: map[string]deploy.ID{}}
	cfg := bot.Config{
		Chats: []string{"slack"}, Roles: map[string][]string{"deployer": {"slack:U0ADA"}},
		Apps: []deploy.App{{Name: "shop", Environments: []deploy.Environment{{Name: "production", Branch: "main", Channels: []string{channel}}}}},
	}
	server := bot.NewServer(bot.Parts{
		Config:  func() bot.Config { return cfg },
		Handler: &bot.Handler{Config: func() bot.Config { return cfg }, Intake: in, Records: nowhere{}, Queue: nowhere{}, Journal: nowhere{}, Planner: nowhere{}},
		Chats:   map[string]bot.Chat{"slack": openSocket(t, s, &lines{}, nil)},
		Log:     slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	if err := s.WaitConnections(within(t), 1); err != nil {
		t.Fatal(err)
	}
	return s, in
}

func TestACommandOverTheSocketIsAnsweredOnceWhereTheAskerAloneSeesIt(t *testing.T) {
	s, in := served(t)
	envelope, _ := s.Say("U0ADA", "", "deploy main")
	if ack, err := s.WaitAck(within(t), envelope); err != nil || ack.Payload != nil {
		t.Errorf("acknowledged with %s, %v", ack.Payload, err)
	}
	if m, err := s.WaitShown(within(t), "#1"); err != nil || !m.Ephemeral {
		t.Errorf("answered with %+v, %v", m, err)
	}
	again := s.Redeliver(envelope)
	if _, err := s.WaitAck(within(t), again); err != nil {
		t.Error(err)
	}
	other, _ := s.Say("U0ADA", "", "whoami")
	if _, err := s.WaitAck(within(t), other); err != nil {
		t.Error(err)
	}
	if _, err := s.WaitShown(within(t), "slack:U0ADA"); err != nil {
		t.Error(err)
	}
	bottest.Eventually(t, "each delivery is answered", func() bool { return len(s.Web.Replies()) >= 3 })
	if got := len(s.Web.Replies()); in.size() != 1 || got != 3 || len(s.Web.Messages("")) != 0 {
		t.Errorf("%d deploys and %d answers after three deliveries", in.size(), got)
	}
}

func TestAMentionOverTheSocketIsAnsweredInItsThread(t *testing.T) {
	s, in := served(t)
	envelope, _, ts := s.Mention("U0ADA", "C0DEPLOYS", "", "deploy main")
	if _, err := s.WaitAck(within(t), envelope); err != nil {
		t.Error(err)
	}
	if m, err := s.WaitShown(within(t), "#1"); err != nil || m.Thread != ts || m.Channel != "C0DEPLOYS" || in.size() != 1 {
		t.Errorf("answered with %+v, %v after %d deploys", m, err, in.size())
	}
}

func TestACommandThatIsNotKeptSaysWhyByTheResponseURL(t *testing.T) {
	s, in := served(t)
	in.fill(&deploy.Error{Code: deploy.CodeUnavailable, Message: "no space left on the disk of ipublish"})
	envelope, _ := s.Say("U0ADA", "", "deploy main")
	ack, err := s.WaitAck(within(t), envelope)
	if err != nil || !strings.Contains(ack.Text, "not taken") || strings.Contains(ack.Text, "no space") {
		t.Errorf("acknowledged with %q, %v", ack.Text, err)
	}
	if _, err := s.WaitShown(within(t), "no space left"); err != nil {
		t.Error(err)
	}
}
