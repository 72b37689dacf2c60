package bot

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// fakeHook verifies a shared secret in a header and reads a small push.
type fakeHook struct{ secret string }

func (f fakeHook) Parse(r *http.Request, body []byte) (deploy.Push, error) {
	if !hmac.Equal([]byte(r.Header.Get("X-Secret")), []byte(f.secret)) {
		return deploy.Push{}, &deploy.Error{Code: deploy.CodeRefused, Message: "bad signature"}
	}
	if r.Header.Get("X-Event") == "captured" {
		return deploy.Push{}, &deploy.Error{Code: deploy.CodeRefused, Err: hostile.ErrCaptured}
	}
	if r.Header.Get("X-Event") == "ping" {
		return deploy.Push{}, &deploy.Error{Code: deploy.CodeNotFound, Message: "a ping"}
	}
	if string(body) == "panic" {
		panic("planted")
	}
	var p deploy.Push
	if err := json.Unmarshal(body, &p); err != nil {
		return p, &deploy.Error{Code: deploy.CodeInvalid, Err: err}
	}
	return p, nil
}

// Knock implements Doorkeeper.
func (f fakeHook) Knock(h http.Header) error {
	if h.Get("X-Secret") == "" {
		return &deploy.Error{Code: deploy.CodeRefused, Message: "no signature"}
	}
	return nil
}

// fakeChat verifies like fakeHook; posts and replies are recorded.
type fakeChat struct {
	secret string
	editor bool
	shows  bool // Ack shows its text

	mu      sync.Mutex
	posts   []deploy.Message
	at      []time.Time
	refs    map[string]deploy.Message
	fail    func(m deploy.Message) error
	replies chan string
	socket  chan deploy.Command
	acks    chan error
}

func newChat() *fakeChat {
	return &fakeChat{secret: "chat-secret", editor: true, shows: true, refs: map[string]deploy.Message{},
		replies: make(chan string, 100), socket: make(chan deploy.Command), acks: make(chan error, 100)}
}

func (f *fakeChat) Command(r *http.Request, body []byte) (deploy.Command, error) {
	if !hmac.Equal([]byte(r.Header.Get("X-Secret")), []byte(f.secret)) {
		return deploy.Command{}, &deploy.Error{Code: deploy.CodeRefused}
	}
	var c deploy.Command
	if string(body) == "other" {
		return slackCommand("x"), &deploy.Error{Code: deploy.CodeNotFound, Message: "the command /other is not ours"}
	}
	if string(body) == "probe" {
		return c, &deploy.Error{Code: deploy.CodeNotFound}
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return c, &deploy.Error{Code: deploy.CodeInvalid, Err: err}
	}
	return c, nil
}

func (f *fakeChat) Listen(ctx context.Context, handle func(deploy.Command) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-f.socket:
			if c.Text == "hang up" {
				return errors.New("the socket broke")
			}
			f.acks <- handle(c)
		}
	}
}

func (f *fakeChat) Post(ctx context.Context, m deploy.Message) (string, error) {
	f.mu.Lock()
	fail := f.fail
	f.mu.Unlock()
	if fail != nil {
		if err := fail(m); err != nil {
			return "", err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	ref := m.Ref
	if ref == "" {
		ref = fmt.Sprintf("ref-%d", len(f.refs)+1)
	}
	f.posts, f.at, f.refs[ref] = append(f.posts, m), append(f.at, time.Now()), m
	return ref, ctx.Err()
}

func (f *fakeChat) Reply(_ context.Context, _ deploy.Command, m deploy.Message) error {
	f.replies <- strings.Join(m.Lines, "\n")
	return nil
}

func (f *fakeChat) Ack(w http.ResponseWriter, _ deploy.Command, text string) bool {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"text": text})
	return f.shows
}

func (f *fakeChat) Edits(string) bool { return f.editor }

func (f *fakeChat) told() []deploy.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]deploy.Message(nil), f.posts...)
}
