package gitserve_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"ipublish/deployer/source/gitserve"
	"ipublish/deployer/source/gittest"
)

const zero = "0000000000000000000000000000000000000000"

// pushes collects what a handler announced.
type pushes struct {
	mu  sync.Mutex
	all []string
}

func (p *pushes) add(ref, before, after string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, ref+" "+before+" "+after)
}

func (p *pushes) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.all
	p.all = nil
	return out
}

func git(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	program, err := exec.LookPath("git")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("git is missing")
		}
		t.Skip("git is missing")
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func must(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := git(t, dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func files(version string) gittest.Files {
	return gittest.Files{"version": gittest.Text(version), "dir/other": gittest.Text("same")}
}

func TestTheGitProgramClonesFetchesAndPushes(t *testing.T) {
	r := gittest.NewRepo(t)
	first := r.Commit("First", files("1"))
	r.Tag("v1", first)
	var announced pushes
	url := r.Serve(gitserve.Options{Pushed: announced.add})
	work := filepath.Join(t.TempDir(), "work")
	must(t, ".", "clone", "-q", url, work)
	if got := must(t, work, "rev-parse", "HEAD", "v1^{commit}"); got != first+"\n"+first {
		t.Errorf("cloned %s", got)
	}

	second := r.Commit("Second", files("2"))
	must(t, work, "pull", "-q")
	if got := must(t, work, "rev-parse", "HEAD"); got != second {
		t.Errorf("pulled %s, want %s", got, second)
	}

	if err := os.WriteFile(filepath.Join(work, "version"), []byte("3"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, work, "commit", "-q", "-am", "Third")
	must(t, work, "tag", "-a", "v3", "-m", "three")
	must(t, work, "push", "-q", "origin", "main", "v3", "HEAD:refs/heads/new")
	third, tag := must(t, work, "rev-parse", "HEAD"), must(t, work, "rev-parse", "v3")
	if r.Hash("refs/heads/main") != third || r.Hash("refs/tags/v3") != tag || r.Hash("refs/heads/new") != third {
		t.Errorf("the push did not arrive")
	}
	got := announced.take()
	for _, want := range []string{"refs/heads/main " + second + " " + third, "refs/tags/v3 " + zero + " " + tag, "refs/heads/new " + zero + " " + third} {
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("not announced: %s; announced: %v", want, got)
		}
	}
	must(t, work, "push", "-q", "origin", "--delete", "new")
	if got := announced.take(); len(got) != 1 || got[0] != "refs/heads/new "+third+" "+zero {
		t.Errorf("announced %v", got)
	}
	must(t, r.Dir, "fsck", "--full")
}

func TestTheGitProgramFetchesAfterALongDivergence(t *testing.T) {
	r := gittest.NewRepo(t)
	r.Commit("Base", files("0"))
	url := r.Serve(gitserve.Options{})
	work := filepath.Join(t.TempDir(), "work")
	must(t, ".", "clone", "-q", url, work)
	for i := range 60 { // more than one round of haves
		must(t, work, "commit", "-q", "--allow-empty", "-m", fmt.Sprint("Local ", i))
		r.Commit(fmt.Sprint("Remote ", i), files(fmt.Sprint(i)))
	}
	must(t, work, "fetch", "-q")
	if got := must(t, work, "rev-parse", "origin/main"); got != r.Hash("refs/heads/main") {
		t.Errorf("fetched %s", got)
	}
	must(t, work, "fsck", "--full")
}

func TestAPushThatWouldLoseCommitsIsRefusedUnlessForced(t *testing.T) {
	r := gittest.NewRepo(t)
	r.Commit("First", files("1"))
	var announced pushes
	url := r.Serve(gitserve.Options{Pushed: announced.add})
	work := filepath.Join(t.TempDir(), "work")
	must(t, ".", "clone", "-q", url, work)
	r.Commit("Second", files("2"))
	must(t, work, "commit", "-q", "--allow-empty", "-m", "Mine")
	if out, err := git(t, work, "push", "-q", "origin", "main"); err == nil {
		t.Errorf("the push was taken: %s", out)
	}
	if got := announced.take(); len(got) != 0 {
		t.Errorf("announced %v", got)
	}
	must(t, work, "push", "-q", "--force", "origin", "main")
	if got := announced.take(); len(got) != 1 {
		t.Errorf("announced %v", got)
	}
	if out, err := git(t, work, "push", "origin", "HEAD:refs/notes/x"); err == nil || !strings.Contains(out, "only branches and tags") {
		t.Errorf("another kind of ref was taken: %s", out)
	}
}

func TestGoGitClonesAndPushes(t *testing.T) {
	r := gittest.NewRepo(t)
	first := r.Commit("First", files("1"))
	var announced pushes
	url := r.Serve(gitserve.Options{Pushed: announced.add})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	clone, err := gogit.PlainCloneContext(ctx, dir, false, &gogit.CloneOptions{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	second := commit(t, clone, dir, "2")
	if err := clone.PushContext(ctx, &gogit.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := announced.take(); len(got) != 1 || got[0] != "refs/heads/main "+first+" "+second {
		t.Errorf("announced %v", got)
	}
	if err := clone.PushContext(ctx, &gogit.PushOptions{RefSpecs: []config.RefSpec{":refs/heads/main"}}); err != nil {
		t.Fatal(err)
	}
	if r.Hash("refs/heads/main") != zero {
		t.Error("the branch is still there")
	}
}

func commit(t *testing.T, clone *gogit.Repository, dir, body string) string {
	t.Helper()
	tree, err := clone.Worktree()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "version"), []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := tree.Commit("Version "+body, &gogit.CommitOptions{All: true, Author: &object.Signature{Name: "Ada", Email: "a@example.com", When: time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

func TestAnEmptyRepositoryTakesItsFirstPush(t *testing.T) {
	r := gittest.NewRepo(t)
	var announced pushes
	url := r.Serve(gitserve.Options{Pushed: announced.add})
	work := t.TempDir()
	must(t, work, "init", "-q", "-b", "main")
	must(t, work, "commit", "-q", "--allow-empty", "-m", "First")
	must(t, work, "push", "-q", url, "main")
	if got := announced.take(); len(got) != 1 || r.Hash("refs/heads/main") == zero {
		t.Errorf("announced %v", got)
	}
	if err := gitserve.Init(r.Dir); err != nil || r.Hash("refs/heads/main") == zero {
		t.Errorf("Init harmed what was there: %v", err)
	}
}

func TestWhoeverIsLateDoesNotOverwrite(t *testing.T) {
	r := gittest.NewRepo(t)
	first := r.Commit("First", files("1"))
	var announced pushes
	url := r.Serve(gitserve.Options{Pushed: announced.add})
	second := r.Commit("Second", files("2"))
	third := r.Write("Third", files("3"), first)
	// The pusher still believes that main is first.
	answer := post(t, url+"/git-receive-pack", line(first+" "+third+" refs/heads/main\x00 report-status")+"0000"+emptyPack, "")
	if !strings.Contains(answer, "ng refs/heads/main") || r.Hash("refs/heads/main") != second {
		t.Errorf("answered %q, main is %s", answer, r.Hash("refs/heads/main"))
	}
	if got := announced.take(); len(got) != 0 {
		t.Errorf("announced %v", got)
	}
}

func TestAPackThatIsNoneChangesNothing(t *testing.T) {
	r := gittest.NewRepo(t)
	first := r.Commit("First", files("1"))
	var announced pushes
	url := r.Serve(gitserve.Options{Pushed: announced.add})
	answer := post(t, url+"/git-receive-pack", line(first+" "+strings.Repeat("ab", 20)+" refs/heads/main\x00 report-status")+"0000PACKnonsense", "")
	if strings.Contains(answer, "unpack ok") || r.Hash("refs/heads/main") != first || len(announced.take()) != 0 {
		t.Errorf("answered %q, main is %s", answer, r.Hash("refs/heads/main"))
	}
}

func TestARefIsNotMovedToAnObjectThatWasNotSent(t *testing.T) {
	r := gittest.NewRepo(t)
	first := r.Commit("First", files("1"))
	url := r.Serve(gitserve.Options{})
	answer := post(t, url+"/git-receive-pack", line(first+" "+strings.Repeat("ab", 20)+" refs/heads/main\x00 report-status")+"0000"+emptyPack, "")
	if !strings.Contains(answer, "the object was not sent") || r.Hash("refs/heads/main") != first {
		t.Errorf("answered %q, main is %s", answer, r.Hash("refs/heads/main"))
	}
}

func TestUnknownWantsAndStrangeRequestsAreRefused(t *testing.T) {
	r := gittest.NewRepo(t)
	first := r.Commit("First", files("1"))
	url := r.Serve(gitserve.Options{})
	want := line("want " + strings.Repeat("ab", 20) + "\n")
	if a := post(t, url+"/git-upload-pack", want+"0000"+line("done\n"), ""); !strings.Contains(a, "not our ref") {
		t.Errorf("answered %q", a)
	}
	if a := post(t, url+"/git-upload-pack", "zzzz", ""); !strings.Contains(a, "400") {
		t.Errorf("answered %q", a)
	}
	if a := post(t, url+"/git-upload-pack", "not gzip", "gzip"); !strings.Contains(a, "400") {
		t.Errorf("answered %q", a)
	}
	good := line("want "+first+"\n") + "0000" + line("done\n")
	if a := post(t, url+"/git-upload-pack", zip(t, good), "gzip"); !strings.Contains(a, "PACK") {
		t.Errorf("a compressed request is answered %q", a)
	}
	res, err := http.Get(url + "/info/refs?service=git-daemon")
	if err != nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("%v, %v", res, err)
	}
	res.Body.Close()
	res, err = http.Get(url + "/HEAD")
	if err != nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("a file of the repository is served: %v, %v", res, err)
	}
	res.Body.Close()
}

// emptyPack is a pack without objects.
const emptyPack = "PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e"

func line(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }

func zip(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// post gives the status and the answer.
func post(t *testing.T, url, body, encoding string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Encoding", encoding)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Status + "\n" + string(b)
}

func TestConcurrentPushesToOneBranchLetExactlyOneWin(t *testing.T) {
	r := gittest.NewRepo(t)
	first := r.Commit("First", files("1"))
	var announced pushes
	url := r.Serve(gitserve.Options{Pushed: announced.add})
	var work sync.WaitGroup
	for i := range 5 {
		next := r.Write(fmt.Sprint("Next ", i), files(fmt.Sprint(i)), first)
		work.Go(func() {
			post(t, url+"/git-receive-pack", line(first+" "+next+" refs/heads/main\x00 report-status")+"0000"+emptyPack, "")
		})
	}
	work.Wait()
	if got := announced.take(); len(got) != 1 || !strings.HasSuffix(got[0], r.Hash("refs/heads/main")) {
		t.Errorf("announced %v, main is %s", got, r.Hash("refs/heads/main"))
	}
	if plumbing.NewHash(r.Hash("refs/heads/main")).IsZero() {
		t.Error("main is gone")
	}
}
