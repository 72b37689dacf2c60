package source

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
)

// tokens records which Authorization each request of a server had.
type tokens struct {
	mu   sync.Mutex
	seen []string
}

func (k *tokens) note(r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen = append(k.seen, r.Header.Get("Authorization")+r.Header.Get("X-Jfrog-Art-Api"))
}

func (k *tokens) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return strings.Join(k.seen, ",")
}

// overTLS serves h on the loopback interface, with its requests' tokens noted.
func overTLS(t *testing.T, h http.HandlerFunc) (*httptest.Server, *tokens) {
	t.Helper()
	k := &tokens{}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.note(r)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s, k
}

// trusting opens a workshop that trusts the test servers, with a release to build.
func trusting(t *testing.T, s *httptest.Server, b deploy.Build) (*Workshop, deploy.Settings, deploy.Release) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	w := open(t, Options{Roots: roots, Resolve: func(v string) (string, error) {
		return strings.ReplaceAll(v, "${TOKEN}", "canary"), nil
	}})
	t.Cleanup(w.Close)
	b.Headers = map[string]string{"Authorization": "${TOKEN}", "X-JFrog-Art-Api": "+${TOKEN}"}
	return w, deploy.Settings{Build: b}, deploy.Release{App: "shop", Commit: deploy.Commit{SHA: anyCommit}, Recipe: "1"}
}

func TestAnArtifactIsDownloadedOverHTTPSWithTheHeaders(t *testing.T) {
	s, seen := overTLS(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/" + anyCommit + "/shop v1.war":
			http.Redirect(w, r, "/moved?x=1", http.StatusTemporaryRedirect)
		case "/moved":
			say(w, theWar)
		case "/0000000.sha256":
			say(w, sumOf(theWar)+"  shop.war")
		}
	})
	w, p, r := trusting(t, s, deploy.Build{ArtifactURL: s.URL + "/{commit}/shop%20v1.war", SHA256URL: s.URL + "/{short}.sha256"})
	got, err := w.Build(within(t), p, r, nil)
	if err != nil || got.SHA256 != sumOf(theWar) || got.Name != "shop v1.war" {
		t.Fatalf("%+v, %v", got, err)
	}
	if seen.String() != "canary+canary,canary+canary,canary+canary" {
		t.Errorf("the headers were %s", seen)
	}
}

func TestTheHeadersGoToNoOtherHost(t *testing.T) {
	var nexus *httptest.Server
	storage, atStorage := overTLS(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/signed":
			say(w, theWar)
		case "/sum/" + anyCommit:
			say(w, sumOf(theWar))
		case "/back":
			http.Redirect(w, r, nexus.URL+"/again", http.StatusFound)
		case "/no":
			w.WriteHeader(http.StatusForbidden)
		}
	})
	nexus, atNexus := overTLS(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/again" {
			say(w, theWar)
			return
		}
		http.Redirect(w, r, storage.URL+"/"+strings.Split(r.URL.Path, "/")[1], http.StatusFound)
	})
	build := func(path string) (*Workshop, error) {
		w, p, r := trusting(t, nexus, deploy.Build{ArtifactURL: nexus.URL + path + "/{commit}.war", SHA256URL: storage.URL + "/sum/{commit}"})
		p.Build.Wait = deploy.Duration(5 * time.Second)
		_, err := w.Build(within(t), p, r, nil)
		return w, err
	}
	if _, err := build("/signed"); err != nil {
		t.Fatal(err)
	}
	if atNexus.String() != "canary+canary" || atStorage.String() != "," {
		t.Errorf("the headers were %q at the first host and %q at the second", atNexus, atStorage)
	}
	if _, err := build("/back"); err != nil {
		t.Fatal(err)
	}
	if atNexus.String() != "canary+canary,canary+canary," || atStorage.String() != ",,," {
		t.Errorf("after a redirect there and back the headers were %q and %q", atNexus, atStorage)
	}
	_, err := build("/no")
	wantCode(t, err, deploy.CodeTimeout, strings.TrimPrefix(storage.URL, "https://")+" answered 403 Forbidden", "for 5s: either CI did not deliver it", "sent to the host of build.artifact_url only")
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("the secret is told: %v", err)
	}
}

func TestARedirectFromHTTPSLeadsToHTTPSOnly(t *testing.T) {
	asked := make(chan string, 10)
	plain := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	t.Cleanup(plain.Close)
	for location, part := range map[string]string{
		plain.URL + "/x":               "redirects to " + plain.URL + ", which is not https",
		"file:///etc/passwd":           "not understood",
		"ftp://files.test/x":           "redirects to ftp://files.test, which is not https",
		"https://":                     "not understood",
		"":                             "redirects to an address that is not understood",
		"gopher://127.0.0.1:6379/_SET": "which is not https",
	} {
		s, _ := overTLS(t, func(w http.ResponseWriter, r *http.Request) {
			if location != "" {
				w.Header().Set("Location", location)
			} else {
				w.Header().Set("Location", "https://%zz/")
			}
			w.WriteHeader(http.StatusFound)
		})
		w, p, r := trusting(t, s, deploy.Build{ArtifactURL: s.URL + "/{commit}.war"})
		_, err := w.Build(within(t), p, r, nil)
		if err == nil || !strings.Contains(deploy.MessageOf(err), part) {
			t.Errorf("%s: %v", location, err)
		}
	}
	if len(asked) > 0 {
		t.Errorf("plain http was asked for %s", <-asked)
	}
}

func TestAServerWhoseCertificateIsNotTrustedIsRefusedAtOnce(t *testing.T) {
	s, seen := overTLS(t, func(w http.ResponseWriter, _ *http.Request) { say(w, theWar) })
	w := open(t, Options{Roots: x509.NewCertPool()})
	p := deploy.Settings{Build: deploy.Build{ArtifactURL: s.URL + "/{commit}.war"}}
	_, err := w.Build(within(t), p, deploy.Release{App: "shop", Commit: deploy.Commit{SHA: anyCommit}, Recipe: "1"}, nil)
	wantCode(t, err, deploy.CodeRefused, "the certificate of "+strings.TrimPrefix(s.URL, "https://")+" is not trusted")
	if seen.String() != "" {
		t.Errorf("it was asked: %s", seen)
	}
}

func TestOnlyTheSameSchemeHostAndPortAreOneOrigin(t *testing.T) {
	for other, same := range map[string]bool{
		"https://nexus.test/y":        true,
		"https://NEXUS.test:443/x":    true,
		"https://nexus.test:8443/x":   false,
		"http://nexus.test/x":         false,
		"https://a.nexus.test/x":      false,
		"https://nexus.test.evil/x":   false,
		"https://nexus.test@evil/x":   false,
		"https://evil/@nexus.test/x":  false,
		"https://[::1]/https://nexus": false,
	} {
		if got := sameOrigin(parsed(t, "https://nexus.test/x"), parsed(t, other)); got != same {
			t.Errorf("%s: %t", other, got)
		}
	}
}
