package demo

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"

	"ipublish/deployer/source/gitserve"
)

// deliveryTimeout bounds one webhook.
const deliveryTimeout = 10 * time.Second

// gitHost plays the git host: it takes pushes over HTTP, and tells ipublish of
// each by a webhook signed as GitHub's are.
type gitHost struct {
	f      folder
	secret string
	server *http.Server
	served chan error
	pushed chan string // hashes that main was pushed to; the newest is kept

	mu      sync.Mutex
	told    bool  // webhooks are sent
	trouble error // of the last webhook
}

// startGitHost listens and serves until close.
func startGitHost(f folder) (*gitHost, error) {
	secret, err := f.secret()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", f.Git)
	if err != nil {
		return nil, err
	}
	g := &gitHost{f: f, secret: secret, served: make(chan error, 1), pushed: make(chan string, 1)}
	g.server = &http.Server{
		Handler:           http.StripPrefix("/shop.git", gitserve.Handler(f.bare(), gitserve.Options{Pushed: g.received})),
		ReadHeaderTimeout: deliveryTimeout,
	}
	go func() { g.served <- g.server.Serve(listener) }()
	return g, nil
}

// close ends the server; a push in flight is cut.
func (g *gitHost) close() error {
	err := g.server.Close()
	<-g.served
	return err
}

// tell makes every later push lead to a webhook.
func (g *gitHost) tell() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told = true
}

// delivered says how the last webhook went.
func (g *gitHost) delivered() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.trouble
}

// received runs for each ref that a push moved, before the pusher is answered.
func (g *gitHost) received(ref, before, after string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.told {
		return
	}
	g.trouble = g.deliver(ref, before, after)
	if ref != plumbing.Main.String() || g.trouble != nil {
		return
	}
	select {
	case <-g.pushed:
	default:
	}
	g.pushed <- after
}

// payload is what of GitHub's push event a receiver needs.
type payload struct {
	Ref        string      `json:"ref"`
	Before     string      `json:"before"`
	After      string      `json:"after"`
	HeadCommit *headCommit `json:"head_commit"`
	Pusher     named       `json:"pusher"`
	Repository repoName    `json:"repository"`
}

type headCommit struct {
	ID      string `json:"id"`
	Message string `json:"message"`
	Author  named  `json:"author"`
}

type named struct {
	Name string `json:"name"`
}

type repoName struct {
	FullName string `json:"full_name"`
}

func (g *gitHost) deliver(ref, before, after string) error {
	body, err := json.Marshal(payload{
		Ref: ref, Before: before, After: after, HeadCommit: g.head(after),
		Pusher: named{"ada"}, Repository: repoName{"demo/shop"},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), deliveryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+g.f.Listen+"/hooks/github", bytes.NewReader(body))
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(g.secret))
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", rand.Text())
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	return answered(http.DefaultClient.Do(req))
}

func answered(res *http.Response, err error) error {
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("the webhook was answered %s: %s", res.Status, bytes.TrimSpace(text))
	}
	return nil
}

// head describes the pushed commit; nil for a ref that was deleted.
func (g *gitHost) head(hash string) *headCommit {
	repo, err := git.PlainOpen(g.f.bare())
	if err != nil {
		return nil
	}
	c, err := repo.CommitObject(plumbing.NewHash(hash))
	if err != nil {
		return nil
	}
	return &headCommit{ID: hash, Message: c.Message, Author: named{c.Author.Name}}
}
