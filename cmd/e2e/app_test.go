package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"ipublish/deployer/source/gittest"
)

// appVar turns the test binary into the application that is deployed.
const appVar = "E2E_APP"

// behaviour is app.json in the application's repository: one version of it.
type behaviour struct {
	Version   string
	Exit      bool   // ends at its start
	Status    int    // of /healthz; 0: 200
	Tells     string // environment variable that it prints at its start
	Deaf      bool   // never listens
	SickAfter int64  // milliseconds of serving after which /healthz answers 500
	DiesAfter int64  // milliseconds of serving after which the process is gone
	Boot      int64  // milliseconds that it takes until it listens
	Idle      int64  // milliseconds for which it keeps an idle connection; 0: as long as the client
	Flaw      flaw   // of its answers to users
}

// files are the tree of a commit with this behaviour.
func (b behaviour) files() gittest.Files {
	text, err := json.Marshal(b)
	if err != nil {
		panic(err) // plain data
	}
	return gittest.Files{"app.json": gittest.Text(string(text)), "README": gittest.Text("shop " + b.Version + "\n")}
}

// lastWords is what a broken version logs before it fails.
const lastWords = "cannot reach the database at db.internal:5432"

func appMain() int {
	if err := serveApp(); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		return 1
	}
	return 0
}

func serveApp() error {
	text, err := os.ReadFile("app.json")
	if err != nil {
		return err
	}
	var b behaviour
	if err := json.Unmarshal(text, &b); err != nil {
		return err
	}
	fmt.Println("shop", b.Version, "starts on port", os.Getenv("PORT"))
	if b.Tells != "" {
		fmt.Println(b.Tells, "is", os.Getenv(b.Tells))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch {
	case b.Exit:
		return errors.New(lastWords)
	case b.Deaf:
		<-ctx.Done()
		return nil
	}
	if err := b.boot(ctx); err != nil {
		return err
	}
	return b.listen(ctx)
}

// listen serves until SIGTERM, then lets what is in flight end.
func (b behaviour) listen(ctx context.Context) error {
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: b.flawed(b.pages(time.Now())), IdleTimeout: time.Duration(b.Idle) * time.Millisecond}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	var dies <-chan time.Time
	if b.DiesAfter > 0 {
		dies = time.After(time.Duration(b.DiesAfter) * time.Millisecond)
	}
	select {
	case err := <-ended:
		return err
	case <-dies:
		fmt.Fprintln(os.Stderr, "shop:", lastWords)
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case <-ctx.Done():
		return server.Shutdown(context.Background())
	}
}

func (b behaviour) pages(began time.Time) http.Handler {
	var told atomic.Bool
	pages := http.NewServeMux()
	pages.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		sick := b.sickHere() || b.SickAfter > 0 && time.Since(began) > time.Duration(b.SickAfter)*time.Millisecond
		if !sick && b.Status == 0 {
			fmt.Fprintln(w, "ok")
			return
		}
		if !told.Swap(true) {
			fmt.Fprintln(os.Stderr, "shop:", lastWords)
		}
		w.WriteHeader(max(b.Status, http.StatusInternalServerError))
	})
	pages.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a client that is gone gets no answer anyway
		ms, _ := strconv.Atoi(r.URL.Query().Get("ms"))
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
			b.echo(w)
		case <-r.Context().Done():
		}
	})
	pages.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // likewise
		b.echo(w)
	})
	return pages
}

// echo says which version answered, first.
func (b behaviour) echo(w http.ResponseWriter) {
	fmt.Fprintln(w, b.Version, os.Getenv("RELEASE"), os.Getenv("SLOT"), os.Getpid())
}
