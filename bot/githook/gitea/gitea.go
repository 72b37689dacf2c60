package gitea

import (
	"fmt"
	"net/http"

	"ipublish/bot"
	"ipublish/bot/githook"
	"ipublish/bot/hostile"
	"ipublish/deploy"
)

const provider = "gitea"

// Hook reads the deliveries of one Gitea, Forgejo or Gogs webhook secret.
type Hook struct{ secret string }

// New returns a bot.Githook for Gitea, Forgejo and Gogs. deploy.CodeInvalid for
// a secret that is empty or shorter than githook.MinSecret.
func New(secret string, _ ...githook.Option) (bot.Githook, error) {
	if err := githook.CheckSecret(provider, secret); err != nil {
		return nil, err
	}
	return &Hook{secret: secret}, nil
}

// dialects are the header prefixes, most specific first: Forgejo sends all
// three, Gitea the last two.
var dialects = [...]string{"X-Forgejo-", "X-Gitea-", "X-Gogs-"}

type push struct {
	Ref        string          `json:"ref"`
	Before     string          `json:"before"`
	After      string          `json:"after"`
	HeadCommit *githook.Commit `json:"head_commit"` // Gogs sends none
	Pusher     struct {
		Login    string `json:"login"`
		Username string `json:"username"`
	} `json:"pusher"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
}

// Knock implements bot.Doorkeeper: the signature must have the form of one.
func (h *Hook) Knock(head http.Header) error {
	if !githook.IsHexMAC(header(head, "Signature")) {
		return unsigned()
	}
	return nil
}

// Parse implements bot.Githook.
func (h *Hook) Parse(r *http.Request, body []byte) (deploy.Push, error) {
	payload, ok := githook.Payload(r, body)
	if !ok || !githook.HexMAC(h.secret, payload, header(r.Header, "Signature")) {
		return deploy.Push{}, unsigned()
	}
	if event := header(r.Header, "Event"); event != "push" {
		return deploy.Push{}, githook.Ignore(provider, fmt.Sprintf("event %q is not used: send push events only", hostile.Line(event, 30)))
	}
	var in push
	if err := githook.DecodeBut(provider, "commits", payload, &in); err != nil {
		return deploy.Push{}, err
	}
	head, err := githook.HeadOf(provider, payload, in.HeadCommit, in.After)
	if err != nil {
		return deploy.Push{}, err
	}
	return githook.Accept(deploy.Push{
		Provider: provider,
		Delivery: githook.Delivery(header(r.Header, "Delivery"), payload),
		Repo:     in.Repository.FullName,
		Ref:      in.Ref,
		Before:   in.Before,
		After:    in.After,
		Pusher:   deploy.Actor{Name: githook.FirstOf(in.Pusher.Login, in.Pusher.Username)},
	}, head)
}

func unsigned() error {
	return githook.Refuse(provider, "X-Gitea-Signature is missing or does not match")
}

// header returns the header of the most specific dialect that sent it.
func header(h http.Header, name string) string {
	for _, prefix := range dialects {
		if v := githook.Header(h, prefix+name); v != "" {
			return v
		}
	}
	return ""
}
