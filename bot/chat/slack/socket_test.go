package slack_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/bot/bottest"
	"ipublish/bot/bottest/slacksocket"
	"ipublish/bot/chat/slack"
	"ipublish/deploy"
)

// quick makes the pauses short; a pause that a test does not wait for stays long.
var quick = slack.Pace{First: 20 * time.Millisecond, Most: 50 * time.Millisecond}

// socketRig is a driver that listens to a workspace.
type socketRig struct {
	*slacksocket.Slack
	chat *slack.Chat
	log  *lines
	stop func() error // ends Listen and returns its error

	mu     sync.Mutex
	taken  []deploy.Command
	handle func(deploy.Command) error
}

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func openSocket(t *testing.T, s *slacksocket.Slack, log *lines, change func(*slack.Config)) *slack.Chat {
	t.Helper()
	c := slack.Config{
		Transport: "socket", BotToken: s.Web.Token, AppToken: s.AppToken, Command: "/ipub", APIURL: s.APIURL(),
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&c)
	}
	chat, err := slack.New(c)
	if err != nil {
		t.Fatal(err)
	}
	chat.SetPace(quick)
	return chat
}

// listening starts a workspace and a driver that listens to it; it does not wait
// for the connection.
func listening(t *testing.T, change func(*slack.Config), paces ...slack.Pace) *socketRig {
	t.Helper()
	return listeningTo(t, slacksocket.New(t, slacksocket.Options{PingEvery: 20 * time.Millisecond}), change, paces...)
}

func listeningTo(t *testing.T, s *slacksocket.Slack, change func(*slack.Config), paces ...slack.Pace) *socketRig {
	t.Helper()
	r := &socketRig{Slack: s, log: &lines{}}
	r.chat = openSocket(t, r.Slack, r.log, change)
	for _, p := range paces {
		r.chat.SetPace(p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.chat.Listen(ctx, r.take) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("listen ended with %v", err)
		}
	})
	return r
}

func (r *socketRig) take(cmd deploy.Command) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, cmd)
	if r.handle != nil {
		return r.handle(cmd)
	}
	return nil
}

func (r *socketRig) commands() []deploy.Command {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]deploy.Command{}, r.taken...)
}

func (r *socketRig) refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handle = func(deploy.Command) error { return err }
}

// within is the time that anything in these tests may take.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func connected(t *testing.T, r *socketRig) {
	t.Helper()
	if err := r.WaitConnections(within(t), 1); err != nil {
		t.Fatalf("%v\n%s", err, r.log)
	}
}

func acked(t *testing.T, r *socketRig, envelope string) slacksocket.Ack {
	t.Helper()
	ack, err := r.WaitAck(within(t), envelope)
	if err != nil {
		t.Fatalf("%v\n%s", err, r.log)
	}
	return ack
}

// insist types until the command is acknowledged, as a person does, and
// returns the key of the one that was.
func insist(t *testing.T, r *socketRig, text string) (key string) {
	t.Helper()
	ctx := within(t)
	for ctx.Err() == nil {
		connected(t, r)
		envelope, trigger := r.Say("", "", text)
		if _, err := r.WaitAck(ctx, envelope); err == nil {
			return "slack:" + trigger
		}
	}
	t.Fatalf("%q was never acknowledged\n%s", text, r.log)
	return ""
}

func logged(t *testing.T, r *socketRig, part string) {
	t.Helper()
	bottest.Eventually(t, fmt.Sprintf("%q is logged", part), func() bool { return strings.Contains(r.log.String(), part) })
}

func TestACommandOfTheSocketIsReadAsOneByHTTP(t *testing.T) {
	r := listening(t, nil)
	connected(t, r)
	for range 4 { // both spellings of a field that is not needed
		envelope, trigger := r.Type(bottest.SlackCommand{Text: " deploy 功能/购物车 ", User: "U0ADA", UserName: "Ada"})
		if ack := acked(t, r, envelope); ack.Payload != nil {
			t.Errorf("the ack speaks: %s; the answer comes by the response_url", ack.Payload)
		}
		taken := r.commands()
		got := taken[len(taken)-1]
		want := deploy.Command{Chat: "slack", Channel: "slack:C0DEPLOYS", User: deploy.Actor{ID: "slack:U0ADA", Name: "Ada"}, Text: "deploy 功能/购物车", Key: "slack:" + trigger, Reply: got.Reply}
		if got != want || !strings.HasPrefix(got.Reply, r.URL+"/commands/") {
			t.Errorf("read as %+v", got)
		}
		if err := r.chat.Reply(t.Context(), got, deploy.Message{Lines: []string{"#1 queued"}}); err != nil {
			t.Error(err)
		}
	}
	envelope, _ := r.Say("", "D0PRIVATE", "whoami")
	acked(t, r, envelope)
	if taken := r.commands(); taken[len(taken)-1].Channel != "" {
		t.Errorf("in private: %+v", taken[len(taken)-1])
	}
	if got := r.Web.Replies(); len(got) != 4 || !got[0].Ephemeral {
		t.Errorf("%d answers", len(got))
	}
}

func TestACommandIsAcknowledgedOnlyAfterItWasTaken(t *testing.T) {
	r := listening(t, nil)
	connected(t, r)
	commit := make(chan struct{})
	r.mu.Lock()
	r.handle = func(deploy.Command) error { <-commit; return nil }
	r.mu.Unlock()
	envelope, _ := r.Say("", "", "deploy main")
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := r.WaitAck(short, envelope); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("acknowledged before it was taken: %v", err)
	}
	close(commit)
	acked(t, r, envelope)
}

func TestACommandThatCouldNotBeTakenIsToldSo(t *testing.T) {
	r := listening(t, nil)
	connected(t, r)
	r.refuse(&deploy.Error{Code: deploy.CodeUnavailable, Message: strings.Repeat("no space left <!channel> \x01\u202e", 4000)})
	envelope, _ := r.Say("", "", "deploy main")
	ack := acked(t, r, envelope)
	if !strings.Contains(ack.Text, "not taken") || !strings.Contains(string(ack.Payload), `"response_type":"ephemeral"`) || len(ack.Payload) > 10_000 {
		t.Errorf("told %s", ack.Payload)
	}
	refused := r.Send("slash_commands", map[string]any{"user_id": "U1", "channel_id": "C1", "trigger_id": "1.2.a", "command": "/ipub", "text": "deploy"}, false)
	mention, _, _ := r.Mention("U0ADA", "C0DEPLOYS", "", "deploy main")
	bottest.Eventually(t, "all three are refused", func() bool { return len(r.commands()) == 3 })
	r.refuse(nil)
	after, _ := r.Say("", "", "status")
	acked(t, r, after)
	for _, a := range r.Acks() {
		if a.Envelope == refused || a.Envelope == mention {
			t.Errorf("%s was acknowledged and takes no text", a.Envelope)
		}
	}
}

func TestWhatIsNoCommandOfOursIsExplainedOnceAndNotHandled(t *testing.T) {
	r := listening(t, nil)
	connected(t, r)
	huge := strings.Repeat("\x01<", 60_000)
	for name, c := range map[string]struct {
		envelope string
		want     string
	}{
		"another app's command": {first(r.Type(bottest.SlackCommand{Command: "/other"})), "chat.slack.command is /ipub"},
		"a hostile one":         {first(r.Type(bottest.SlackCommand{Command: huge})), "chat.slack.command is /ipub"},
		"no user":               {r.Send("slash_commands", map[string]any{"channel_id": "C1", "trigger_id": "1"}, true), "user_id"},
		"a number for a text":   {r.Send("slash_commands", map[string]any{"user_id": 7, "channel_id": "C1", "trigger_id": "1"}, true), "user_id"},
		"too long":              {first(r.Say("", "", strings.Repeat("a", 9000))), "too long"},
		"no object":             {r.Send("slash_commands", []any{1}, true), "not an object"},
	} {
		if ack := acked(t, r, c.envelope); !strings.Contains(ack.Text, c.want) || strings.Contains(ack.Text, "<") {
			t.Errorf("%s: told %q", name, ack.Text)
		}
	}
	if taken := r.commands(); len(taken) != 0 {
		t.Errorf("handled %+v", taken)
	}
}

func first(envelope, _ string) string { return envelope }

func TestOtherEnvelopesAreAcknowledgedWithoutAWord(t *testing.T) {
	r := listening(t, nil)
	connected(t, r)
	r.SendText("{")
	r.SendText(`{"type":"riddle"}`)
	r.SendText(`[]`)
	for name, envelope := range map[string]string{
		"a button":             r.Send("interactive", map[string]any{"type": "block_actions", "user": map[string]any{"id": "U1"}}, true),
		"a button of no shape": r.Send("interactive", "x", true),
		"another event":        first(r.Event(map[string]any{"type": "reaction_added", "user": "U1"})),
		"a new event":          first(r.Event(map[string]any{"type": "riddle_posed"})),
		"an event of no shape": r.Send("events_api", []any{}, false),
		"a new kind":           r.Send("riddles", map[string]any{}, true),
	} {
		if ack := acked(t, r, envelope); ack.Payload != nil {
			t.Errorf("%s is told %s", name, ack.Payload)
		}
	}
	if taken := r.commands(); len(taken) != 0 || r.Opens() != 1 {
		t.Errorf("handled %+v over %d connections", taken, r.Opens())
	}
}

func TestAMentionIsACommandThatIsAnsweredInItsThread(t *testing.T) {
	r := listening(t, nil)
	connected(t, r)
	parent := strings.TrimPrefix(r.Web.Say("C0DEPLOYS", "let us go"), "C0DEPLOYS:")
	for _, thread := range []string{"", parent} {
		envelope, event, ts := r.Mention("U0ADA", "C0DEPLOYS", thread, "deploy a&b <now>")
		if ack := acked(t, r, envelope); ack.Payload != nil {
			t.Errorf("the ack speaks: %s", ack.Payload)
		}
		in := ts
		if thread != "" {
			in = thread
		}
		taken := r.commands()
		got := taken[len(taken)-1]
		want := deploy.Command{Chat: "slack", Channel: "slack:C0DEPLOYS", Thread: "C0DEPLOYS:" + in, User: deploy.Actor{ID: "slack:U0ADA"}, Text: "deploy a&b <now>", Key: "slack:" + event}
		if got != want {
			t.Errorf("read as %+v", got)
		}
		if _, err := r.chat.Post(t.Context(), deploy.Message{Channel: got.Channel, Thread: got.Thread, Lines: []string{"answer to " + event}}); err != nil {
			t.Fatal(err)
		}
		if m, err := r.WaitShown(within(t), "answer to "+event); err != nil || m.Thread != in {
			t.Errorf("answered in %q, want %q: %v", m.Thread, in, err)
		}
		acked(t, r, r.Redeliver(envelope))
		taken = r.commands()
		if again := taken[len(taken)-1]; again.Key != got.Key {
			t.Errorf("delivered again it has the key %q after %q", again.Key, got.Key)
		}
	}
}

func TestAMentionThatNobodyMeantAsACommandIsNone(t *testing.T) {
	r := listening(t, nil)
	connected(t, r)
	said := func(change map[string]any) string {
		inner := map[string]any{"type": "app_mention", "user": "U0ADA", "channel": "C0DEPLOYS", "text": "<@U0IPUBLISH> deploy", "ts": "1706785424.099119"}
		for k, v := range change {
			inner[k] = v
		}
		envelope, _ := r.Event(inner)
		return envelope
	}
	for _, envelope := range []string{
		said(map[string]any{"edited": map[string]any{"user": "U0ADA", "ts": "1706785427.000000"}}),
		said(map[string]any{"bot_id": "B0OTHER"}),
		said(map[string]any{"user": ""}),
		said(map[string]any{"user": "u1\n<!channel>"}),
		said(map[string]any{"channel": "../x"}),
		said(map[string]any{"ts": "x"}),
		said(map[string]any{"thread_ts": "1:2"}),
		said(map[string]any{"text": strings.Repeat("a", 9000)}),
	} {
		acked(t, r, envelope)
	}
	if taken := r.commands(); len(taken) != 0 {
		t.Errorf("handled %+v", taken)
	}
}

func TestTenLossesOfTheConnectionLoseAndRepeatNoCommand(t *testing.T) {
	r := listening(t, nil, slack.Pace{Silence: 300 * time.Millisecond})
	ways := []func(){
		r.Reset, r.Drop, r.HangUp, r.GoSilent,
		func() { r.Disconnect("warning") }, func() { r.Disconnect("refresh_requested") }, func() { r.Disconnect("link_disabled") },
		func() { r.RefuseOpen(2); r.Reset() }, func() { r.RefuseLink(2); r.Drop() }, func() { r.FailOpen(1, "internal_error"); r.ThrottleOpen(time.Second); r.HangUp() },
	}
	kept := map[string]string{}
	for i, lose := range ways {
		texts := []string{fmt.Sprintf("deploy r%d", 3*i), fmt.Sprintf("deploy r%d", 3*i+1), fmt.Sprintf("deploy r%d", 3*i+2)}
		kept[texts[0]] = insist(t, r, texts[0])
		connected(t, r)
		early, trigger := r.Say("", "", texts[1])
		lose()
		late, lateTrigger := r.Say("", "", texts[2])
		for text, said := range map[string][2]string{texts[1]: {early, trigger}, texts[2]: {late, lateTrigger}} {
			if _, err := r.WaitAck(within(t), said[0]); err == nil {
				kept[text] = "slack:" + said[1]
				continue
			}
			kept[text] = insist(t, r, text)
		}
	}
	times := map[string]int{}
	for _, c := range r.commands() {
		times[c.Key]++
		if times[c.Key] > 1 {
			t.Errorf("%s was handled %d times", c.Key, times[c.Key])
		}
	}
	for text, key := range kept {
		if times[key] != 1 {
			t.Errorf("%q is acknowledged and was handled %d times", text, times[key])
		}
	}
	if len(kept) != 30 || r.Opens() < len(ways)+1 {
		t.Errorf("%d commands over %d connections", len(kept), r.Opens())
	}
}

func TestAConnectionThatFallsSilentIsGivenUpAndReplaced(t *testing.T) {
	r := listening(t, nil, slack.Pace{Silence: 400 * time.Millisecond})
	connected(t, r)
	r.GoSilent()
	envelope, _ := r.Say("", "", "deploy main")
	if _, err := r.WaitAck(within(t), envelope); err == nil {
		t.Error("a silent connection carried a command")
	}
	insist(t, r, "deploy main")
	bottest.Eventually(t, "the silent connection is closed", func() bool { return r.Connections() == 1 })
}

func TestPingsAloneKeepAConnection(t *testing.T) {
	r := listening(t, nil, slack.Pace{Silence: time.Second})
	connected(t, r)
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer cancel()
	if err := r.WaitOpens(ctx, 2); err == nil {
		t.Errorf("an idle connection was given up\n%s", r.log)
	}
}

func TestListenEndsWithItsContextInEveryState(t *testing.T) {
	for name, until := range map[string]func(t *testing.T, r *socketRig){
		"connected":            connected,
		"with a silent line":   func(t *testing.T, r *socketRig) { connected(t, r); r.GoSilent() },
		"before it is refused": func(*testing.T, *socketRig) {},
		"in a long pause": func(t *testing.T, r *socketRig) {
			connected(t, r)
			r.ThrottleOpen(time.Hour)
			r.Reset()
			logged(t, r, "again_in=1h0m0s")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := listening(t, nil)
			until(t, r)
			began := time.Now()
			if err := r.stop(); err != nil || time.Since(began) > 5*time.Second {
				t.Errorf("ended with %v after %s", err, time.Since(began))
			}
			bottest.Eventually(t, "every goroutine of slack-go ended", func() bool { return !strings.Contains(stacks(), "slack-go/slack/socketmode") })
		})
	}
}

func stacks() string {
	b := make([]byte, 4<<20)
	return string(b[:runtime.Stack(b, true)])
}

func TestARefusedAppTokenIsExplainedAndTriedAgain(t *testing.T) {
	for failure, want := range map[string]string{
		"invalid_auth":           "generate a new one",
		"token_revoked":          "generate a new one",
		"not_allowed_token_type": "not the bot's",
		"missing_scope":          "connections:write",
		"some_new_error":         "Socket Mode is on",
		"internal_error":         "tried again",
	} {
		t.Run(failure, func(t *testing.T) {
			s := slacksocket.New(t, slacksocket.Options{})
			s.FailOpen(3, failure)
			r := listeningTo(t, s, nil)
			connected(t, r)
			log := r.log.String()
			if !strings.Contains(log, want) || strings.Contains(log, r.AppToken) || r.Opens() != 4 {
				t.Errorf("%d tries, logged\n%s", r.Opens(), log)
			}
			if needsPerson := failure != "internal_error"; strings.Contains(log, "level=ERROR") != needsPerson {
				t.Errorf("the level is wrong\n%s", log)
			}
		})
	}
	r := listening(t, func(c *slack.Config) { c.AppToken = "xapp-1-of-another-app" })
	if err := r.WaitOpens(within(t), 3); err != nil {
		t.Error(err)
	}
	logged(t, r, "chat.slack.app_token")
	if strings.Contains(r.log.String(), "xapp-1-of") {
		t.Errorf("the token is logged\n%s", r.log)
	}
}

func TestAFailedOpeningIsTriedOnceAPause(t *testing.T) {
	r := listening(t, nil, slack.Pace{First: time.Hour, Most: time.Hour})
	connected(t, r)
	r.RefuseOpen(100)
	r.Reset()
	logged(t, r, "again_in")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := r.WaitOpens(ctx, 2); err == nil {
		t.Errorf("asked again within the pause\n%s", r.log)
	}
}

func TestASecondConnectionIsWarnedOf(t *testing.T) {
	r := listening(t, nil)
	connected(t, r)
	if strings.Contains(r.log.String(), "level=WARN") {
		t.Errorf("warned of nothing\n%s", r.log)
	}
	other := listeningTo(t, r.Slack, nil)
	logged(t, other, "another program takes commands away")
	if err := r.WaitConnections(within(t), 2); err != nil {
		t.Error(err)
	}
	taken := func() int { return len(r.commands()) + len(other.commands()) }
	for i := range 20 {
		envelope, _ := r.Say("", "", "status")
		acked(t, r, envelope)
		if taken() != i+1 {
			t.Fatalf("%d commands were handled %d times", i+1, taken())
		}
	}
}

func TestAHandlerThatIsBusyLosesNoCommandOfTheOthers(t *testing.T) {
	r := listening(t, nil)
	connected(t, r)
	var envelopes []string
	for range 120 {
		envelope, _ := r.Say("", "", "status")
		envelopes = append(envelopes, envelope)
	}
	for _, e := range envelopes {
		acked(t, r, e)
	}
	if len(r.commands()) != 120 {
		t.Errorf("handled %d", len(r.commands()))
	}
}

func TestWithTheSocketARequestByHTTPProvesNothing(t *testing.T) {
	s := bottest.NewSlack(t)
	c, err := slack.New(slack.Config{Transport: "socket", BotToken: s.Token, AppToken: "xapp-1", SigningSecret: s.SigningSecret})
	if err != nil {
		t.Fatal(err)
	}
	r := s.Command("/", bottest.SlackCommand{Text: "deploy"})
	if _, err := c.Command(r, readAll(t, r)); deploy.CodeOf(err) != deploy.CodeRefused {
		t.Errorf("signed: %v", err)
	}
	bare, err := slack.New(slack.Config{Transport: "socket", BotToken: s.Token, AppToken: "xapp-1"})
	if err != nil {
		t.Fatal(err)
	}
	s.SigningSecret = ""
	forged := s.Command("/", bottest.SlackCommand{Text: "deploy"})
	if _, err := bare.Command(forged, readAll(t, forged)); deploy.CodeOf(err) != deploy.CodeRefused {
		t.Errorf("signed with an empty secret: %v", err)
	}
	if _, err := bare.Command(&http.Request{Header: http.Header{}}, []byte("ssl_check=1")); deploy.CodeOf(err) != deploy.CodeRefused {
		t.Errorf("a probe: %v", err)
	}
}

func TestATransportIsCheckedByItsOwnNeeds(t *testing.T) {
	for name, c := range map[string]slack.Config{
		"unknown transport":    {Transport: "pigeon", SigningSecret: "0123456789abcdef", BotToken: "xoxb-1", AppToken: "xapp-1"},
		"socket, no app token": {Transport: "socket", SigningSecret: "0123456789abcdef", BotToken: "xoxb-1"},
		"socket, bot's token":  {Transport: "socket", BotToken: "xoxb-1", AppToken: "xoxb-1-secret"},
		"socket, no bot token": {Transport: "socket", AppToken: "xapp-1-secret"},
		"http, no secret":      {Transport: "http", BotToken: "xoxb-1", AppToken: "xapp-1"},
	} {
		if _, err := slack.New(c); deploy.CodeOf(err) != deploy.CodeInvalid || deploy.MessageOf(err) == "" || strings.Contains(err.Error(), "-secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, transport := range []string{"", "http"} {
		if _, err := slack.New(slack.Config{Transport: transport, SigningSecret: "0123456789abcdef", BotToken: "xoxb-1"}); err != nil {
			t.Errorf("%q: %v", transport, err)
		}
	}
}
