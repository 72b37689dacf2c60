package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	bolt "go.etcd.io/bbolt"

	"ipublish/deployer/balancer/nginxtest"
)

// The receivers of pushes.
const (
	intakeOurs    = "ipublish serve"
	intakeBare    = "bare chi, HMAC, group commit"
	intakeWebhook = "adnanh/webhook, not durable, no command"
)

// receiver is one of them: where it receives, and what was measured.
type receiver struct {
	name   string
	url    string
	accept int
	pid    int
	rate   []float64
	p99    []float64 // seconds
	work   []float64 // processor seconds a push
}

// receivers are started beside each other.
func newReceivers(t *testing.T) []*receiver {
	t.Helper()
	r := newRig(t, func(r *rig) {
		delete(r.config, "chat")
		delete(r.env(), "channels")
	})
	r.serve()
	r.api.command(`lock shop production "the bench of the intake"`, "") // what is pushed is nowhere to be fetched
	worker, ok := r.server.worker()
	if !ok {
		t.Fatal("the server has no worker")
	}
	all := []*receiver{{name: intakeOurs, url: r.hookless("/hooks/github"), accept: http.StatusAccepted, pid: worker}, bareIntake(t)}
	if w := adnanhWebhook(t); w != nil {
		all = append(all, w)
	}
	return all
}

func TestBenchIntake(t *testing.T) {
	bench(t, "Intake: signed pushes of 10 KB, acknowledged when durable", measureIntake)
}

func measureIntake(t *testing.T, f *figures) {
	all := newReceivers(t)
	rounds := amount(t, roundsVar, 7)
	for round := range rounds + 1 {
		for i := range all {
			w := all[(round+i)%len(all)]
			before := worked(t, w.pid)
			h := w.volley(fmt.Sprint("crowd ", round)).send(t)
			if round > 0 { // the first one warms up
				w.rate, w.p99 = append(w.rate, h.Rate), append(w.p99, h.P99.Seconds())
				w.work = append(w.work, (worked(t, w.pid)-before).Seconds()/float64(h.Requests))
			}
		}
	}
	compareIntake(f, all)
	ours := all[0]
	steady := ours.volley("steady")
	steady.Rate, steady.Count, steady.Connections = 200, burst, 8
	h := steady.send(t)
	f.row(entry{Figure: "p99 at 200/s", Ours: brief(h.P99), Goal: "≤ 2 ms", Result: reached(h.P99 <= 2*time.Millisecond)})
	atOnce := ours.volley("burst")
	atOnce.Count, atOnce.Connections = burst, burst
	h = atOnce.send(t)
	f.row(entry{Figure: "p99 of 1,000 at once, a connection each", Ours: brief(h.P99), Goal: "≤ 250 ms", Result: reached(h.P99 <= intakeGoal)})
}

// volley is some pushes over 64 connections.
func (w *receiver) volley(name string) volley {
	return volley{URL: w.url, Connections: connections, Count: 4 * burst, Pushes: name, Accept: w.accept}
}

func compareIntake(f *figures, all []*receiver) {
	ours := all[0]
	rate, p99 := perSecond(middle(ours.rate)), middle(ours.p99)
	goals := map[string]float64{intakeBare: 0.9, intakeWebhook: 1}
	for _, w := range all[1:] {
		ratio := against(ours.rate, w.rate)
		f.row(entry{
			Figure: "requests/s, 64 connections", Ours: rate, Peer: w.name + " " + perSecond(middle(w.rate)) + ", p99 " + inTime(middle(w.p99)),
			Ratio: fmt.Sprintf("%.2f", ratio), Goal: fmt.Sprintf("≥ %.1f ×", goals[w.name]), Result: reached(ratio >= goals[w.name]),
		})
		f.row(entry{
			Figure: "processor time a push", Ours: inTime(middle(ours.work)), Peer: w.name + " " + inTime(middle(w.work)),
			Ratio: fmt.Sprintf("%.2f", against(ours.work, w.work)),
		})
		delete(goals, w.name)
	}
	for name := range maps.Keys(goals) {
		f.row(entry{Figure: "requests/s, 64 connections", Ours: rate, Peer: name + ": set " + webhookVar + " to its program", Goal: "≥ 1 ×", Result: notCompared})
	}
	f.row(entry{Figure: "p99, 64 connections", Ours: inTime(p99), Goal: "≤ 17 ms", Result: reached(p99 <= 0.017)})
}

// adnanhWebhook checks the signature and finds that its rule does not match; nil
// where no variable names the program.
func adnanhWebhook(t *testing.T) *receiver {
	t.Helper()
	program := os.Getenv(webhookVar)
	if program == "" {
		return nil
	}
	match := func(kind, secret, value, source, name string) object {
		return object{"match": object{"type": kind, "secret": secret, "value": value, "parameter": object{"source": source, "name": name}}}
	}
	hooks, err := json.Marshal([]object{{"id": "push", "execute-command": "/bin/true", "trigger-rule": object{"and": []object{
		match("payload-hmac-sha256", hookSecret, "", "header", "X-Hub-Signature-256"),
		match("value", "", "refs/heads/another", "payload", "ref"),
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "hooks.json")
	write(t, file, string(hooks))
	port := itoa(freePort(t))
	b := startBeside(t, nil, program, "-hooks", file, "-ip", "127.0.0.1", "-port", port)
	awaitListening(t, "127.0.0.1:"+port)
	return &receiver{name: intakeWebhook, url: "http://127.0.0.1:" + port + "/hooks/push", accept: http.StatusOK, pid: b.cmd.Process.Pid}
}

// bareIntake starts the bare handler.
func bareIntake(t *testing.T) *receiver {
	t.Helper()
	listen := nginxtest.FreeAddr(t)
	b := startPeer(t, peerIntake, listen, filepath.Join(t.TempDir(), "bare.db"))
	awaitListening(t, listen)
	return &receiver{name: intakeBare, url: "http://" + listen + "/hooks/github", accept: http.StatusAccepted, pid: b.cmd.Process.Pid}
}

func awaitListening(t *testing.T, addr string) {
	t.Helper()
	eventually(t, startLimit, "somebody listens on "+addr, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// serveBareIntake is the least that takes signed pushes durably: the signature
// over the raw body, what a push says of repository, branch and commit, and one
// record for the delivery in the next shared commit.
func serveBareIntake(ctx context.Context, listen, file string) error {
	db, err := bolt.Open(file, 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType})
	if err != nil {
		return err
	}
	defer db.Close()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	g := &grouped{db: db, kick: make(chan struct{}, 1)}
	routes := chi.NewRouter()
	routes.Post("/hooks/github", g.push)
	var writer sync.WaitGroup
	defer writer.Wait()
	writing, stop := context.WithCancel(context.WithoutCancel(ctx)) // longer than what is in flight
	defer stop()
	writer.Go(func() { g.run(writing) })
	return serveUntil(ctx, l, routes)
}

// grouped commits whatever is waiting in one transaction, without a timer.
type grouped struct {
	db   *bolt.DB
	kick chan struct{}

	mu      sync.Mutex
	waiting []*record
}

type record struct {
	key, value []byte
	done       chan error
}

func (g *grouped) push(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 25<<20))
	if err != nil {
		http.Error(w, "malformed", http.StatusBadRequest)
		return
	}
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(body)
	if !hmac.Equal([]byte("sha256="+hex.EncodeToString(mac.Sum(nil))), []byte(r.Header.Get("X-Hub-Signature-256"))) {
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	rec := &record{key: []byte(r.Header.Get("X-GitHub-Delivery")), done: make(chan error, 1)}
	if rec.value, err = gist(body); err == nil {
		err = g.keep(rec)
	}
	if err != nil {
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"accepted"}`) // a client that is gone asks again
}

// gist is what is kept of a push.
func gist(body []byte) ([]byte, error) {
	var p struct {
		Ref        string `json:"ref"`
		After      string `json:"after"`
		Repository struct {
			Name string `json:"full_name"`
		} `json:"repository"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	return json.Marshal(p)
}

func (g *grouped) keep(rec *record) error {
	g.mu.Lock()
	g.waiting = append(g.waiting, rec)
	g.mu.Unlock()
	select {
	case g.kick <- struct{}{}:
	default:
	}
	return <-rec.done
}

func (g *grouped) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.kick:
		}
		runtime.Gosched() // callers that are running already come along
		g.mu.Lock()
		batch := g.waiting
		g.waiting = nil
		g.mu.Unlock()
		err := g.db.Update(func(tx *bolt.Tx) error { return put(tx, batch) })
		for _, rec := range batch {
			rec.done <- err
		}
	}
}

func put(tx *bolt.Tx, batch []*record) error {
	bucket, err := tx.CreateBucketIfNotExists([]byte("pushes"))
	for _, rec := range batch {
		if err == nil {
			err = bucket.Put(rec.key, rec.value)
		}
	}
	return err
}
