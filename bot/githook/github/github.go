package github

import (
	"fmt"
	"net/http"
	"strings"

	"ipublish/bot"
	"ipublish/bot/githook"
	"ipublish/bot/hostile"
	"ipublish/deploy"
)

const (
	provider  = "github"
	signature = "X-Hub-Signature-256"
)

// Hook reads the deliveries of one GitHub webhook secret.
type Hook struct{ secret string }

// New returns a bot.Githook for GitHub and GitHub Enterprise. deploy.CodeInvalid
// for a secret that is empty or shorter than githook.MinSecret.
func New(secret string, _ ...githook.Option) (bot.Githook, error) {
	if err := githook.CheckSecret(provider, secret); err != nil {
		return nil, err
	}
	return &Hook{secret: secret}, nil
}

type push struct {
	Ref        string          `json:"ref"`
	Before     string          `json:"before"`
	After      string          `json:"after"`
	HeadCommit *githook.Commit `json:"head_commit"` // null on delete
	Pusher     struct {
		Name string `json:"name"`
	} `json:"pusher"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
}

// Knock implements bot.Doorkeeper: the signature must have the form of one.
func (h *Hook) Knock(head http.Header) error {
	mac, ok := strings.CutPrefix(githook.Header(head, signature), "sha256=")
	if !ok || !githook.IsHexMAC(mac) {
		return unsigned()
	}
	return nil
}

// Parse implements bot.Githook. The signature covers the raw body, also of a
// form; X-Hub-Signature (SHA-1) is not looked at.
func (h *Hook) Parse(r *http.Request, body []byte) (deploy.Push, error) {
	mac, ok := strings.CutPrefix(githook.Header(r.Header, signature), "sha256=")
	if !ok || !githook.HexMAC(h.secret, body, mac) {
		return deploy.Push{}, unsigned()
	}
	switch event := githook.Header(r.Header, "X-GitHub-Event"); event {
	case "push":
	case "ping":
		return deploy.Push{}, githook.Ignore(provider, "a ping: the webhook and its secret are set up well")
	default:
		return deploy.Push{}, githook.Ignore(provider, fmt.Sprintf("event %q is not used: send push events only", hostile.Line(event, 30)))
	}
	return read(githook.Header(r.Header, "X-GitHub-Delivery"), r, body)
}

func unsigned() error { return githook.Refuse(provider, signature+" is missing or does not match") }

func read(delivery string, r *http.Request, body []byte) (deploy.Push, error) {
	payload, ok := githook.Payload(r, body)
	if !ok {
		return deploy.Push{}, githook.Invalid(provider, "the form has no single field payload", nil)
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
		Delivery: githook.Delivery(delivery, body),
		Repo:     in.Repository.FullName,
		Ref:      in.Ref,
		Before:   in.Before,
		After:    in.After,
		Pusher:   deploy.Actor{Name: in.Pusher.Name},
	}, head)
}
