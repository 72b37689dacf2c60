package bottest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ipublish/bot"
	"ipublish/deploy"
)

// ChatRig is a chat's driver together with the platform that talks to it.
type ChatRig struct {
	Name    string // driver, "slack"
	Chat    bot.Chat
	Channel string       // where messages are posted
	Asked   string       // the channel that Ask asks in
	User    deploy.Actor // who asks
	// Ask builds a genuine request of a person, each time a new message unless
	// id is given; Whisper the same in a private conversation.
	Ask     func(text, id string) *http.Request
	Whisper func(text string) *http.Request
	// At builds a genuine request that was signed so long ago.
	At func(ago time.Duration) *http.Request
	// Window is how old a request may be.
	Window time.Duration
	// Sign builds a genuine request with any body.
	Sign func(body []byte) *http.Request
	// Bodies returns malformed bodies of genuine requests.
	Bodies func() []Mutation
	// Signature are the headers that carry the proof.
	Signature []string
	// Loose says that the proof does not cover the body, as the driver documents.
	Loose bool
	// Shown returns what the channel shows, oldest first; Told what only askers see.
	Shown, Told func() []Shown
	// Pass lets enough time pass on the platform for one more message.
	Pass func()
	// Throttle makes the next post answer that there were too many.
	Throttle func()
}

// Shown is one message as people see it.
type Shown struct {
	Ref      string
	Text     string
	Thread   string          // ref of the message that it answers
	Mentions func() []string // what notifies people, in any version
	Links    func() []string // what can be clicked, in any version
	Edits    int
}

// Chat checks that a driver keeps the contract of bot.Chat and of the optional
// interfaces that it has.
func Chat(t *testing.T, rig ChatRig) {
	t.Run("a genuine command is read", rig.reads)
	t.Run("a message has its own key and keeps it", rig.keys)
	t.Run("a command without the right proof is refused", rig.refuses)
	t.Run("no spelling of a proof carries another body", rig.refusesSpellings)
	t.Run("the headers alone turn away only what is refused anyway", rig.knocks)
	t.Run("a command is genuine for a while only", rig.ages)
	t.Run("no malformed request panics or passes unexplained", rig.survives)
	t.Run("a message shows all its parts", rig.shows)
	t.Run("a message with a ref is edited where that can be", rig.edits)
	t.Run("a message of any size fits", rig.fits)
	t.Run("hostile texts mention nobody and link nowhere", rig.defuses)
	t.Run("an impossible message is invalid", rig.rejects)
	t.Run("an answer reaches the asker", rig.replies)
	t.Run("an answer goes to the platform only", rig.answersNoStranger)
	t.Run("the request is answered in the platform's form", rig.acks)
	t.Run("too many messages are told with the wait", rig.throttles)
	t.Run("a cancelled call returns at once", rig.cancels)
	t.Run("listen ends with its context", rig.listens)
}

func (rig ChatRig) reads(t *testing.T) {
	for text, want := range map[string]string{
		"deploy main": "deploy main", "": "", "  deploy 功能/购物车 \u00a0": "deploy 功能/购物车", "lock “reason” — now": "lock “reason” — now",
		"deploy <!channel> && $(id)": "deploy <!channel> && $(id)",
	} {
		got, err := command(t, rig.Chat, rig.Ask(text, ""))
		if err != nil {
			t.Fatal(err)
		}
		if got.Text != want || got.Chat != rig.Name || got.Channel != rig.Asked || got.User != rig.User || got.Key == "" || got.Reply == "" {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
	got, err := command(t, rig.Chat, rig.Whisper("whoami"))
	if err != nil || got.Channel != "" || got.Text != "whoami" {
		t.Errorf("in private: %+v, %v", got, err)
	}
}

func (rig ChatRig) keys(t *testing.T) {
	key := func(r *http.Request) string {
		got, err := command(t, rig.Chat, r)
		if err != nil {
			t.Fatal(err)
		}
		return got.Key
	}
	again := rig.Ask("deploy", "")
	first := key(again)
	if !strings.HasPrefix(first, rig.Name+":") || key(again) != first || key(rig.Ask("deploy", "")) == first {
		t.Errorf("key %q is not the message's", first)
	}
	if a, b := key(rig.Ask("deploy", "same-id")), key(rig.Ask("deploy", "same-id")); a != b {
		t.Errorf("one message has the keys %q and %q", a, b)
	}
}

func (rig ChatRig) refuses(t *testing.T) {
	genuine := func() *http.Request { return rig.Ask("deploy main", "") }
	for name, r := range map[string]*http.Request{
		"no proof":    withHeaders(genuine(), rig.Signature, nil),
		"empty proof": withHeaders(genuine(), rig.Signature, []string{""}),
		"no sense":    withHeaders(genuine(), rig.Signature, []string{"x"}),
		"wrong proof": eachHeader(genuine(), rig.Signature, func(s string) string { return s[:len(s)-4] + "AAA=" }),
		"short proof": eachHeader(genuine(), rig.Signature, func(s string) string { return s[:len(s)-2] }),
		"long proof":  eachHeader(genuine(), rig.Signature, func(s string) string { return s + "00" }),
		"two proofs":  twice(genuine(), rig.Signature),
		"no headers":  {Method: http.MethodPost, Header: http.Header{}, Body: genuine().Body},
	} {
		_, err := command(t, rig.Chat, r)
		if got := deploy.CodeOf(err); got != deploy.CodeRefused || deploy.MessageOf(err) == "" {
			t.Errorf("%s: code %q, want refused with a message (%v)", name, got, err)
		}
	}
	r := genuine()
	body := strings.Replace(string(read(t, r)), "deploy", "revert", 1)
	if _, err := rig.Chat.Command(r, []byte(body)); !rig.Loose && deploy.CodeOf(err) != deploy.CodeRefused {
		t.Errorf("a changed body: %v", err)
	}
}

func (rig ChatRig) refusesSpellings(t *testing.T) {
	genuine := rig.Ask("deploy main", "")
	if _, err := command(t, rig.Chat, genuine); err != nil {
		t.Fatal(err)
	}
	body := strings.Replace(string(read(t, genuine)), "deploy", "revert", 1)
	for _, r := range respelled(genuine, rig.Signature) {
		_, err := rig.Chat.Command(r, []byte(body))
		wantCode(t, err, deploy.CodeRefused)
	}
}

func (rig ChatRig) knocks(t *testing.T) {
	door, ok := rig.Chat.(bot.Doorkeeper)
	if !ok {
		return
	}
	if err := door.Knock(rig.Ask("deploy main", "").Header); err != nil {
		t.Errorf("a genuine command is turned away: %v", err)
	}
	for _, values := range [][]string{nil, {""}, {"x"}, {"x", "x"}} {
		wantCode(t, door.Knock(withHeaders(rig.Ask("deploy main", ""), rig.Signature, values).Header), deploy.CodeRefused)
	}
}

func (rig ChatRig) ages(t *testing.T) {
	for ago, want := range map[time.Duration]deploy.Code{
		0: "", rig.Window - 5*time.Second: "", 5*time.Second - rig.Window: "",
		rig.Window + 5*time.Second: deploy.CodeRefused, -rig.Window - 5*time.Second: deploy.CodeRefused,
	} {
		if _, err := command(t, rig.Chat, rig.At(ago)); deploy.CodeOf(err) != want {
			t.Errorf("%s old: %v", ago, err)
		}
	}
}

func (rig ChatRig) survives(t *testing.T) {
	for _, m := range rig.Bodies() {
		rig.judge(t, m.Name, m.JSON)
	}
}

// FuzzChat feeds any body, genuinely signed, to the driver: it must answer with
// a complete command or a code.
func FuzzChat(f *testing.F, rig ChatRig) {
	f.Add(read(f, rig.Ask("deploy main", "")))
	f.Fuzz(func(t *testing.T, body []byte) { rig.judge(t, "", body) })
}

func (rig ChatRig) judge(t *testing.T, name string, body []byte) {
	t.Helper()
	got, err := rig.Chat.Command(rig.Sign(body), body)
	switch deploy.CodeOf(err) {
	case "":
		if got.Key == rig.Name+":" || got.User.ID == rig.Name+":" || got.Chat == "" {
			t.Errorf("%s passed as %+v", name, got)
		}
	case deploy.CodeInvalid, deploy.CodeNotFound, deploy.CodeRefused:
	default:
		t.Errorf("%s: code %q: %v", name, deploy.CodeOf(err), err)
	}
}

func (rig ChatRig) answersNoStranger(t *testing.T) {
	replier, ok := rig.Chat.(bot.Replier)
	if !ok {
		return
	}
	for _, to := range []string{
		"http://169.254.169.254/latest/meta-data", "https://hooks.slack.com.evil.example/x", "https://hooks.slack.com@evil.example/x",
		"https://oapi.dingtalk.com.evil.example/x", "https://oapi.dingtalk.com@evil.example/x", "http://oapi.dingtalk.com/x", "http://hooks.slack.com/x",
		"https://localhost/x", "http://127.0.0.1:1/x", "https://[::1]/x", "file:///etc/passwd", "gopher://127.0.0.1/x", "//evil.example/x", "x", "https://evil.example/#@oapi.dingtalk.com",
	} {
		err := replier.Reply(t.Context(), deploy.Command{Reply: to}, deploy.Message{Lines: []string{"hi"}})
		if got := deploy.CodeOf(err); got != deploy.CodeRefused {
			t.Errorf("%s: code %q, want refused (%v)", to, got, err)
		}
	}
	err := replier.Reply(t.Context(), deploy.Command{}, deploy.Message{Lines: []string{"hi"}})
	wantCode(t, err, deploy.CodeNotFound)
}

func (rig ChatRig) acks(t *testing.T) {
	acker, ok := rig.Chat.(bot.Acker)
	if !ok {
		return
	}
	for _, text := range []string{"", "deploy #142 is queued", "<!channel> & co"} {
		w := httptest.NewRecorder()
		shown := acker.Ack(w, deploy.Command{}, text)
		if w.Code != http.StatusOK || (text == "" && shown) || strings.Contains(w.Body.String(), "<!") {
			t.Errorf("%q: status %d, shown %v, %s", text, w.Code, shown, w.Body)
		}
		if shown && !strings.Contains(w.Body.String(), "142") && !strings.Contains(text, "&") {
			t.Errorf("%q is said to be shown by %s", text, w.Body)
		}
	}
}

func (rig ChatRig) throttles(t *testing.T) {
	rig.Pass()
	rig.Throttle()
	_, err := rig.Chat.Post(t.Context(), deploy.Message{Channel: rig.Channel, Title: "shop"})
	wantCode(t, err, deploy.CodeUnavailable)
	var throttled *bot.Throttled
	if !errors.As(err, &throttled) || throttled.After < time.Second {
		t.Errorf("no wait is told: %v", err)
	}
}

func (rig ChatRig) cancels(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := rig.Chat.Post(ctx, deploy.Message{Channel: rig.Channel, Title: "shop"})
	wantCode(t, err, deploy.CodeCancelled)
}

func (rig ChatRig) listens(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- rig.Chat.Listen(ctx, func(deploy.Command) error { return nil }) }()
	select {
	case err := <-ended:
		t.Fatalf("listen returned before its context ended: %v", err)
	default:
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("listen: %v", err)
	}
}

func command(t *testing.T, chat bot.Chat, r *http.Request) (deploy.Command, error) {
	t.Helper()
	return chat.Command(r, read(t, r))
}
