package hostile

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ipublish/deploy"
)

func TestOutletLetsOnlyThePlatformThrough(t *testing.T) {
	o, err := NewOutlet("hooks.slack.com", "http://127.0.0.1:8099/api/")
	if err != nil {
		t.Fatal(err)
	}
	for _, good := range []string{"https://hooks.slack.com/commands/T1/2/x", "http://127.0.0.1:8099/commands/1"} {
		if err := o.Check(good); err != nil {
			t.Errorf("%s was refused: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "://", "hooks.slack.com/x", "https:hooks.slack.com/x", "file:///etc/passwd", "gopher://hooks.slack.com/x",
		"http://hooks.slack.com/x", "https://hooks.slack.com.evil/x", "https://hooks.slack.com@evil/x",
		"https://evil@hooks.slack.com/x", "https://evil/hooks.slack.com", "https://evil#hooks.slack.com",
		"https://evil?hooks.slack.com", "https://hooks.slack.com:8443/x", "https://hooks.slack.com%2eevil/x",
		"https://169.254.169.254/latest/meta-data", "https://[::1]/x", "http://127.0.0.1:8098/x", "https://127.0.0.1:8099/x",
		"https://HOOKS.SLACK.COM.evil/", "https://hooks.slack.com\\@evil/", "//hooks.slack.com/x",
	} {
		if got := deploy.CodeOf(o.Check(bad)); got != deploy.CodeRefused {
			t.Errorf("%s: code %q, want refused", bad, got)
		}
		if _, _, err := o.Post(t.Context(), bad, 1); deploy.CodeOf(err) != deploy.CodeRefused {
			t.Errorf("%s was posted to: %v", bad, err)
		}
	}
}

func TestOutletWithoutABaseKnowsOnlyThePlatform(t *testing.T) {
	o, err := NewOutlet("hooks.slack.com", "")
	if err != nil {
		t.Fatal(err)
	}
	if o.Check("http://127.0.0.1/") == nil || o.Check("https:///x") == nil {
		t.Error("an address without a configured base was let through")
	}
}

func TestOutletRefusesPrivateAddressesBehindThePlatformsName(t *testing.T) {
	for addr, public := range map[string]bool{
		"127.0.0.1:443": false, "10.1.2.3:443": false, "192.168.0.1:443": false, "169.254.169.254:443": false,
		"[::1]:443": false, "[fd00::1]:443": false, "[fe80::1]:443": false, "0.0.0.0:443": false, "100.64.0.1:443": false,
		"[::ffff:10.0.0.1]:443": false, "34.193.1.2:443": true, "[2600:1f18::1]:443": true,
	} {
		if err := publicOnly("tcp", addr, nil); (err == nil) != public {
			t.Errorf("%s: %v, public wanted: %v", addr, err, public)
		}
	}
	// "localhost" stands for a platform's name that resolves to this machine.
	o, err := NewOutlet("localhost", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.dial(t.Context(), "tcp", "localhost:1")
	if err == nil || !strings.Contains(err.Error(), "not a public address") {
		t.Errorf("dialled anyway: %v", err)
	}
}

func TestOutletFollowsNoRedirectAndTellsNoAddress(t *testing.T) {
	hits := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits++
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	o, err := NewOutlet("hooks.slack.com", srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	status, _, err := o.Post(t.Context(), srv.URL+"/a", map[string]string{"text": "hi"})
	if err != nil || status != http.StatusTemporaryRedirect || hits != 1 {
		t.Errorf("status %d, %d requests, %v", status, hits, err)
	}
	srv.Close()
	_, _, err = o.Post(t.Context(), srv.URL+"/services/SECRET", 1)
	if deploy.CodeOf(err) != deploy.CodeUnavailable || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = o.Post(ctx, srv.URL+"/x", 1)
	if deploy.CodeOf(err) != deploy.CodeCancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
