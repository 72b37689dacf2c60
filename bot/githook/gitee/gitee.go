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

// window is how old a signature may be, either way; Gitee documents one hour.
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
	Ref        string           `json:"ref"`
	Before     string           `json:"before"`
	After      string           `json:"after"`
	HeadCommit *githook.Commit  `json:"head_commit"`
	Commits    []githook.Commit `json:"commits"`
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
	if err := h.verify(r, body); err != nil {
		return deploy.Push{}, err
	}
	switch event := githook.Header(r, "X-Gitee-Event"); event {
	case "Push Hook", "Tag Push Hook":
	default:
		return deploy.Push{}, githook.Ignore(provider, fmt.Sprintf("event %q is not used: send push and tag push events only", hostile.Line(event, 30)))
	}
	var in push
	if err := githook.Decode(provider, body, &in); err != nil {
		return deploy.Push{}, err
	}
	head := in.HeadCommit
	if head == nil {
		head = githook.HeadOf(in.Commits, in.After)
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

// verify accepts the password itself, or a fresh signature by it.
func (h *Hook) verify(r *http.Request, body []byte) error {
	token, at := githook.Header(r, "X-Gitee-Token"), githook.Header(r, "X-Gitee-Timestamp")
	if githook.SameSecret(token, h.secret) {
		return nil
	}
	got, err := base64.StdEncoding.DecodeString(token)
	if err != nil || !hmac.Equal(got, githook.MAC([]byte(h.secret), []byte(at+"\n"+h.secret))) {
		return githook.Refuse(provider, "X-Gitee-Token is missing or does not match")
	}
	now := h.now()
	if !githook.Within(at, time.Millisecond, window, now) {
		return githook.Refuse(provider, "X-Gitee-Timestamp is more than an hour off; check the clock of this machine")
	}
	if !h.replays.Fresh(token, body, now) {
		return githook.Refuse(provider, "a signature came a second time with another body: somebody may have captured it")
	}
	return nil
}
