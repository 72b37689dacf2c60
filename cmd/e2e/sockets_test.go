package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/bot/bottest/dingtalkgateway"
	"ipublish/bot/bottest/slacksocket"
	"ipublish/deploy"
)

const conversation = "cidE2eTeamConversation=="

// socketed is an installation that nobody can reach but over loopback: the chats
// are called by us, and the repository is polled.
type socketed struct {
	*rig
	slack *slacksocket.Slack
	ding  *dingtalkgateway.Gateway
	said  []string // words of commands, in order
	taken []string // those that were acknowledged
}

func inPrivateNetwork(t *testing.T) *socketed {
	s := &socketed{}
	s.rig = newRig(t, func(r *rig) {
		s.slack, s.ding = slacksocket.New(t, slacksocket.Options{}), dingtalkgateway.New(t, r.dingtalk)
		delete(r.config, "githooks")
		r.config["chat"] = object{
			"slack": object{"app_token": s.slack.AppToken, "bot_token": s.slack.Web.Token, "api_url": s.slack.APIURL()},
			"dingtalk": object{
				"client_id": s.ding.ClientID, "client_secret": s.ding.ClientSecret, "robot_code": s.ding.RobotCode, "api_url": s.ding.URL, "language": "zh",
			},
		}
		r.config["roles"] = object{"deployer": []string{"slack:U024BE7LH", "dingtalk:manager4220"}}
		r.app()["poll"] = "10s"
		r.env()["channels"] = []string{"slack:" + channel, "dingtalk:" + conversation}
		r.blueGreen()["keep_old"] = "5m"
	})
	s.serve()
	s.connected()
	return s
}

// connected waits until both sockets stand.
func (s *socketed) connected() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	if err := s.slack.WaitConnections(ctx, 1); err != nil {
		s.t.Fatal(err)
	}
	if err := s.ding.WaitConnections(ctx, 1); err != nil {
		s.t.Fatal(err)
	}
}

// talk says one command in each chat and wants exactly one answer to it. One that
// the platform lost, because the connection had just broken, is said again with
// another word, and answered at most once.
func (s *socketed) talk() {
	s.t.Helper()
	slack := s.say("slackword", func(ctx context.Context, text string) bool {
		id, _ := s.slack.Say("U024BE7LH", channel, text)
		_, err := s.slack.WaitAck(ctx, id)
		return err == nil
	})
	ding := s.say("dingword", func(ctx context.Context, text string) bool {
		id, ok := s.ding.Say("manager4220", conversation, text)
		if !ok {
			return false
		}
		_, err := s.ding.WaitAck(ctx, id)
		return err == nil
	})
	eventually(s.t, 30*time.Second, "both are answered", func() bool { return s.answers(slack) > 0 && s.answers(ding) > 0 })
}

// say says commands until one is acknowledged, and returns its word.
func (s *socketed) say(chat string, take func(context.Context, string) bool) (word string) {
	s.t.Helper()
	eventually(s.t, 2*time.Minute, chat+" is taken", func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Second)
		defer cancel()
		word = fmt.Sprintf("%s-%d", chat, len(s.said))
		s.said = append(s.said, word)
		if !take(ctx, "status "+word) {
			return false
		}
		s.taken = append(s.taken, word)
		return true
	})
	return word
}

// answers counts the answers to a word, which quote it.
func (s *socketed) answers(word string) int {
	n := 0
	for _, m := range s.slack.Web.Replies() {
		if strings.Contains(m.Visible(), `"`+word+`"`) {
			n++
		}
	}
	for _, m := range s.ding.Sent() {
		if m.Channel == "session" && strings.Contains(m.Text, `"`+word+`"`) {
			n++
		}
	}
	return n
}

// losses are ten lost connections, five in each chat.
func (s *socketed) losses() []func() {
	return []func(){
		func() { s.ding.Disconnect(); s.slack.Disconnect("warning") },
		func() { s.ding.Reset(); s.slack.Reset() },
		func() { s.ding.GoSilent(); s.slack.GoSilent() }, // nobody says that it is over
		func() { s.ding.ExpireTickets(); s.ding.Reset(); s.slack.Disconnect("refresh_requested") },
		func() { s.ding.Disconnect(); s.slack.HangUp() },
	}
}

func TestABotWithoutAnInboundPortAnswersEveryCommandOnceOverTenLostConnectionsAndDeploysWhatItPolls(t *testing.T) {
	t.Parallel()
	s := inPrivateNetwork(t)
	s.commit(behaviour{Version: "v1"})
	eventually(t, time.Minute, "the polled push is live", func() bool {
		l := s.api.live()
		return l.Deploy != 0 && l.Active == 0
	})
	mustServe(t, s.frontURL(), "v1")

	side := s.repo.CommitTo("side", "Release v2\n", behaviour{Version: "v2"}.files())
	for i, lose := range s.losses() {
		lose()
		s.connected()
		s.talk()
		if i == 3 {
			s.deployBySocket(side)
		}
	}
	for _, word := range s.said {
		if n := s.answers(word); n > 1 || n == 0 && slices.Contains(s.taken, word) {
			t.Errorf("%s was answered %d times", word, n)
		}
	}
	if len(s.taken) != 2*len(s.losses()) {
		t.Errorf("%d commands were taken: %q", len(s.taken), s.taken)
	}
}

// deployBySocket says deploy in DingTalk and reads in both chats how it went.
func (s *socketed) deployBySocket(sha string) {
	s.t.Helper()
	if _, ok := s.ding.Say("manager4220", conversation, "deploy shop "+deploy.Short(sha)); !ok {
		s.t.Fatal("the gateway has no connection")
	}
	eventually(s.t, time.Minute, "the commit is live", func() bool {
		l := s.api.live()
		return l.Release.Commit.SHA == sha && l.Active == 0
	})
	mustServe(s.t, s.frontURL(), "v2")
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	if _, err := s.slack.WaitShown(ctx, "serving now: "+deploy.Short(sha)); err != nil {
		s.t.Error(err)
	}
	eventually(s.t, 30*time.Second, "DingTalk hears of it in Chinese", func() bool {
		for _, m := range s.ding.Sent() {
			if m.Channel == conversation && strings.Contains(m.Text, "当前提供服务") && strings.Contains(m.Text, deploy.Short(sha)) {
				return true
			}
		}
		return false
	})
}
