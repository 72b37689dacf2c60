package tomcat_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ipublish/deployer/host/local"
)

// Both a secret of the app's environment and one of server.xml pass through a
// become prefix, which logs what it is called with, as sudo does.
func TestNoSecretIsEverInAnArgvBehindBecome(t *testing.T) {
	home := tarball(t)
	log, prefix := filepath.Join(t.TempDir(), "log"), filepath.Join(t.TempDir(), "sudo")
	write(t, prefix, "#!/bin/sh\nprintf '%s\\n' \"--- $*\" >>"+log+"\nexec \"$@\"\n")
	if err := os.Chmod(prefix, 0o755); err != nil {
		t.Fatal(err)
	}
	h, err := local.New(json.RawMessage(`{"become": ["` + prefix + `"]}`))
	if err != nil {
		t.Fatal(err)
	}
	s := release(t, teamPages)
	secrets := []string{"d4t4b4s3", s.Env["RUNTIME_SECRET"]}
	runtime := open(t, section(t, map[string]any{"home": home, "jvm_options": small}))
	t.Cleanup(func() { stop(t, runtime, s) })
	scanned := watch(t, secrets)
	if err := runtime.Start(t.Context(), h, s); err != nil {
		t.Fatal(err)
	}
	answers(t, runtime, s, "/release.txt")
	if _, err := runtime.Observe(t.Context(), h, s); err != nil {
		t.Fatal(err)
	}
	if err := runtime.Stop(t.Context(), h, s); err != nil {
		t.Fatal(err)
	}
	if found := scanned(); found != "" {
		t.Errorf("a process was seen with a secret in its argv: %q", found)
	}
	called, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(called, []byte("\n--- ")); n < 6 {
		t.Errorf("the prefix saw %d calls, want the look, three files, a start, a look and a stop", n+1)
	}
	for _, secret := range secrets {
		if bytes.Contains(called, []byte(secret)) {
			t.Errorf("the prefix was called with %s", secret)
		}
	}
}

// watch looks at every process's argv a thousand times a second; the function
// it returns ends that and gives an argv with a secret.
func watch(t *testing.T, secrets []string) func() string {
	t.Helper()
	done, found := make(chan struct{}), make(chan string, 1)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		seen := ""
		for {
			select {
			case <-done:
				found <- seen
				return
			case <-tick.C:
				if argv := leaking(secrets); argv != "" {
					seen = argv
				}
			}
		}
	}()
	return func() string {
		close(done)
		return <-found
	}
}

func leaking(secrets []string) string {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err.Error()
	}
	for _, file := range files {
		argv, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, secret := range secrets {
			if strings.Contains(string(argv), secret) {
				return string(argv)
			}
		}
	}
	return ""
}
