package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// sizeVar makes comparisons benchmarks of so many hosts.
const sizeVar = "E2E_HOSTS"

// fleetSize is how many hosts the comparisons have: a few, unless sizeVar says more.
func fleetSize(t *testing.T) int {
	t.Helper()
	text := os.Getenv(sizeVar)
	if text == "" {
		return 4
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number", sizeVar, text)
	}
	return n
}

// fleetOptions says what a fleet looks like.
type fleetOptions struct {
	Hosts     int           // default 4
	Interval  time.Duration // of the SLB's checks; default 200 ms; two of them decide
	KeepIdle  bool          // nginx keeps its connections to the app
	Locations string        // of nginx, in place of the one of the app on port 9001
	Beside    []string      // further apps: /NAME/ at the front door, each with a backend and a status file of its own
}

// fleet is a number of machines, each with its own sshd, nginx, status folder
// and loopback, behind one SLB.
type fleet struct {
	Common string // the path at which every machine has its own folder
	Hosts  []*machine
	Front  string // URL of the SLB's front door
	SLB    *slb

	t        *testing.T
	options  fleetOptions
	dir      string
	net      *network
	identity string // private key that every machine accepts
	known    string // known_hosts with the keys that they had at the start
}

// newFleet starts machines and the SLB until the test ends. Nobody is in
// traffic: there is no status file yet.
func newFleet(t *testing.T, o fleetOptions) *fleet {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "machines of a fleet need root and namespaces")
	}
	if o.Hosts == 0 {
		o.Hosts = 4
	}
	if o.Interval == 0 {
		o.Interval = 200 * time.Millisecond
	}
	dir, err := os.MkdirTemp("", "fleet") // its path is short: a socket's may have 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &fleet{
		t: t, options: o, dir: dir, Common: filepath.Join(dir, "srv"), net: newNetwork(t),
		identity: filepath.Join(dir, "id_ed25519"), known: filepath.Join(dir, "known_hosts"),
	}
	if err := os.Mkdir(f.Common, 0o755); err != nil {
		t.Fatal(err)
	}
	private, public := keyPair(t)
	write(t, f.identity, private)
	write(t, f.identity+".pub", public)
	if err := os.Chmod(f.identity, 0o600); err != nil {
		t.Fatal(err)
	}
	f.boot()
	f.SLB = newSLB(f)
	f.Front = f.SLB.URL
	return f
}

// boot starts every machine, all at the same time.
func (f *fleet) boot() {
	f.t.Helper()
	pids := map[int]int{}
	var known strings.Builder
	for i := range f.options.Hosts {
		m := newMachine(f, i+1)
		f.Hosts = append(f.Hosts, m)
		pids[m.index] = m.cmd.Process.Pid
		known.WriteString(m.Addr + " " + read(f.t, m.path(hostKey+".pub")))
	}
	write(f.t, f.known, known.String())
	f.net.plug(pids)
	for _, m := range f.Hosts {
		m.awaitBoot()
	}
}

// host is machine web-N.
func (f *fleet) host(n int) *machine { return f.Hosts[n-1] }

// keyPair is an ssh key as ssh-keygen writes it, and its public line.
func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(line))
}

// dials reports whether somebody accepts connections at an address.
func dials(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}
