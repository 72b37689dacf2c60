package source

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/source/gittest"
)

// cachedShop is a repository whose build runs a shell line and keeps folders.
// Each call of build builds it as another recipe, and gives what it said.
type cachedShop struct {
	t *testing.T
	w *Workshop
	p deploy.Settings
	r deploy.Release
}

func shopWithCache(t *testing.T, line string, files gittest.Files, entries ...string) *cachedShop {
	t.Helper()
	repo := gittest.NewRepo(t)
	all := gittest.Files{"build.sh": gittest.Program("#!/bin/sh\nset -e\n" + line + "\nmkdir -p out; echo x > out/app.war\n")}
	for name, f := range files {
		all[name] = f
	}
	p := from(repo.Dir)
	p.Build = deploy.Build{Run: []string{"./build.sh"}, Artifact: "out/app.war", Cache: entries}
	r := deploy.Release{App: "shop", Commit: deploy.Commit{SHA: repo.Commit("Main", all)}}
	w := open(t, Options{})
	t.Cleanup(func() { removeTree(w.dir) }) // a build may have taken its rights away
	return &cachedShop{t, w, p, r}
}

func (s *cachedShop) try(ctx context.Context) (said string, r deploy.Release, err error) {
	s.t.Helper()
	s.r.Recipe += "x"
	told := newLines()
	r, err = s.w.Build(ctx, s.p, s.r, told.tell)
	nothingLeft(s.t, s.w)
	for line := range strings.Lines(told.String() + "\n") {
		if !strings.HasPrefix(line, "copied ") && line != "\n" {
			said += line
		}
	}
	return said, r, err
}

func (s *cachedShop) build() (said string) {
	s.t.Helper()
	said, _, err := s.try(within(s.t))
	if err != nil {
		s.t.Fatalf("%v\n%s", err, said)
	}
	return said
}

// wantCaches checks how many folders are kept.
func (s *cachedShop) wantCaches(n int) []string {
	s.t.Helper()
	names, err := readDirNames(s.w.path(cachesDir))
	if err != nil || len(names) != n {
		s.t.Errorf("kept: %v, %v; want %d", names, err, n)
	}
	return names
}

func wantSaid(t *testing.T, said string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(said, p) {
			t.Errorf("the build did not say %q but:\n%s", p, said)
		}
	}
}

func TestASecondBuildFindsWhatTheFirstLeftInItsCache(t *testing.T) {
	s := shopWithCache(t, `
for d in node_modules web/lib; do
	echo $d has $(cat $d/dep 2>/dev/null || echo nothing)
	mkdir -p $d; echo $(cat $d/dep 2>/dev/null)+ > $d/dep
done
test -e other && exit 1; mkdir other`, nil, "node_modules", "web/lib/")
	wantSaid(t, s.build(), "node_modules has nothing", "web/lib has nothing")
	wantSaid(t, s.build(), "node_modules has +\n", "web/lib has +\n")
	wantSaid(t, s.build(), "node_modules has ++\n", "web/lib has ++\n")
	s.wantCaches(2)
	again, err := Open(s.w.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.w = again
	wantSaid(t, s.build(), "node_modules has +++\n")
	s.r.App = "another"
	wantSaid(t, s.build(), "node_modules has nothing")
	s.wantCaches(4)
}

func TestACachedFolderOfTheHomeGivesTheBuildAHomeOfItsOwn(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	line := `echo home $HOME; echo java $JAVA_TOOL_OPTIONS; echo has $(cat ~/.m2/repo/dep 2>/dev/null || echo nothing) $(ls -A ~)
mkdir -p ~/.m2/repo ~/junk; echo dep > ~/.m2/repo/dep; test ! -e ~/junk/old; touch ~/junk/old`
	s := shopWithCache(t, line, nil, "~/.m2")
	s.p.Build.Env = map[string]string{"JAVA_TOOL_OPTIONS": "-Xmx1g"}
	first := s.build()
	wantSaid(t, first, "has nothing\n", "home "+s.w.path(exportsDir))
	home := strings.TrimPrefix(strings.Split(first, "\n")[0], "home ")
	wantSaid(t, first, `java "-Duser.home=`+home+`" -Xmx1g`)
	wantSaid(t, s.build(), "has dep .m2\n")
	if names, _ := readDirNames(os.Getenv("HOME")); len(names) > 0 {
		t.Errorf("the bot's home holds %v", names)
	}
	s.p.Build.Cache, s.p.Build.Env = nil, nil
	said := s.build()
	wantSaid(t, said, "home "+os.Getenv("HOME")+"\n", "java\n")
}

func TestAFailedOrEndedBuildLeavesTheCacheAsItWas(t *testing.T) {
	s := shopWithCache(t, `
echo has $(ls node_modules 2>/dev/null || echo nothing)
mkdir -p node_modules; touch node_modules/$MODE
case $MODE in fails) exit 3;; hangs) sleep 1000;; esac`, nil, "node_modules")
	mode := func(m string) { s.p.Build.Env = map[string]string{"MODE": m} }
	mode("good")
	s.build()
	mode("fails")
	said, _, err := s.try(within(t))
	wantCode(t, err, deploy.CodeFailed, "exit status 3")
	wantSaid(t, said, "has good")
	mode("hangs")
	s.p.Build.SilenceTimeout = deploy.Duration(200 * time.Millisecond)
	said, _, err = s.try(within(t))
	wantCode(t, err, deploy.CodeTimeout)
	wantSaid(t, said, "has good")
	mode("makes no artifact")
	s.p.Build.Artifact = "elsewhere"
	_, _, err = s.try(within(t))
	wantCode(t, err, deploy.CodeFailed, "made no elsewhere")
	s.p.Build.Artifact = "out/app.war"
	mode("last")
	if said := s.build(); said != "has good\n" {
		t.Errorf("the cache was changed: %s", said)
	}
	s.wantCaches(1)
}

func TestACacheKeepsRightsTimesAndLinks(t *testing.T) {
	s := shopWithCache(t, `
if test -d c; then (cd c && stat -c '%n %A %Y' bin bin/run ro ro/f; stat -c %N out dangling; ls -A | wc -l); exit 0$(mkdir -p out; echo x > out/app.war); fi
mkdir -p c/bin c/ro; echo x > c/bin/run; chmod 750 c/bin/run; touch -d @1000000000 c/bin/run c/bin; echo y > c/ro/f; chmod 444 c/ro/f; chmod 555 c/ro
ln -s /etc/passwd c/out; ln -s nowhere c/dangling; mkfifo c/pipe; chmod 500 c`, nil, "c")
	s.build()
	said := s.build()
	wantSaid(t, said, "bin drwxr-xr-x 1000000000", "bin/run -rwxr-x--- 1000000000", "ro dr-xr-xr-x", "ro/f -r--r--r--",
		"'out' -> '/etc/passwd'", "'dangling' -> 'nowhere'", "\n4")
	if again := s.build(); again != said {
		t.Errorf("after another round:\n%s\nbefore:\n%s", again, said)
	}
}

func TestALinkOfTheCommitDoesNotLeadACacheAway(t *testing.T) {
	files := gittest.Files{"real/f": gittest.Text("x"), "web": gittest.Link("real"), "deep/way": gittest.Link("../real"), "plain": gittest.Text("x")}
	for entry, part := range map[string]string{
		"web":          "leads through web,",
		"web/x":        "leads through web,",
		"deep/way/a/b": "leads through deep/way,",
		"plain/x":      "leads through plain,",
	} {
		s := shopWithCache(t, "echo ran", files, entry)
		said, _, err := s.try(within(t))
		wantCode(t, err, deploy.CodeInvalid, "build.cache", part)
		if said != "" {
			t.Errorf("%s: the build ran: %s", entry, said)
		}
		s.wantCaches(0)
	}
}

func TestALinkOfTheBuildDoesNotLeadACacheAway(t *testing.T) {
	outside := t.TempDir()
	if err := os.MkdirAll(filepath.Join(outside, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	for line, entry := range map[string]string{
		"ln -s " + outside + " node_modules":              "node_modules",
		"ln -s " + outside + " web":                       "web/lib",
		"mkdir -p a/lib; ln -s a web":                     "web/lib",
		"touch web":                                       "web/lib",
		"touch lib":                                       "lib",
		"ln -s " + outside + " ~/.m2":                     "~/.m2",
		"rmdir ~ && ln -s " + outside + " $HOME; ls ~/..": "~/lib",
	} {
		s := shopWithCache(t, line, nil, entry)
		wantSaid(t, s.build(), "is not kept: ")
		s.wantCaches(0)
		if names, _ := readDirNames(outside); len(names) != 1 {
			t.Errorf("%s: outside holds %v", line, names)
		}
	}
}

func TestAFolderThatIsPartOfTheCommitIsNoCache(t *testing.T) {
	s := shopWithCache(t, "ls vendor; touch vendor/new", gittest.Files{"vendor/lib": gittest.Text("x")}, "vendor")
	for range 2 {
		said := s.build()
		wantSaid(t, said, "the cached folder vendor is part of the commit")
		if strings.Contains(said, "new") {
			t.Errorf("the folder was filled: %s", said)
		}
	}
	s.wantCaches(0)
}

func TestACachedFolderWithinATreeArtifactIsPartOfIt(t *testing.T) {
	s := shopWithCache(t, "mkdir -p node_modules; touch node_modules/$MODE", nil, "node_modules")
	s.p.Build.Artifact = ""
	for _, mode := range []string{"a", "b"} {
		s.p.Build.Env = map[string]string{"MODE": mode}
		_, r, err := s.try(within(t))
		if err != nil {
			t.Fatal(err)
		}
		tree := untar(t, s.w, r.SHA256)
		if _, ok := tree["node_modules/"+mode]; !ok {
			t.Errorf("the tree is %v", tree)
		}
	}
}

func TestACacheThatCannotBeUsedIsLeftOut(t *testing.T) {
	s := shopWithCache(t, "test ! -e c || ls c; mkdir -p c; for i in 1 2 3; do echo 1234567890 > c/$i; done; echo done", nil, "c")
	s.build()
	for part, o := range map[string]Options{"more than 2 files": {MaxFiles: 2}, "more than 25 B": {MaxBytes: 25}} {
		s.w.o.MaxFiles, s.w.o.MaxBytes = o.filled().MaxFiles, o.filled().MaxBytes
		root := site{dir: t.TempDir()}
		if err := os.Mkdir(filepath.Join(root.dir, treeDir), 0o755); err != nil {
			t.Fatal(err)
		}
		folders, err := s.w.cachedFolders(s.p, s.r.App)
		if err != nil {
			t.Fatal(err)
		}
		told := newLines()
		if err := s.w.fill(within(t), root, folders, told.tell); err != nil {
			t.Fatal(err)
		}
		wantSaid(t, told.String(), "the build starts without it: it holds "+part)
		if names, _ := readDirNames(filepath.Join(root.dir, treeDir)); len(names) != 0 {
			t.Errorf("half of it is visible: %v", names)
		}
	}
	s.w.o = Options{}.filled()
	wantSaid(t, s.build(), "1\n2\n3\ndone")
}

func TestBuildsAtTheSameTimeDoNotSeeEachOthersCache(t *testing.T) {
	s := shopWithCache(t, `
n=$(ls c 2>/dev/null | wc -l); test $n = 0 -o $n = 20 || { echo half: $n; exit 1; }
rm -rf c; mkdir c; for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do echo $$ > c/$i; done
test $(cat c/* | sort -u | wc -l) = 1`, nil, "c")
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			r := s.r
			r.Recipe = string(rune('a' + i))
			said := newLines()
			if _, err := s.w.Build(within(t), s.p, r, said.tell); err != nil {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
	work.Wait()
	s.build()
	s.wantCaches(1)
}

func TestPruneRemovesTheCachesThatNobodyUsed(t *testing.T) {
	s := shopWithCache(t, "mkdir -p c; touch c/x; chmod 500 c", nil, "c")
	s.build()
	name := s.wantCaches(1)[0]
	if err := s.w.Prune(nil); err != nil {
		t.Fatal(err)
	}
	s.wantCaches(1)
	old := time.Now().Add(-2 * cacheAge)
	if err := os.Chtimes(s.w.path(cachesDir, name), old, old); err != nil {
		t.Fatal(err)
	}
	if err := s.w.Prune(nil); err != nil {
		t.Fatal(err)
	}
	s.wantCaches(0)
	nothingLeft(t, s.w)
}
