package gitlab

import (
	"fmt"
	"net/http"
	"strings"

	"ipublish/bot"
	"ipublish/bot/githook"
	"ipublish/bot/hostile"
	"ipublish/deploy"
)

const provider = "gitlab"

// Hook reads the deliveries of one GitLab secret.
type Hook struct {
	token   string
	signing *signer // set: the token is not accepted
}

// New returns a bot.Githook for GitLab. A secret that begins with "whsec_" is a
// signing token, any other a plain one. deploy.CodeInvalid for a secret that is
// empty or shorter than githook.MinSecret, or a signing token that is not base64.
func New(secret string, options ...githook.Option) (bot.Githook, error) {
	if err := githook.CheckSecret(provider, secret); err != nil {
		return nil, err
	}
	encoded, signed := strings.CutPrefix(secret, "whsec_")
	if !signed {
		return &Hook{token: secret}, nil
	}
	s, err := newSigner(encoded, githook.Configure(options).Now)
	if err != nil {
		return nil, err
	}
	return &Hook{signing: s}, nil
}

type push struct {
	ObjectKind   string   `json:"object_kind"`
	EventName    string   `json:"event_name"`
	Ref          string   `json:"ref"`
	Before       string   `json:"before"`
	After        string   `json:"after"`
	CheckoutSHA  string   `json:"checkout_sha"` // the commit, also of an annotated tag; null on delete
	Commits      []commit `json:"commits"`      // at most 20; none in a system hook
	UserUsername string   `json:"user_username"`
	UserName     string   `json:"user_name"`
	Project      struct {
		PathWithNamespace string `json:"path_with_namespace"`
	} `json:"project"`
}

type commit struct {
	githook.Commit
	Title string `json:"title"`
}

// Parse implements bot.Githook.
func (h *Hook) Parse(r *http.Request, body []byte) (deploy.Push, error) {
	if err := h.verify(r.Header, body); err != nil {
		return deploy.Push{}, err
	}
	event := githook.Header(r.Header, "X-Gitlab-Event")
	switch event {
	case "Push Hook", "Tag Push Hook", "System Hook":
	default:
		return deploy.Push{}, unused(event)
	}
	var in push
	if err := githook.Decode(provider, body, &in); err != nil {
		return deploy.Push{}, err
	}
	if kind := githook.FirstOf(in.ObjectKind, in.EventName); kind != "push" && kind != "tag_push" {
		return deploy.Push{}, unused(kind)
	}
	return githook.Accept(deploy.Push{
		Provider: provider,
		Delivery: h.delivery(r, body),
		Repo:     in.Project.PathWithNamespace,
		Ref:      in.Ref,
		Before:   in.Before,
		After:    in.After,
		Pusher:   deploy.Actor{Name: githook.FirstOf(in.UserUsername, in.UserName)},
	}, in.head())
}

// Knock implements bot.Doorkeeper: a token is judged for good, a signature by
// its time.
func (h *Hook) Knock(head http.Header) error {
	if h.signing != nil {
		_, err := h.signing.signed(head)
		return err
	}
	if !githook.SameSecret(githook.Header(head, "X-Gitlab-Token"), h.token) {
		return githook.Refuse(provider, "X-Gitlab-Token is missing or does not match")
	}
	return nil
}

func (h *Hook) verify(head http.Header, body []byte) error {
	if h.signing != nil {
		return h.signing.verify(head, body)
	}
	return h.Knock(head)
}

// delivery names what stays the same when GitLab retries: the signed id, the
// Idempotency-Key (17.x and later), else the event's UUID. The last is shared by
// deliveries that one webhook's receiver caused, hence the body's fingerprint.
func (h *Hook) delivery(r *http.Request, body []byte) string {
	if h.signing != nil {
		return githook.Delivery(githook.Header(r.Header, "webhook-id"), body)
	}
	if key := githook.Header(r.Header, "Idempotency-Key"); key != "" {
		return githook.Delivery(key, body)
	}
	if uuid := githook.Header(r.Header, "X-Gitlab-Event-UUID"); uuid != "" {
		return githook.Delivery(uuid+"-"+githook.Fingerprint(body)[:12], body)
	}
	return githook.Delivery("", body)
}

// head finds the head commit; a tag's or a system hook's may not be listed.
func (p push) head() *githook.Commit {
	id := githook.FirstOf(p.CheckoutSHA, p.After)
	for _, c := range p.Commits {
		if c.ID == id {
			c.Message = githook.FirstOf(c.Message, c.Title)
			return &c.Commit
		}
	}
	if p.CheckoutSHA == "" {
		return nil
	}
	return &githook.Commit{ID: p.CheckoutSHA}
}

func unused(event string) error {
	return githook.Ignore(provider, fmt.Sprintf("event %q is not used: send push and tag push events only", hostile.Line(event, 30)))
}
