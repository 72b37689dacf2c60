package dingtalk_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/bot"
	"ipublish/bot/bottest"
	"ipublish/bot/chat/dingtalk"
	"ipublish/deploy"
)

func TestOneTokenServesManyMessagesAtOnce(t *testing.T) {
	d := bottest.NewDingTalk(t)
	c := open(t, d)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := c.Post(t.Context(), bottest.Card("dingtalk:"+group)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := d.SignIns(); n != 1 || len(d.Messages(group)) != 20 {
		t.Errorf("%d tokens for %d messages", n, len(d.Messages(group)))
	}
}

func TestATokenIsReplacedBeforeItEndsAndWhenItIsRefused(t *testing.T) {
	d := bottest.NewDingTalk(t)
	c := open(t, d)
	post := func() {
		t.Helper()
		if _, err := c.Post(t.Context(), bottest.Card("dingtalk:"+group)); err != nil {
			t.Fatal(err)
		}
	}
	post()
	d.Advance(7200*time.Second - 5*time.Minute - 5*time.Second)
	post()
	if n := d.SignIns(); n != 1 {
		t.Errorf("%d tokens before the first one's time", n)
	}
	d.Advance(10 * time.Second)
	post()
	if n := d.SignIns(); n != 2 {
		t.Errorf("%d tokens five minutes before the first one's end", n)
	}
	d.Revoke()
	post()
	if n := d.SignIns(); n != 3 {
		t.Errorf("%d tokens after one was revoked", n)
	}
}

func TestARefusedTokenIsReplacedOnlyOnce(t *testing.T) {
	d := bottest.NewDingTalk(t)
	c := open(t, d)
	no := map[string]any{"code": "InvalidAuthentication", "message": "no"}
	post := func() error {
		_, err := c.Post(t.Context(), bottest.Card("dingtalk:"+group))
		return err
	}
	if err := post(); err != nil {
		t.Fatal(err)
	}
	d.Answer(http.StatusUnauthorized, no)
	d.Answer(http.StatusOK, map[string]any{"accessToken": "new", "expireIn": 7200})
	d.Answer(http.StatusUnauthorized, no)
	if err := post(); deploy.CodeOf(err) != deploy.CodeRefused || !strings.Contains(deploy.MessageOf(err), "client_secret") {
		t.Errorf("got %v", err)
	}
}

func TestTheSignInTellsWrongCredentials(t *testing.T) {
	d := bottest.NewDingTalk(t)
	c, err := dingtalk.New(dingtalk.Config{ClientID: d.ClientID, ClientSecret: "not the right secret", RobotCode: d.RobotCode, APIURL: d.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Post(t.Context(), bottest.Card("dingtalk:"+group))
	if deploy.CodeOf(err) != deploy.CodeRefused || !strings.Contains(deploy.MessageOf(err), "client_secret") || strings.Contains(err.Error(), "not the right secret") {
		t.Errorf("got %v", err)
	}
}

func TestGroupFailuresSayWhatToDo(t *testing.T) {
	d := bottest.NewDingTalk(t)
	c := open(t, d)
	for _, f := range []struct {
		status int
		answer string
		code   deploy.Code
		hint   string
	}{
		{400, "invalidParameter.robotCode.auth", deploy.CodeInvalid, "robot_code"},
		{400, "invalidParameter.userIds.empty", deploy.CodeFailed, "userIds"},
		{403, "Forbidden.AccessDenied", deploy.CodeRefused, "qyapi_robot_sendmsg"},
		{429, "Throttling.Api", deploy.CodeUnavailable, "wait"},
		{403, "Forbidden.AccessDenied.QpsLimitForApi", deploy.CodeUnavailable, "wait"},
		{504, "gateway", deploy.CodeUnavailable, "again"},
		{302, "", deploy.CodeFailed, "refused"},
	} {
		if _, err := c.Post(t.Context(), bottest.Card("dingtalk:"+group)); err != nil {
			t.Fatal(err) // so that the next call is the message's, not the token's
		}
		d.Answer(f.status, map[string]any{"code": f.answer, "message": "said so"})
		_, err := c.Post(t.Context(), bottest.Card("dingtalk:"+group))
		if deploy.CodeOf(err) != f.code || !strings.Contains(deploy.MessageOf(err), f.hint) {
			t.Errorf("%d %s: code %q, %q", f.status, f.answer, deploy.CodeOf(err), deploy.MessageOf(err))
		}
	}
}

func TestRobotFailuresSayWhatToDo(t *testing.T) {
	d := bottest.NewDingTalk(t)
	c := open(t, d)
	for _, f := range []struct {
		code int
		said string
		want deploy.Code
		hint string
	}{
		{310000, "keywords not in content, more: [https://ding-doc.dingtalk.com]", deploy.CodeRefused, "keyword"},
		{310000, "sign not match, more: [https://ding-doc.dingtalk.com]", deploy.CodeRefused, "secret"},
		{310000, "invalid timestamp, more: [https://ding-doc.dingtalk.com]", deploy.CodeRefused, "clock"},
		{310000, "ip 1.2.3.4 not in whitelist", deploy.CodeRefused, "address"},
		{130101, "send too fast, exceed 20 times per minute", deploy.CodeUnavailable, "10m"},
		{300001, "token is not exist", deploy.CodeRefused, "access_token"},
		{-1, "system busy", deploy.CodeUnavailable, "again"},
		{400013, "群已被解散", deploy.CodeFailed, "群已被解散"},
	} {
		d.Answer(http.StatusOK, map[string]any{"errcode": f.code, "errmsg": f.said})
		_, err := c.Post(t.Context(), bottest.Card("dingtalk:webhook/all"))
		if deploy.CodeOf(err) != f.want || !strings.Contains(deploy.MessageOf(err), f.hint) {
			t.Errorf("%d %s: code %q, %q", f.code, f.said, deploy.CodeOf(err), deploy.MessageOf(err))
		}
	}
	for name, body := range map[string]map[string]any{"no errcode": {}, "text for errcode": {"errcode": "0"}} {
		d.Answer(http.StatusOK, body)
		if _, err := c.Post(t.Context(), bottest.Card("dingtalk:webhook/all")); deploy.CodeOf(err) != deploy.CodeFailed {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Post(t.Context(), bottest.Card("dingtalk:webhook/none")); deploy.CodeOf(err) != deploy.CodeNotFound {
		t.Errorf("an unknown robot: %v", err)
	}
}

func TestTheFakeKeepsTheRobotsRateAndPenalty(t *testing.T) {
	d := bottest.NewDingTalk(t)
	c := open(t, d)
	post := func() error {
		_, err := c.Post(t.Context(), bottest.Card("dingtalk:webhook/all"))
		return err
	}
	for range dingtalk.RobotPerMinute {
		if err := post(); err != nil {
			t.Fatal(err)
		}
	}
	var throttled *bot.Throttled
	if err := post(); !errors.As(err, &throttled) || throttled.After != dingtalk.RobotPenalty {
		t.Fatalf("one message too many: %v", err)
	}
	d.Advance(2 * time.Minute)
	if err := post(); !errors.As(err, &throttled) {
		t.Errorf("two minutes later: %v", err)
	}
	d.Advance(dingtalk.RobotPenalty)
	if err := post(); err != nil {
		t.Errorf("after the penalty: %v", err)
	}
}

func TestTheKeywordIsAddedOnlyWhereItIsMissing(t *testing.T) {
	d := bottest.NewDingTalk(t)
	c := open(t, d)
	m := bottest.Card("dingtalk:webhook/ops")
	for _, lines := range [][]string{{"without it"}, {"发布 main"}} {
		m.Lines = lines
		if _, err := c.Post(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	for i, got := range d.Messages("webhook/ops") {
		if n := strings.Count(got.Text, "发布"); n != 1 {
			t.Errorf("message %d holds the keyword %d times", i, n)
		}
	}
}

func TestAWrongSecretIsExplained(t *testing.T) {
	d := bottest.NewDingTalk(t)
	const wrong = "SECwrongwrongwrongwrong"
	c, err := dingtalk.New(dingtalk.Config{Webhooks: map[string]dingtalk.Webhook{"all": {URL: d.Robot("all", secret, ""), Secret: wrong}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Post(t.Context(), bottest.Card("dingtalk:webhook/all"))
	if deploy.CodeOf(err) != deploy.CodeRefused || !strings.Contains(deploy.MessageOf(err), "SEC") || strings.Contains(err.Error(), wrong) {
		t.Errorf("got %v", err)
	}
}

func TestNoErrorHoldsATokenOrASignature(t *testing.T) {
	c, err := dingtalk.New(dingtalk.Config{Webhooks: map[string]dingtalk.Webhook{
		"all": {URL: "http://127.0.0.1:1/robot/send?access_token=verysecrettoken", Secret: secret}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Post(t.Context(), bottest.Card("dingtalk:webhook/all"))
	if deploy.CodeOf(err) != deploy.CodeUnavailable || strings.Contains(err.Error(), "verysecret") || strings.Contains(err.Error(), "sign=") {
		t.Errorf("got %v", err)
	}
}

func TestAnAnswerWorksForNinetyMinutes(t *testing.T) {
	d := bottest.NewDingTalk(t)
	c := open(t, d)
	cmd, err := command(t, c, d.Callback("/", bottest.DingTalkCommand{Text: "status"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Reply(t.Context(), cmd, deploy.Message{Lines: []string{"hi"}}); err != nil {
		t.Fatal(err)
	}
	d.Advance(91 * time.Minute)
	if err := c.Reply(t.Context(), cmd, deploy.Message{Lines: []string{"hi"}}); deploy.CodeOf(err) != deploy.CodeNotFound {
		t.Errorf("a late answer: %v", err)
	}
}

func TestWaitingForATokenEndsWithTheContext(t *testing.T) {
	d := bottest.NewDingTalk(t)
	c := open(t, d)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := c.Post(ctx, bottest.Card("dingtalk:"+group)); deploy.CodeOf(err) != deploy.CodeTimeout {
		t.Errorf("got %v", err)
	}
}
