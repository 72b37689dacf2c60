package drivertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// runtimeAppVar makes a test binary the app of RuntimeApp: "polite" or "stubborn".
const runtimeAppVar = "RUNTIME_APP"

// RuntimeApp runs instead of the tests in a process that a runtime started from
// the test binary: a TestMain calls it first. The app listens on 127.0.0.1:PORT,
// answers / with its environment as a JSON list, and /slow with its header at
// once and "done" half a second later; SIGTERM lets it finish and exit.
func RuntimeApp() {
	mode := os.Getenv(runtimeAppVar)
	if mode == "" {
		return
	}
	if err := runtimeServe(mode); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// RuntimeStubborn makes RuntimeApp ignore SIGTERM.
func RuntimeStubborn(_ *testing.T, s *deploy.Step) { s.Env[runtimeAppVar] = "stubborn" }

func runtimeServe(mode string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if mode == "stubborn" {
		ctx = context.WithoutCancel(ctx)
	}
	app := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: runtimePages()}
	ended := make(chan error, 1)
	go func() { ended <- app.ListenAndServe() }()
	fmt.Printf("listening as \x1b[31m%s\x1b[0m\n", os.Getenv("SLOT"))
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return app.Shutdown(context.Background())
	}
}

func runtimePages() http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		dir, err := os.Getwd()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(append(os.Environ(), "CWD="+dir, "ARGV="+strings.Join(os.Args[1:], "|")))
	})
	pages.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-time.After(500 * time.Millisecond)
		fmt.Fprint(w, "done")
	})
	return pages
}

// RuntimeEnviron asks the running app of RuntimeApp for its environment, its
// working directory (CWD) and its arguments (ARGV, joined by |).
func RuntimeEnviron(t *testing.T, h deployer.Host, s deploy.Step) []string {
	t.Helper()
	answer, err := RuntimeRig{Host: h}.client().Get("http://" + runtimeAddr(s) + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var env []string
	if err := json.NewDecoder(answer.Body).Decode(&env); err != nil {
		t.Fatal(err)
	}
	return env
}
