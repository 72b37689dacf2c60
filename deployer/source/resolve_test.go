package source

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"ipublish/deploy"
	"ipublish/deployer/source/gittest"
)

func TestABranchWinsOverATagOfTheSameNameAndTheAnswerSaysSo(t *testing.T) {
	r := gittest.NewRepo(t)
	tagged := r.Commit("Tagged", app("1"))
	branched := r.Commit("Branched", app("2"))
	r.Set("refs/heads/both", branched)
	r.Tag("both", tagged)
	w := open(t, Options{})
	c, err := w.Resolve(within(t), from(r.Dir), "both")
	if err != nil || c.SHA != branched || c.Ref != "refs/heads/both" {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = w.Resolve(within(t), from(r.Dir), "refs/tags/both")
	if err != nil || c.SHA != tagged || c.Ref != "both" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAnAmbiguousShortHashIsAnsweredWithItsCandidates(t *testing.T) {
	r := gittest.NewRepo(t)
	base := r.Commit("Base", app("1"))
	a, b := colliding(t, r, base)
	r.Set("refs/heads/a", a)
	r.Set("refs/heads/b", b)
	for _, way := range []way{ways()[0], ways()[2]} {
		w, p := way.reach(t, r)
		_, err := w.Resolve(within(t), p, a[:7])
		wantCode(t, err, deploy.CodeInvalid, "shortens 2 commits", a, b)
		c, err := w.Resolve(within(t), p, a[:12])
		if err != nil || c.SHA != a {
			t.Errorf("%s: %+v, %v", way.name, c, err)
		}
	}
}

// colliding writes two commits whose hashes share their first 7 digits.
func colliding(t *testing.T, r *gittest.Repo, base string) (string, string) {
	t.Helper()
	tip, err := object.GetCommit(openStorage(r.Dir), plumbing.NewHash(base))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	numbered := func(i int) *object.Commit {
		return &object.Commit{Author: tip.Author, Committer: tip.Committer, TreeHash: tip.TreeHash,
			ParentHashes: []plumbing.Hash{tip.Hash}, Message: fmt.Sprint("Try ", i)}
	}
	for i := range 1_000_000 {
		o := &plumbing.MemoryObject{}
		if err := numbered(i).Encode(o); err != nil {
			t.Fatal(err)
		}
		short := o.Hash().String()[:7]
		if j, ok := seen[short]; ok {
			return r.Store(numbered(j)).String(), r.Store(numbered(i)).String()
		}
		seen[short] = i
	}
	t.Fatal("no two hashes begin alike")
	return "", ""
}

func TestATagOfATagIsPeeledAndATagOfAFileIsRefused(t *testing.T) {
	r := gittest.NewRepo(t)
	c := r.Commit("Release", app("1"))
	inner := r.Tag("inner", c)
	outer := r.Store(&object.Tag{Name: "outer", Message: "outer\n", TargetType: plumbing.TagObject, Target: plumbing.NewHash(inner)})
	r.Set("refs/tags/outer", outer.String())
	tip, err := object.GetCommit(openStorage(r.Dir), plumbing.NewHash(c))
	if err != nil {
		t.Fatal(err)
	}
	r.Set("refs/tags/tree", tip.TreeHash.String())
	for _, way := range ways()[:4] {
		t.Run(way.name, func(t *testing.T) {
			w, p := way.reach(t, r)
			got, err := w.Resolve(within(t), p, "outer")
			if err != nil || got.SHA != c {
				t.Errorf("%+v, %v", got, err)
			}
			_, err = w.Resolve(within(t), p, "tree")
			wantCode(t, err, deploy.CodeInvalid, "does not point at a commit")
		})
	}
}

// legalHostile are names that git accepts and that are dangerous as argument,
// path, markup or header.
func legalHostile() []string {
	return []string{
		"--upload-pack=touch${IFS}canary", "-oProxyCommand=id", "$(touch${IFS}canary)", "`id`", "a;touch${IFS}canary", "a|id", "a&id",
		`"quoted"`, "'single'", "<!channel>", "<script>alert(1)</script>", "@all", "%0d%0aX", "a{b,c}", "x\u202Ey", "HEAD",
		"refs/heads/main", strings.Repeat("n", 200) + "/" + strings.Repeat("m", 99), "Case", "case", "-", "é/中文",
	}
}

func TestLegalButHostileRefsAreNamesAndNothingElse(t *testing.T) {
	r := gittest.NewRepo(t)
	commits := map[string]string{}
	for i, name := range legalHostile() {
		if why := badRef(name); why != "" {
			t.Fatalf("git accepts %q, we do not: %s", name, why)
		}
		commits[name] = r.Write(fmt.Sprint("Number ", i), app(fmt.Sprint(i)))
		r.Set("refs/heads/"+name, commits[name])
	}
	for _, way := range ways()[:4] {
		t.Run(way.name, func(t *testing.T) {
			w, p := way.reach(t, r)
			for name, sha := range commits {
				c, err := w.Resolve(within(t), p, name)
				if err != nil || c.SHA != sha {
					t.Errorf("%q resolves to %+v, %v", name, c, err)
				}
			}
			onlyOwnNames(t, w)
		})
	}
	if found, _ := filepath.Glob("canary*"); len(found) > 0 {
		t.Errorf("a ref was run: %v", found)
	}
}

// onlyOwnNames checks that no name of a remote became a name on disk.
func onlyOwnNames(t *testing.T, w *Workshop) {
	t.Helper()
	err := filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		if strings.ContainsAny(d.Name(), "$<>;|&'\"{}%`@= ") || len(d.Name()) > 80 {
			t.Errorf("a hostile name is on disk: %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnUnknownHostileRefIsOnlyQuoted(t *testing.T) {
	r := gittest.NewRepo(t)
	r.Commit("Main", app("1"))
	w := open(t, Options{})
	for _, name := range legalHostile() {
		if name == "HEAD" || name == "refs/heads/main" {
			continue
		}
		_, err := w.Resolve(within(t), from(r.Dir), name)
		wantCode(t, err, deploy.CodeNotFound)
	}
}

func TestWhatGitDoesNotAcceptAsARefIsRefusedBeforeAnyConnection(t *testing.T) {
	w := open(t, Options{})
	for _, ref := range []string{
		"", "a..b", "a b", "a~1", "a^", "a:b", "a?b", "a*b", "a[b", `a\b`, "a\x00b", "a\nb", "a\x7fb", "x.lock", "a/.b", ".a", "a//b", "/a", "a/", "a.", "@", "a@{1}",
		"a.lock/b", strings.Repeat("x", 2000), "../../etc/passwd",
	} {
		_, err := w.Resolve(within(t), from("https://127.0.0.1:1/never"), ref)
		wantCode(t, err, deploy.CodeInvalid)
	}
}

func TestAgreesWithGitAboutWhatARefIs(t *testing.T) {
	program := gitProgram(t)
	for _, ref := range append(legalHostile(), "a..b", "a b", "a~1", "x.lock", "a/.b", "a//b", "a.", "a@{1}", "a\x7fb", "ok", "a.b", "a/b.c") {
		err := runQuiet(program, "check-ref-format", "refs/heads/"+ref)
		if (err == nil) != (badRef(ref) == "") {
			t.Errorf("%q: git says %v, we say %q", ref, err, badRef(ref))
		}
	}
}

func TestADeadOrSilentRemoteIsUnavailableAndADeadlineIsKept(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	addr := l.Addr().String() // accepted by the kernel, never answered
	server := newShellServer(t)
	for _, url := range []string{"https://" + addr + "/x.git", "http://" + addr + "/x.git", "ssh://git@" + addr + "/x.git"} {
		w := open(t, Options{})
		p := from(url)
		p.Credential = deploy.Credential{SSHKey: server.key, KnownHosts: server.known}
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		began := time.Now()
		_, err := w.Resolve(ctx, p, "main")
		cancel()
		wantCode(t, err, deploy.CodeTimeout)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: answered %s after its deadline", url, took)
		}
		cancelled, stop := context.WithCancel(t.Context())
		stop()
		_, err = w.Resolve(cancelled, p, "main")
		wantCode(t, err, deploy.CodeCancelled)
	}
	_ = l.Close()
	_, err = open(t, Options{}).Resolve(within(t), from("https://"+addr+"/x.git"), "main")
	wantCode(t, err, deploy.CodeUnavailable, addr)
}

func TestASilentRemoteKeepsNobodyFromBuildingWhatIsMirrored(t *testing.T) {
	r := gittest.NewRepo(t)
	sha := r.Commit("Main", app("1"))
	var silent atomic.Bool
	asked := make(chan struct{})
	inner := backend(t, filepath.Dir(r.Dir))
	w, p := secure(t, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if silent.Load() {
			close(asked)
			<-req.Context().Done()
			return
		}
		inner.ServeHTTP(rw, req)
	}))
	if _, err := w.Fetch(within(t), p, sha, nil); err != nil {
		t.Fatal(err)
	}
	silent.Store(true)
	ctx, cancel := context.WithCancel(within(t))
	var work sync.WaitGroup
	work.Go(func() { _, _ = w.Resolve(ctx, p, "main") })
	<-asked
	buildsTree(t, w, p, sha)
	cancel()
	work.Wait()
}

func TestWrongCredentialsAreRefusedAndNeverTold(t *testing.T) {
	r := gittest.NewRepo(t)
	r.Commit("Main", app("1"))
	w, p := secure(t, guarded(http.NotFoundHandler(), "bot", "another"))
	_, err := w.Resolve(within(t), p, "main")
	wantCode(t, err, deploy.CodeRefused, "credentials")
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error tells the token: %v", err)
	}
	p.Repository = strings.Replace(p.Repository, "https://", "https://bot:pa55word@", 1)
	_, err = w.Resolve(within(t), p, "main")
	wantCode(t, err, deploy.CodeRefused)
	if strings.Contains(err.Error(), "pa55word") {
		t.Errorf("the error tells the password: %v", err)
	}
}

func TestARedirectToAnotherHostNeverSeesTheToken(t *testing.T) {
	var visited atomic.Int32
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visited.Add(1) }))
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 307, 308} {
		w, p := secure(t, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			http.Redirect(rw, req, other.URL+req.URL.RequestURI(), status)
		}))
		_, err := w.Resolve(within(t), p, "main")
		wantCode(t, err, deploy.CodeRefused, "another host")
	}
	if n := visited.Load(); n != 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}

func TestARedirectOnTheSameHostIsFollowed(t *testing.T) {
	r := gittest.NewRepo(t)
	sha := r.Commit("Main", app("1"))
	inner := guarded(backend(t, filepath.Dir(r.Dir)), "bot", "s3cret-token")
	w, p := secure(t, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if rest, ok := strings.CutPrefix(req.URL.Path, "/old/"); ok {
			http.Redirect(rw, req, "/"+rest+"?"+req.URL.RawQuery, http.StatusMovedPermanently)
			return
		}
		inner.ServeHTTP(rw, req)
	}))
	p.Repository = strings.Replace(p.Repository, "/repo.git", "/old/repo.git", 1)
	if c, err := w.Resolve(within(t), p, "main"); err != nil || c.SHA != sha {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAnUnknownOrChangedHostKeyIsRefused(t *testing.T) {
	r := gittest.NewRepo(t)
	r.Commit("Main", app("1"))
	s := newShellServer(t)
	w := open(t, Options{})
	p := s.settings(r.Dir)

	empty := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Credential.KnownHosts = empty
	_, err := w.Resolve(within(t), p, "main")
	wantCode(t, err, deploy.CodeRefused, "ssh-keyscan")

	stranger, strangerKey := newKey(t)
	p.Credential.KnownHosts = s.trust(t, stranger.PublicKey())
	_, err = w.Resolve(within(t), p, "main")
	wantCode(t, err, deploy.CodeRefused, "is not the one in known_hosts")

	p.Credential.KnownHosts = s.known
	p.Credential.SSHKey = strangerKey
	_, err = w.Resolve(within(t), p, "main")
	wantCode(t, err, deploy.CodeRefused, "credentials")

	p.Credential.SSHKey = "/etc/ipublish/key"
	_, err = w.Resolve(within(t), p, "main")
	wantCode(t, err, deploy.CodeInvalid, "${file:")

	p.Credential.SSHKey = ""
	t.Setenv("SSH_AUTH_SOCK", "")
	_, err = w.Resolve(within(t), p, "main")
	wantCode(t, err, deploy.CodeRefused, "ssh_key")
}

func TestSecretReferencesThatDoNotResolveAreNamedByTheirKey(t *testing.T) {
	w := open(t, Options{Resolve: func(v string) (string, error) { return "", fmt.Errorf("no such variable") }})
	p := from("https://127.0.0.1:1/x.git")
	p.Credential.Token = "${MISSING}"
	_, err := w.Resolve(within(t), p, "main")
	wantCode(t, err, deploy.CodeInvalid, "credentials.token")
}
