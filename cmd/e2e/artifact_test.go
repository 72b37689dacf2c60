package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/source/gittest"
)

const storeToken = "Bearer token-of-the-artifact-store-0123"

// artifactStore is where CI puts what it built: commit/shop.war and its checksum.
type artifactStore struct {
	URL string

	mu    sync.Mutex
	files map[string]string
	asked map[string]int // per path, also what is not there yet
}

func newArtifactStore(t *testing.T) *artifactStore {
	s := &artifactStore{files: map[string]string{}, asked: map[string]int{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// ServeHTTP answers as Nexus does: 401 without the token, 404 for what is not there.
func (s *artifactStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != storeToken {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	s.asked[r.URL.Path]++
	text, ok := s.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write([]byte(text)) // a client that is gone asks again
}

// put stores a commit's WAR, and its checksum or the one given.
func (s *artifactStore) put(sha, war, checksum string) {
	if checksum == "" {
		sum := sha256.Sum256([]byte(war))
		checksum = hex.EncodeToString(sum[:])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files["/shop/"+sha+"/shop.war"] = war
	s.files["/shop/"+sha+"/shop.war.sha256"] = checksum + "  shop.war\n"
}

// polled reports how often anything of a commit was asked for.
func (s *artifactStore) polled(sha string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for path, times := range s.asked {
		if strings.Contains(path, sha) {
			n += times
		}
	}
	return n
}

func TestAPushWaitsForWhatCIBuildsAndGivesUpClearly(t *testing.T) {
	t.Parallel()
	store := newArtifactStore(t)
	r := newRig(t, onTomcat, func(r *rig) {
		token := filepath.Join(r.dir, "store-token")
		write(r.t, token, storeToken)
		r.health(object{"path": "/index.jsp"})
		r.app()["build"] = object{
			"artifact_url": store.URL + "/shop/{commit}/shop.war", "sha256_url": store.URL + "/shop/{commit}/shop.war.sha256",
			"headers": object{"Authorization": "${file:" + token + "}"}, "wait": "25s",
		}
	})
	r.serve()
	commit := func(version string) string {
		return r.repo.Commit("Release "+version+"\n", gittest.Files{"pom.xml": gittest.Text("<project/>"), "VERSION": gittest.Text(version)})
	}

	late := commit("v1")
	id := r.pushed(late)
	r.told(id, "waiting for CI")
	eventually(t, 30*time.Second, "it was asked for several times", func() bool { return store.polled(late) >= 4 })
	store.put(late, archive(t, shop("v1")), "")
	r.api.ends(id, deploy.Succeeded)
	mustServe(t, r.frontURL(), "v1")

	wrong := commit("v2")
	store.put(wrong, archive(t, shop("v2")), strings.Repeat("ab", 32))
	id = r.pushed(wrong)
	r.api.ends(id, deploy.Failed)
	r.told(id, "failed", strings.Repeat("ab", 32), "traffic never moved", "serving now")
	mustServe(t, r.frontURL(), "v1")

	never := commit("v3")
	id = r.pushed(never)
	r.api.ends(id, deploy.Failed)
	r.told(id, "failed", "/shop/"+never+"/shop.war", "25s", "traffic never moved")
	mustServe(t, r.frontURL(), "v1")
	if log := read(t, r.log()); strings.Contains(log, "token-of-the-artifact-store") {
		t.Error("the log tells the store's token")
	}
}
