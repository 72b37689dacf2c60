package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"ipublish/deploy"
)

// memory is a network without sockets, so that a synctest bubble's clock runs on
// while everybody waits: a name for each server.
type memory struct {
	mu    sync.Mutex
	hosts map[string]chan net.Conn
	done  chan struct{}
}

func (m *memory) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	m.mu.Lock()
	host := m.hosts[addr]
	m.mu.Unlock()
	if host == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}}
	}
	ours, theirs := net.Pipe()
	select {
	case host <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// door is the listener of one host.
type door struct {
	*memory
	name  string
	conns chan net.Conn
}

func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.conns:
		return c, nil
	case <-d.done:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error   { return nil }
func (d *door) Addr() net.Addr { return &net.UnixAddr{Name: d.name} }

// ci is a CI's file server at http://nexus.test and a workshop that reaches it.
type ci struct {
	t    *testing.T
	w    *Workshop
	p    deploy.Settings
	r    deploy.Release
	said *lines

	mu    sync.Mutex
	asked []*http.Request
}

// theWar begins as an archive does.
const theWar = "PK\x03\x04the war"

const artifactURL = "http://nexus.test/shop/{commit}/shop.war"

// withCI runs a test in a bubble. answer gets each request and its number, from 1.
func withCI(t *testing.T, o Options, answer func(c *ci, n int, w http.ResponseWriter, r *http.Request), test func(c *ci)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &ci{t: t, w: open(t, o), said: newLines(), r: deploy.Release{App: "shop", Commit: deploy.Commit{SHA: strings.Repeat("4f2a91c0", 5)}, Recipe: "beef"}}
		c.p.Build = deploy.Build{ArtifactURL: artifactURL}
		net := &memory{hosts: map[string]chan net.Conn{"nexus.test:80": make(chan net.Conn)}, done: make(chan struct{})}
		c.w.web.DialContext, c.w.web.Proxy = net.DialContext, nil
		var serving, answering sync.WaitGroup
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answering.Add(1)
			defer answering.Done()
			answer(c, c.count(r), w, r)
		})}
		serving.Go(func() { _ = s.Serve(&door{net, "nexus.test", net.hosts["nexus.test:80"]}) })
		t.Cleanup(func() {
			c.w.Close()
			close(net.done)
			_ = s.Close()
			serving.Wait()
			answering.Wait()
		})
		test(c)
		nothingLeft(t, c.w)
	})
}

func (c *ci) count(r *http.Request) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, r)
	return len(c.asked)
}

func (c *ci) requests() []*http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*http.Request(nil), c.asked...)
}

func (c *ci) build() (deploy.Release, error) { return c.w.Build(c.t.Context(), c.p, c.r, c.said.tell) }

// wantKept checks that the artifact is what CI built.
func (c *ci) wantKept(got deploy.Release, err error, content string) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%v\n%s", err, c.said)
	}
	if got.SHA256 != sumOf(content) || got.Kind != deploy.ArtifactFile || got.Name != "shop.war" || got.Size != int64(len(content)) {
		c.t.Errorf("the release is %+v", got)
	}
	if read(c.t, c.w, got.SHA256) != content {
		c.t.Error("another content is kept")
	}
}

// nothingKept checks that the store of artifacts is empty.
func (c *ci) nothingKept() {
	c.t.Helper()
	if _, ok := c.w.known(c.r); ok {
		c.t.Error("a record is left")
	}
	entries, err := readDirNames(c.w.path(artifactsDir))
	if err != nil || len(entries) != 1 {
		c.t.Errorf("kept: %v, %v", entries, err)
	}
}

func sumOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func say(w http.ResponseWriter, text string) { _, _ = w.Write([]byte(text)) }
