package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// handWritten is the least that a program has to do: one connection a host, the
// tar streamed over a session, one session that flips the link and restarts, and
// the check through the connection. It proves nothing and undoes nothing.
type handWritten struct {
	t      *testing.T
	fleet  *fleet
	config *ssh.ClientConfig
}

func newLoopWay(t *testing.T, n int) *way {
	f := newBenchFleet(t, n)
	signer, err := ssh.ParsePrivateKey([]byte(read(t, f.identity)))
	if err != nil {
		t.Fatal(err)
	}
	known, err := knownhosts.New(f.known)
	if err != nil {
		t.Fatal(err)
	}
	h := &handWritten{t: t, fleet: f, config: &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: known,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}, Timeout: 10 * time.Second,
	}}
	h.roll(newBenchVersion("v1"))
	return &way{name: "hand-written Go loop", fleet: f, roll: h.roll}
}

func (h *handWritten) roll(v benchVersion) time.Duration {
	h.t.Helper()
	tree := v.tree(h.t)
	began := time.Now()
	for _, m := range h.fleet.Hosts {
		if err := h.host(m.Addr+":22", v.name, tree); err != nil {
			h.t.Fatalf("the loop on %s: %v", m.Name, err)
		}
	}
	return time.Since(began)
}

func (h *handWritten) host(addr, version string, tree []byte) error {
	client, err := ssh.Dial("tcp", addr, h.config)
	if err != nil {
		return err
	}
	defer client.Close()
	home := h.fleet.appHome()
	release := filepath.Join(home, "releases", version)
	if err := session(client, "mkdir -p "+release+" && tar -xf - -C "+release, bytes.NewReader(tree)); err != nil {
		return err
	}
	flip := "ln -sfn " + release + " " + home + "/next && mv -T " + home + "/next " + home + "/current && "
	if err := session(client, flip+home+"/bin/restart.sh "+home, nil); err != nil {
		return err
	}
	return healthy(client)
}

func session(client *ssh.Client, command string, in io.Reader) error {
	s, err := client.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	s.Stdin = in
	return s.Run(command)
}

// healthy waits until the application answers, as seen from its host.
func healthy(client *ssh.Client) error {
	web := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
			return client.Dial(network, addr)
		},
	}}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var last error
	for limit := time.After(20 * time.Second); ; {
		res, err := web.Get("http://127.0.0.1:9001/healthz")
		if last = err; err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-limit:
			return last
		}
	}
}
