package bot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ipublish/deploy"
)

var chatSecret = map[string]string{"X-Secret": "chat-secret"}

func commandBody(c deploy.Command) io.Reader {
	b, _ := json.Marshal(c)
	return bytes.NewReader(b)
}

func slackCommand(text string) deploy.Command {
	return deploy.Command{Chat: "slack", Channel: shopChannel, User: deploy.Actor{ID: "slack:UDEPLOY"}, Text: text, Key: "slack:" + text}
}

func running(t *testing.T, f *front) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
}

func TestASlashCommandIsAcknowledgedWithItsNumber(t *testing.T) {
	f := newFront(t)
	code, body := f.send(t, "POST", "/slack/commands", chatSecret, commandBody(slackCommand("deploy main")))
	if code != 200 || !strings.Contains(body, "#1 queued") || len(f.ids()) != 1 {
		t.Errorf("got %d %q", code, body)
	}
	if code, body = f.send(t, "POST", "/slack/commands", chatSecret, commandBody(slackCommand("abandon #1 \"x\""))); code != 200 || !strings.Contains(body, "role admin") {
		t.Errorf("a refusal: %d %q", code, body)
	}
	if code, body = f.send(t, "POST", "/slack/commands", chatSecret, strings.NewReader("probe")); code != 200 || body != "{\"text\":\"\"}\n" {
		t.Errorf("a probe: %d %q", code, body)
	}
	if code, _ = f.send(t, "POST", "/slack/commands", chatSecret, strings.NewReader("[")); code != 400 {
		t.Errorf("malformed: %d", code)
	}
}

func TestAnAskerOfAnotherCommandIsToldSo(t *testing.T) {
	f := newFront(t)
	code, body := f.send(t, "POST", "/slack/commands", chatSecret, strings.NewReader("other"))
	if code != 200 || !strings.Contains(body, "/other is not ours") || !strings.Contains(f.log.String(), "level=INFO msg=\"a message was not taken\"") {
		t.Errorf("got %d %q\n%s", code, body, f.log)
	}
	f.slack.shows = false
	running(t, f)
	f.send(t, "POST", "/slack/commands", chatSecret, strings.NewReader("probe"))
	f.send(t, "POST", "/slack/commands", chatSecret, strings.NewReader("other"))
	contains(t, <-f.slack.replies, "/other is not ours")
}

func TestACommandIsLoggedWithItsVerbAndNoDeployThatIsNone(t *testing.T) {
	f := newFront(t)
	f.send(t, "POST", "/slack/commands", chatSecret, commandBody(slackCommand("whoami")))
	f.send(t, "POST", "/slack/commands", chatSecret, commandBody(slackCommand(`abandon #1 "x"`)))
	if log := f.log.String(); !strings.Contains(log, "verb=whoami") || !strings.Contains(log, "verb=abandon code=refused") || strings.Contains(log, "deploy=") {
		t.Errorf("logged\n%s", log)
	}
	f.send(t, "POST", "/slack/commands", chatSecret, commandBody(slackCommand("deploy main")))
	contains(t, f.log.String(), "verb=deploy deploy=#1")
}

func TestADriverCannotSpeakForPeopleOfAnotherChat(t *testing.T) {
	f := newFront(t)
	c := slackCommand("deploy main")
	for _, id := range []string{"cli:root", "token:ci", "slack:", "", "dingtalk:x"} {
		c.User.ID = id
		if code, _ := f.send(t, "POST", "/slack/commands", chatSecret, commandBody(c)); code != http.StatusUnauthorized {
			t.Errorf("%q: %d", id, code)
		}
	}
	if f.submitCalls() != 0 {
		t.Error("something was submitted")
	}
}

func TestAPlanIsAcknowledgedAtOnceAndAnsweredLater(t *testing.T) {
	f := newFront(t)
	running(t, f)
	f.memory.plan = deploy.Plan{Target: shopProd}
	_, body := f.send(t, "POST", "/slack/commands", chatSecret, commandBody(slackCommand("plan")))
	contains(t, body, "planning shop")
	contains(t, <-f.slack.replies, "nothing to do")
}

func TestAnAnswerThatTheAckCannotShowIsReplied(t *testing.T) {
	f := newFront(t)
	f.slack.shows = false
	running(t, f)
	f.send(t, "POST", "/slack/commands", chatSecret, commandBody(slackCommand("whoami")))
	contains(t, <-f.slack.replies, "slack:UDEPLOY")
}

func TestCommandsBySocketAreDurableBeforeTheAck(t *testing.T) {
	f := newFront(t)
	running(t, f)
	f.slack.socket <- slackCommand("deploy main")
	if err := <-f.slack.acks; err != nil || f.submitCalls() != 1 {
		t.Errorf("ack %v after %d requests", err, f.submitCalls())
	}
	contains(t, <-f.slack.replies, "#1 queued")
	f.memory.mu.Lock()
	f.refuse = &deploy.Error{Code: deploy.CodeUnavailable, Message: "no space left"}
	f.memory.mu.Unlock()
	f.slack.socket <- slackCommand("deploy other")
	if err := <-f.slack.acks; err == nil {
		t.Error("a command that was not kept is acknowledged")
	}
	contains(t, <-f.slack.replies, "no space left")
}

func TestABrokenSocketIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, chat := newMemory(), newChat()
		s := NewServer(Parts{Config: testConfig, Handler: newHandler(m), Chats: map[string]Chat{"slack": chat}, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		for i := range 8 {
			chat.socket <- deploy.Command{Text: "hang up"}
			chat.socket <- slackCommand(fmt.Sprint("deploy r", i))
			if err := <-chat.acks; err != nil {
				t.Errorf("after %d breaks: %v", i+1, err)
			}
		}
		cancel()
		if err := <-done; err != nil || len(m.ids()) != 8 {
			t.Errorf("%d commands were taken, Run ended with %v", len(m.ids()), err)
		}
	})
}

func TestAnswersThatWaitWhenTheServerStopsAreGiven(t *testing.T) {
	f := newFront(t)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for i := range 2 * maxWorkers {
		f.server.reply(f.slack, slackCommand("status"), Answer{Text: fmt.Sprint("answer ", i)})
	}
	if err := f.server.Run(stopped); err != nil || len(f.slack.replies) != 2*maxWorkers {
		t.Errorf("%d answers, %v", len(f.slack.replies), err)
	}
	lacks(t, f.log.String(), "dropped")
}

func TestAnAnswerThatIsWorkedOnWhenTheServerStopsIsGiven(t *testing.T) {
	f := newFront(t)
	ctx, stop := context.WithCancel(t.Context())
	f.server.reply(f.slack, slackCommand("plan"), Answer{Later: func(ctx context.Context) Answer {
		stop()
		return Answer{Text: fmt.Sprint("it is ", ctx.Err())}
	}})
	if err := f.server.Run(ctx); err != nil || len(f.slack.replies) != 1 {
		t.Fatalf("%d answers, %v", len(f.slack.replies), err)
	}
	contains(t, <-f.slack.replies, "it is <nil>")
}

func TestAnswersForWhichNoTimeIsLeftAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, slack := &quietLog{}, newChat()
		s := NewServer(Parts{Config: testConfig, Chats: map[string]Chat{}, Log: slog.New(slog.NewTextHandler(log, nil))})
		stopped, stop := context.WithCancel(t.Context())
		stop()
		for range maxWorkers + 3 {
			s.reply(slack, slackCommand("plan"), Answer{Later: func(ctx context.Context) Answer {
				<-ctx.Done()
				return Answer{}
			}})
		}
		began := time.Now()
		if err := s.Run(stopped); err != nil || time.Since(began) != lastAnswers {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		contains(t, log.String(), "answers were dropped", "answers=3")
	})
}
