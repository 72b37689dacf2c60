package gitee

import (
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"ipublish/bot"
	"ipublish/bot/githook"
	"ipublish/bot/hostile"
	"ipublish/deploy"
)

const provider = "gitee"

// window is how old a signature may be, either way. Gitee documents one hour and
// queues deliveries, which keep the time they were queued at: a shorter window
// would lose pushes. That a second body is refused makes up for its length.
const window = time.Hour

// Hook reads the deliveries of one Gitee password or signing key.
type Hook struct {
	secret  string
	now     func() time.Time
	replays *hostile.Replays
}

// New returns a bot.Githook for Gitee; the secret is the webhook's password or
// its signing key, whichever is set there. deploy.CodeInvalid for a secret that
// is empty or shorter than githook.MinSecret.
func New(secret string, options ...githook.Option) (bot.Githook, error) {
	if err := githook.CheckSecret(provider, secret); err != nil {
		return nil, err
	}
	// A signature may come from one window ahead and lives one window more.
	return &Hook{secret: secret, now: githook.Configure(options).Now, replays: hostile.NewReplays(2 * window)}, nil
}

type push struct {
	Ref        string          `json:"ref"`
	Before     string          `json:"before"`
	After      string          `json:"after"`
	HeadCommit *githook.Commit `json:"head_commit"`
	Pusher     struct {
		Username string `json:"username"`
		Name     string `json:"name"`
	} `json:"pusher"`
	Repository struct {
		PathWithNamespace string `json:"path_with_namespace"`
		FullName          string `json:"full_name"`
	} `json:"repository"`
}

// Parse implements bot.Githook. Gitee documents no delivery id: the same body
// is the same delivery.
func (h *Hook) Parse(r *http.Request, body []byte) (deploy.Push, error) {
	if err := h.verify(r.Header, body); err != nil {
		return deploy.Push{}, err
	}
	switch event := githook.Header(r.Header, "X-Gitee-Event"); event {
	case "Push Hook", "Tag Push Hook":
	default:
		return deploy.Push{}, githook.Ignore(provider, fmt.Sprintf("event %q is not used: send push and tag push events only", hostile.Line(event, 30)))
	}
	var in push
	if err := githook.DecodeBut(provider, "commits", body, &in); err != nil {
		return deploy.Push{}, err
	}
	head, err := githook.HeadOf(provider, body, in.HeadCommit, in.After)
	if err != nil {
		return deploy.Push{}, err
	}
	return githook.Accept(deploy.Push{
		Provider: provider,
		Delivery: githook.Delivery("", body),
		Repo:     githook.FirstOf(in.Repository.PathWithNamespace, in.Repository.FullName),
		Ref:      in.Ref,
		Before:   in.Before,
		After:    in.After,
		Pusher:   deploy.Actor{Name: githook.FirstOf(in.Pusher.Username, in.Pusher.Name)},
	}, head)
}

// Knock implements bot.Doorkeeper: no proof of Gitee's covers the body.
func (h *Hook) Knock(head http.Header) error {
	_, err := h.prove(head)
	return err
}

// verify accepts what is proven, but no second body under one signature.
func (h *Hook) verify(head http.Header, body []byte) error {
	mac, err := h.prove(head)
	if err == nil && mac != nil && !h.replays.Fresh(mac, body, h.now()) {
		return githook.Captured(provider)
	}
	return err
}

// prove accepts the password itself, or a fresh signature by it, which it gives
// back decoded: only the canonical one of its four spellings is taken.
func (h *Hook) prove(head http.Header) (mac []byte, err error) {
	token, at := githook.Header(head, "X-Gitee-Token"), githook.Header(head, "X-Gitee-Timestamp")
	if githook.SameSecret(token, h.secret) {
		return nil, nil
	}
	got, err := base64.StdEncoding.Strict().DecodeString(token)
	if err != nil || !hmac.Equal(got, githook.MAC([]byte(h.secret), []byte(at+"\n"+h.secret))) {
		return nil, githook.Refuse(provider, "X-Gitee-Token is missing or does not match")
	}
	if !githook.Within(at, time.Millisecond, window, h.now()) {
		return nil, githook.Refuse(provider, "X-Gitee-Timestamp is more than an hour off; check the clock of this machine")
	}
	return got, nil
}
