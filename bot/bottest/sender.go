package bottest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Sender builds the deliveries of one git host. The requests are a client's:
// http.Client.Do sends them, and a handler can be given them as they are.
type Sender struct {
	Provider string
	Body     func(p Push) []byte // the JSON that the host sends for p
	// Deliver sends any JSON as the host would send a push: headers of p, body
	// signed with secret.
	Deliver func(url, secret string, p Push, body []byte) *http.Request
}

// Push builds the delivery of p.
func (s Sender) Push(url, secret string, p Push) *http.Request {
	return s.Deliver(url, secret, p, s.Body(p))
}

// GitHubPush builds GitHub's delivery of p to url, signed with secret.
func GitHubPush(url, secret string, p Push) *http.Request { return GitHub().Push(url, secret, p) }

// GitLabPush builds GitLab's delivery of p: signed if secret begins with
// "whsec_", else with the plain token.
func GitLabPush(url, secret string, p Push) *http.Request { return GitLab().Push(url, secret, p) }

// GiteaPush builds Gitea's delivery of p to url, signed with secret.
func GiteaPush(url, secret string, p Push) *http.Request { return Gitea().Push(url, secret, p) }

// GiteePush builds Gitee's delivery of p to url with a signed timestamp.
func GiteePush(url, secret string, p Push) *http.Request { return Gitee().Push(url, secret, p) }

// GitHub sends as GitHub does.
func GitHub() Sender { return Sender{Provider: "github", Body: gitHubBody, Deliver: gitHubDelivery} }

// GitLab sends as GitLab does.
func GitLab() Sender { return Sender{Provider: "gitlab", Body: gitLabBody, Deliver: gitLabDelivery} }

// Gitea sends as Gitea does, its Gogs and GitHub headers included.
func Gitea() Sender { return Sender{Provider: "gitea", Body: giteaBody, Deliver: giteaDelivery} }

// Gitee sends as Gitee does with a signing key.
func Gitee() Sender { return Sender{Provider: "gitee", Body: giteeBody, Deliver: giteeDelivery} }

// GiteePassword sends as Gitee does with a plain password.
func GiteePassword() Sender {
	return Sender{Provider: "gitee", Body: giteeBody, Deliver: func(url, secret string, p Push, body []byte) *http.Request {
		r := giteeDelivery(url, secret, p, body)
		r.Header.Set("X-Gitee-Token", secret)
		return r
	}}
}

func gitHubDelivery(to, secret string, p Push, body []byte) *http.Request {
	p = p.filled()
	r := newDelivery(to, p, body)
	sent := sentBody(p, body)
	r.Header.Set("User-Agent", "GitHub-Hookshot/0a1b2c3")
	r.Header.Set("X-GitHub-Event", "push")
	r.Header.Set("X-GitHub-Delivery", p.Delivery)
	r.Header.Set("X-GitHub-Hook-ID", "292430182")
	r.Header.Set("X-Hub-Signature-256", "sha256="+hexMAC(secret, sent))
	return r
}

func giteaDelivery(to, secret string, p Push, body []byte) *http.Request {
	p = p.filled()
	r := newDelivery(to, p, body)
	for _, dialect := range []string{"X-Gitea-", "X-Gogs-", "X-GitHub-"} {
		r.Header.Set(dialect+"Delivery", p.Delivery)
		r.Header.Set(dialect+"Event", "push")
		r.Header.Set(dialect+"Event-Type", "push")
	}
	// Also of a form, the signature covers the JSON.
	r.Header.Set("X-Gitea-Signature", hexMAC(secret, body))
	r.Header.Set("X-Gogs-Signature", hexMAC(secret, body))
	r.Header.Set("X-Hub-Signature-256", "sha256="+hexMAC(secret, body))
	return r
}

func gitLabDelivery(to, secret string, p Push, body []byte) *http.Request {
	p = p.filled()
	p.Form = false
	r := newDelivery(to, p, body)
	r.Header.Set("User-Agent", "GitLab/18.5.0")
	r.Header.Set("X-Gitlab-Event", "Push Hook")
	if strings.HasPrefix(p.Ref, "refs/tags/") {
		r.Header.Set("X-Gitlab-Event", "Tag Push Hook")
	}
	r.Header.Set("X-Gitlab-Instance", "https://gitlab.example.com")
	r.Header.Set("X-Gitlab-Webhook-UUID", uuid("webhook"))
	r.Header.Set("X-Gitlab-Event-UUID", uuid("event "+p.Delivery))
	r.Header.Set("Idempotency-Key", p.Delivery)
	encoded, signed := strings.CutPrefix(secret, "whsec_")
	if !signed {
		r.Header.Set("X-Gitlab-Token", secret)
		return r
	}
	at := strconv.FormatInt(p.At.Unix(), 10)
	key, _ := base64.StdEncoding.DecodeString(encoded)
	mac := mac(key, append([]byte(p.Delivery+"."+at+"."), body...))
	r.Header.Set("webhook-id", p.Delivery)
	r.Header.Set("webhook-timestamp", at)
	r.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac))
	return r
}

func giteeDelivery(to, secret string, p Push, body []byte) *http.Request {
	p = p.filled()
	p.Form = false
	r := newDelivery(to, p, body)
	at := strconv.FormatInt(p.At.UnixMilli(), 10)
	r.Header.Set("User-Agent", "git-oschina-hook")
	r.Header.Set("X-Gitee-Event", "Push Hook")
	if strings.HasPrefix(p.Ref, "refs/tags/") {
		r.Header.Set("X-Gitee-Event", "Tag Push Hook")
	}
	r.Header.Set("X-Gitee-Timestamp", at)
	r.Header.Set("X-Gitee-Token", SignTimestamp(secret, p.At))
	return r
}

// SignTimestamp signs a time as Gitee and DingTalk do: base64 of
// HMAC-SHA256(secret, "<ms>\n<secret>"). It covers no body.
func SignTimestamp(secret string, at time.Time) string {
	text := strconv.FormatInt(at.UnixMilli(), 10) + "\n" + secret
	return base64.StdEncoding.EncodeToString(mac([]byte(secret), []byte(text)))
}

func newDelivery(to string, p Push, body []byte) *http.Request {
	r, err := http.NewRequest(http.MethodPost, to, bytes.NewReader(sentBody(p, body)))
	if err != nil {
		panic(err) // a malformed URL in a test
	}
	r.Header.Set("Content-Type", "application/json")
	if p.Form {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func sentBody(p Push, body []byte) []byte {
	if p.Form {
		return []byte(url.Values{"payload": {string(body)}}.Encode())
	}
	return body
}

func hexMAC(secret string, body []byte) string { return hex.EncodeToString(mac([]byte(secret), body)) }

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain maps and texts only
	}
	return b
}
