package slack_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ipublish/bot"
	"ipublish/bot/bottest"
	"ipublish/bot/chat/slack"
	"ipublish/deploy"
)

func TestAMessageThatCannotBeEditedAnyMoreIsPostedAnew(t *testing.T) {
	s := bottest.NewSlack(t)
	c := open(t, s)
	m := bottest.Card(channel)
	ref := post(t, c, m)
	s.Delete(ref)
	m.Ref = ref
	if again := post(t, c, m); again == ref || len(s.Messages("C0DEPLOYS")) != 1 {
		t.Errorf("posted as %q after %q was deleted", again, ref)
	}
	m.Ref = s.Say("C0DEPLOYS", "a person's message")
	if again := post(t, c, m); again == m.Ref {
		t.Error("a person's message was taken for the bot's")
	}
	m.Ref = post(t, c, m)
	s.Fail("edit_window_closed")
	if again := post(t, c, m); again == m.Ref {
		t.Error("a message was edited after its time")
	}
}

func TestAThreadedMessageAnswersItsParent(t *testing.T) {
	s := bottest.NewSlack(t)
	c := open(t, s)
	m := bottest.Card(channel)
	parent := post(t, c, m)
	m.Thread = parent
	post(t, c, m)
	got := s.Messages("C0DEPLOYS")
	if len(got) != 2 || got[1].Thread != got[0].TS {
		t.Errorf("posted in thread %q of %q", got[1].Thread, got[0].TS)
	}
}

func TestEveryVersionHasTextAndBlocks(t *testing.T) {
	s := bottest.NewSlack(t)
	c := open(t, s)
	m := bottest.Card(channel)
	m.Ref = post(t, c, m)
	m.Final, m.Tone, m.Status, m.Percent = true, deploy.ToneGood, "succeeded in 1m52s", 100
	post(t, c, m)
	got := s.Messages("C0DEPLOYS")[0]
	if len(got.History) != 1 || got.Text == "" || len(got.Blocks) < 4 || got.History[0].Text == "" || len(got.History[0].Blocks) < 4 {
		t.Errorf("%d versions, %q, %d blocks", len(got.History)+1, got.Text, len(got.Blocks))
	}
	if got.Parse != "none" || got.LinkNames {
		t.Errorf("parse %q, link_names %v", got.Parse, got.LinkNames)
	}
	if !strings.Contains(got.Text, "succeeded in 1m52s") || !strings.Contains(got.Text, "Fix the basket") {
		t.Errorf("the notification says %q", got.Text)
	}
}

func TestFailuresSayWhatToDo(t *testing.T) {
	s := bottest.NewSlack(t)
	c := open(t, s)
	for failure, want := range map[string]struct {
		code deploy.Code
		hint string
	}{
		"not_in_channel":      {deploy.CodeNotFound, "/invite"},
		"channel_not_found":   {deploy.CodeNotFound, "channels:"},
		"is_archived":         {deploy.CodeNotFound, "archived"},
		"invalid_auth":        {deploy.CodeRefused, "bot_token"},
		"token_revoked":       {deploy.CodeRefused, "bot_token"},
		"missing_scope":       {deploy.CodeRefused, "chat:write"},
		"restricted_action":   {deploy.CodeRefused, "administrators"},
		"msg_blocks_too_long": {deploy.CodeInternal, "report"},
		"ratelimited":         {deploy.CodeUnavailable, "wait"},
		"internal_error":      {deploy.CodeUnavailable, "again"},
		"some_new_error":      {deploy.CodeFailed, "some_new_error"},
	} {
		s.Fail(failure)
		_, err := c.Post(t.Context(), bottest.Card(channel))
		if deploy.CodeOf(err) != want.code || !strings.Contains(deploy.MessageOf(err), want.hint) {
			t.Errorf("%s: code %q, %q", failure, deploy.CodeOf(err), deploy.MessageOf(err))
		}
	}
	s.Leave("C0LEFT")
	if _, err := c.Post(t.Context(), bottest.Card("slack:C0LEFT")); deploy.CodeOf(err) != deploy.CodeNotFound {
		t.Errorf("a channel that the bot left: %v", err)
	}
}

func TestRetryAfterIsPassedOn(t *testing.T) {
	s := bottest.NewSlack(t)
	c := open(t, s)
	m := bottest.Card(channel)
	m.Ref = post(t, c, m)
	s.Throttle(1, 17*time.Second)
	_, err := c.Post(t.Context(), m)
	var throttled *bot.Throttled
	if !errors.As(err, &throttled) || throttled.After != 17*time.Second || deploy.CodeOf(err) != deploy.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestSlacksOwnTroubleIsUnavailable(t *testing.T) {
	s := bottest.NewSlack(t)
	c := open(t, s)
	s.Break(1)
	if _, err := c.Post(t.Context(), bottest.Card(channel)); deploy.CodeOf(err) != deploy.CodeUnavailable {
		t.Errorf("503: %v", err)
	}
	gone, err := slack.New(slack.Config{SigningSecret: s.SigningSecret, BotToken: s.Token, APIURL: "http://127.0.0.1:1/api/"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = gone.Post(t.Context(), bottest.Card(channel))
	if deploy.CodeOf(err) != deploy.CodeUnavailable || strings.Contains(err.Error(), s.Token) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestTheFakeKeepsSlacksRates(t *testing.T) {
	s := bottest.NewSlack(t)
	c := open(t, s)
	var err error
	for range 6 {
		_, err = c.Post(t.Context(), bottest.Card(channel))
	}
	var throttled *bot.Throttled
	if !errors.As(err, &throttled) {
		t.Fatalf("six posts at once: %v", err)
	}
	s.Advance(throttled.After)
	m := bottest.Card(channel)
	m.Ref = post(t, c, m)
	for range slack.EditsPerMinute {
		post(t, c, m)
	}
	if _, err := c.Post(t.Context(), m); !errors.As(err, &throttled) {
		t.Errorf("%d edits in a minute: %v", slack.EditsPerMinute+1, err)
	}
}

func TestATokenFollowsNoRedirect(t *testing.T) {
	stolen := false
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen = true }))
	defer thief.Close()
	api := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer api.Close()
	c, err := slack.New(slack.Config{SigningSecret: "0123456789abcdef", BotToken: "xoxb-1", APIURL: api.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Post(t.Context(), bottest.Card(channel))
	if stolen || deploy.CodeOf(err) != deploy.CodeFailed {
		t.Errorf("followed: %v, %v", stolen, err)
	}
}

func TestAnAnswerWorksFiveTimesWithinThirtyMinutes(t *testing.T) {
	s := bottest.NewSlack(t)
	c := open(t, s)
	cmd := ask(t, c, s)
	for range slack.RepliesPerCommand {
		if err := c.Reply(t.Context(), cmd, deploy.Message{Lines: []string{"hi"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Reply(t.Context(), cmd, deploy.Message{Lines: []string{"hi"}}); deploy.CodeOf(err) != deploy.CodeNotFound {
		t.Errorf("a sixth answer: %v", err)
	}
	late := ask(t, c, s)
	s.Advance(slack.RepliesWithin + time.Second)
	if err := c.Reply(t.Context(), late, deploy.Message{Lines: []string{"hi"}}); deploy.CodeOf(err) != deploy.CodeNotFound {
		t.Errorf("a late answer: %v", err)
	}
	if got := s.Replies(); len(got) != slack.RepliesPerCommand || !got[0].Ephemeral {
		t.Errorf("%d answers, ephemeral: %v", len(got), got[0].Ephemeral)
	}
}

func post(t *testing.T, c *slack.Chat, m deploy.Message) string {
	t.Helper()
	ref, err := c.Post(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func ask(t *testing.T, c *slack.Chat, s *bottest.Slack) deploy.Command {
	t.Helper()
	r := s.Command("/", bottest.SlackCommand{Text: "status"})
	cmd, err := c.Command(r, readAll(t, r))
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

func readAll(t *testing.T, r *http.Request) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
