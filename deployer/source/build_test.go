package source

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/source/gittest"
)

func read(t testing.TB, w *Workshop, sum string) string {
	t.Helper()
	f, err := w.Open(sum)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// shop is a repository with one commit and a build section that runs a shell line.
func shop(t *testing.T, line string) (deploy.Settings, deploy.Release) {
	t.Helper()
	r := gittest.NewRepo(t)
	sha := r.Commit("Main", gittest.Files{"input": gittest.Text("in\n"), "build.sh": gittest.Program("#!/bin/sh\n" + line + "\n")})
	p := from(r.Dir)
	p.Build = deploy.Build{Run: []string{"./build.sh"}, Artifact: "out/app.war"}
	return p, deploy.Release{App: "shop", Commit: deploy.Commit{SHA: sha}, Recipe: "beef"}
}

func TestABuildRunsInTheExportAndItsArtifactIsKept(t *testing.T) {
	p, r := shop(t, "mkdir out && cat input > out/app.war && echo $COMMIT >> out/app.war && echo done building")
	w := open(t, Options{})
	said := newLines()
	got, err := w.Build(within(t), p, r, said.tell)
	if err != nil {
		t.Fatal(err)
	}
	if want := "in\n" + r.Commit.SHA + "\n"; read(t, w, got.SHA256) != want || got.Kind != deploy.ArtifactFile || got.Name != "app.war" || got.Size != int64(len(want)) {
		t.Errorf("the release is %+v", got)
	}
	if !strings.Contains(said.String(), "done building") {
		t.Errorf("the log was not told: %s", said)
	}
	if b, err := os.ReadFile(w.path(logsDir, r.Commit.SHA+".log")); err != nil || string(b) != "done building\n" {
		t.Errorf("the log file holds %q, %v", b, err)
	}
	nothingLeft(t, w)
}

func TestAFailingBuildTellsItsStatusAndLastLines(t *testing.T) {
	p, r := shop(t, "yes filler | head -n 3000; echo cannot find symbol >&2; exit 2")
	w := open(t, Options{})
	_, err := w.Build(within(t), p, r, nil)
	wantCode(t, err, deploy.CodeFailed, "the build failed: exit status 2 (./build.sh)")
	if log := deploy.AsError(err).Log; !strings.HasSuffix(log, "cannot find symbol\n") || len(log) > maxTail {
		t.Errorf("the log's end is %d bytes: %q", len(log), log[max(0, len(log)-60):])
	}
	nothingLeft(t, w)
	if _, ok := w.known(r); ok {
		t.Error("a failed build left a record")
	}
}

func TestABuildThatCannotStartSaysSo(t *testing.T) {
	p, r := shop(t, "true")
	w := open(t, Options{})
	p.Build.Run = []string{"no-such-program-anywhere", "-x"}
	_, err := w.Build(within(t), p, r, nil)
	wantCode(t, err, deploy.CodeFailed, "not found (no-such-program-anywhere -x)")
	p.Build.Run = []string{"./input"}
	_, err = w.Build(within(t), p, r, nil)
	wantCode(t, err, deploy.CodeFailed, "the build failed")
	p.Build.Run = []string{""}
	_, err = w.Build(within(t), p, r, nil)
	wantCode(t, err, deploy.CodeInvalid)
}

func TestABuildThatMakesNoArtifactSaysWhich(t *testing.T) {
	p, r := shop(t, "ln -s /etc/hostname link; mkfifo pipe")
	w := open(t, Options{})
	_, err := w.Build(within(t), p, r, nil)
	wantCode(t, err, deploy.CodeFailed, "the build made no out/app.war")
	p.Build.Artifact = "link"
	_, err = w.Build(within(t), p, r, nil)
	wantCode(t, err, deploy.CodeFailed, "the build made no link")
	p.Build.Artifact = "pipe"
	_, err = w.Build(within(t), p, r, nil)
	wantCode(t, err, deploy.CodeFailed, "neither a file nor a folder")
	for _, path := range []string{"../x", "/etc/hostname", "a/../../x"} {
		p.Build.Artifact = path
		_, err = w.Build(within(t), p, r, nil)
		wantCode(t, err, deploy.CodeInvalid, "within the repository")
	}
}

func TestAFolderArtifactRefusesWhatCannotBeShipped(t *testing.T) {
	for line, part := range map[string]string{
		"mkdir -p out; ln -s /etc/passwd out/evil":                   "evil",
		"mkdir -p out; ln -s ../input out/evil":                      "evil",
		"mkdir -p out/sub; mkfifo out/sub/pipe":                      "out/sub/pipe"[4:],
		"mkdir -p out; for i in 1 2 3 4 5 6; do echo > out/$i; done": "more than 5 files",
	} {
		p, r := shop(t, line)
		p.Build.Artifact = "out"
		w := open(t, Options{MaxFiles: 5})
		_, err := w.Build(within(t), p, r, nil)
		wantCode(t, err, deploy.CodeFailed, part)
		nothingLeft(t, w)
	}
}

func TestAFolderArtifactIsTheSameTarWhenBuiltAgain(t *testing.T) {
	p, r := shop(t, `mkdir -p out/z out/.git; echo b > out/z/b; echo a > out/a; chmod 700 out/a; chmod 600 out/z/b; ln -s z/b out/l; echo x > out/.git/config; touch out/z/.git; touch -d "@$(date +%s)" out/a`)
	p.Build.Artifact = "out"
	var sums []string
	for range 2 {
		w := open(t, Options{})
		got, err := w.Build(within(t), p, r, nil)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, got.SHA256)
		names := untar(t, w, got.SHA256)
		if len(names) != 4 || names["a"] != "-rwxr-xr-x a\n" || names["z/b"] != "-rw-r--r-- b\n" || names["l"] != "Lrwxrwxrwx z/b" {
			t.Errorf("the tree is %v", names)
		}
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds of the same gave %v", sums)
	}
}

func TestABuildSeesNothingOfTheBotsSecrets(t *testing.T) {
	t.Setenv("SLACK_BOT_TOKEN", "xoxb-canary-1")
	t.Setenv("GIT_SSH_COMMAND", "canary-2")
	t.Setenv("LD_PRELOAD_X", "canary-3")
	p, r := shop(t, "mkdir out; env > out/app.war; echo the token is $DEPLOY_TOKEN; cat /proc/self/cmdline | tr '\\0' ' '")
	p.Build.Env = map[string]string{"DEPLOY_TOKEN": "${DEPLOY_TOKEN}", "MODE": "release"}
	w := open(t, Options{Resolve: func(v string) (string, error) {
		return strings.ReplaceAll(v, "${DEPLOY_TOKEN}", "canary-4-resolved"), nil
	}})
	said := newLines()
	got, err := w.Build(within(t), p, r, said.tell)
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Split(strings.TrimSpace(read(t, w, got.SHA256)), "\n")
	allowed := append(passedOn(), "TMPDIR", "COMMIT", "DEPLOY_TOKEN", "MODE", "PWD", "SHLVL", "_", "OLDPWD")
	for _, e := range env {
		if name, _, _ := strings.Cut(e, "="); !slices.Contains(allowed, name) {
			t.Errorf("the build sees %s", e)
		}
	}
	for _, want := range []string{"COMMIT=" + r.Commit.SHA, "MODE=release", "DEPLOY_TOKEN=canary-4-resolved"} {
		if !slices.Contains(env, want) {
			t.Errorf("the build misses %s", want)
		}
	}
	log, err := os.ReadFile(w.path(logsDir, r.Commit.SHA+".log"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(said.String()+string(log), "canary-4") || !strings.Contains(said.String(), "the token is ***") {
		t.Errorf("the log tells a secret: %s", said)
	}
}

func TestTheReferencesOfBuildEnvAreNamedWhenTheyDoNotResolve(t *testing.T) {
	p, r := shop(t, "true")
	p.Build.Env = map[string]string{"TOKEN": "${NOT_THERE}"}
	w := open(t, Options{Resolve: func(string) (string, error) { return "", os.ErrNotExist }})
	_, err := w.Build(within(t), p, r, nil)
	wantCode(t, err, deploy.CodeInvalid, "build.env.TOKEN")
	nothingLeft(t, w)
}

// family is a build that starts children, tells their pids, and goes on for ever.
const family = "sleep 1000 & echo pid $!; (sleep 1001 & echo pid $!; wait) & echo pid $$; %s"

// pids collects the numbers that a family told.
func (l *lines) pids() []int {
	var out []int
	for line := range strings.SplitSeq(l.String(), "\n") {
		if n, ok := strings.CutPrefix(line, "pid "); ok {
			if pid, err := strconv.Atoi(n); err == nil {
				out = append(out, pid)
			}
		}
	}
	return out
}

func noneAlive(t testing.TB, pids []int) {
	t.Helper()
	if len(pids) < 3 {
		t.Fatalf("the build told only %v", pids)
	}
	for _, pid := range pids {
		eventually(t, "process "+strconv.Itoa(pid)+" is gone", func() bool {
			stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
			return err != nil || strings.Contains(string(stat), ") Z ")
		})
	}
}

func TestASilentBuildIsKilledWithItsChildren(t *testing.T) {
	p, r := shop(t, strings.Replace(family, "%s", "wait", 1))
	p.Build.SilenceTimeout = deploy.Duration(300 * time.Millisecond)
	w := open(t, Options{})
	said := newLines()
	_, err := w.Build(within(t), p, r, said.tell)
	wantCode(t, err, deploy.CodeTimeout, "printed nothing for 300ms")
	noneAlive(t, said.pids())
	nothingLeft(t, w)
}

func TestABuildThatTakesTooLongIsKilledThoughItTalks(t *testing.T) {
	p, r := shop(t, strings.Replace(family, "%s", "while echo talking; do sleep 0.05; done", 1))
	p.Build.Timeout = deploy.Duration(700 * time.Millisecond)
	p.Build.SilenceTimeout = deploy.Duration(30 * time.Second)
	w := open(t, Options{})
	said := newLines()
	_, err := w.Build(within(t), p, r, said.tell)
	wantCode(t, err, deploy.CodeTimeout, "it took longer than 700ms")
	noneAlive(t, said.pids())
	nothingLeft(t, w)
}

func TestACancelledBuildLeavesNoProcessAndNoFile(t *testing.T) {
	p, r := shop(t, strings.Replace(family, "%s", "mkdir locked; touch locked/x; chmod 500 locked; echo ready; wait", 1))
	w := open(t, Options{})
	said := newLines()
	ctx, cancel := context.WithCancel(within(t))
	var err error
	var work sync.WaitGroup
	work.Go(func() { _, err = w.Build(ctx, p, r, said.tell) })
	said.await(t, "ready")
	cancel()
	work.Wait()
	wantCode(t, err, deploy.CodeCancelled)
	noneAlive(t, said.pids())
	nothingLeft(t, w)
}

func TestASuccessfulBuildLeavesNothingInTheBackground(t *testing.T) {
	p, r := shop(t, strings.Replace(family, "%s", "mkdir out; echo x > out/app.war", 1))
	w := open(t, Options{})
	said := newLines()
	if _, err := w.Build(within(t), p, r, said.tell); err != nil {
		t.Fatal(err)
	}
	noneAlive(t, said.pids())
	nothingLeft(t, w)
}

// counted makes a build leave one line in a file outside of its export each time it runs.
func counted(t *testing.T) (p deploy.Settings, r deploy.Release, runs func() int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "runs")
	p, r = shop(t, "echo run >> "+file+"; mkdir out; echo x > out/app.war")
	return p, r, func() int {
		b, _ := os.ReadFile(file)
		return strings.Count(string(b), "run")
	}
}

func TestTheSameCommitAndRecipeAreBuiltOnce(t *testing.T) {
	p, r, runs := counted(t)
	w := open(t, Options{})
	var work sync.WaitGroup
	sums := make([]string, 4)
	for i := range sums {
		work.Go(func() {
			got, err := w.Build(within(t), p, r, nil)
			if err != nil {
				t.Error(err)
			}
			sums[i] = got.SHA256
		})
	}
	work.Wait()
	if runs() != 1 || len(slices.Compact(sums)) != 1 {
		t.Errorf("%d builds at once ran %d times: %v", len(sums), runs(), sums)
	}
	again, err := Open(w.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Build(within(t), p, r, nil); err != nil || got.SHA256 != sums[0] || runs() != 1 {
		t.Errorf("after a restart: %+v, %v, %d runs", got, err, runs())
	}
	r.Recipe = "other"
	if _, err := again.Build(within(t), p, r, nil); err != nil || runs() != 2 {
		t.Errorf("another recipe: %v, %d runs", err, runs())
	}
}

func TestAMissingOrCutArtifactIsBuiltAgain(t *testing.T) {
	p, r, runs := counted(t)
	w := open(t, Options{})
	first, err := w.Build(within(t), p, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := w.path(artifactsDir, first.SHA256)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if second, err := w.Build(within(t), p, r, nil); err != nil || second != first || runs() != 2 {
		t.Errorf("after its loss: %+v, %v, %d runs", second, err, runs())
	}
	if err := os.Truncate(path, 1); err != nil {
		t.Fatal(err)
	}
	if third, err := w.Build(within(t), p, r, nil); err != nil || third != first || runs() != 3 || read(t, w, third.SHA256) != "x\n" {
		t.Errorf("after being cut: %+v, %v, %d runs", third, err, runs())
	}
	records, _ := filepath.Glob(w.path(recordsDir, "*.json"))
	if err := os.WriteFile(records[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Build(within(t), p, r, nil); err != nil || runs() != 4 {
		t.Errorf("after a damaged record: %v, %d runs", err, runs())
	}
}
