package source

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ipublish/deploy"
)

// crashBuild makes a run of the test binary build: "workshop|repository|commit".
const crashBuild = "SOURCE_TEST_CRASH_BUILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(crashBuild); what != "" {
		os.Exit(buildToCrash(strings.Split(what, "|")))
	}
	os.Exit(m.Run())
}

func buildToCrash(what []string) int {
	w, err := Open(what[0], Options{})
	if err == nil {
		p := from(what[1])
		p.Build = deploy.Build{Run: []string{"./build.sh"}, Artifact: "out/app.war", Cache: []string{"c"}, Env: map[string]string{"MODE": "hangs"}}
		r := deploy.Release{App: "shop", Commit: deploy.Commit{SHA: what[2]}, Recipe: "crash"}
		_, err = w.Build(context.Background(), p, r, func(s string) { fmt.Println(s) })
	}
	fmt.Println(err)
	return 1
}

func TestABotThatIsKilledDuringABuildKeepsTheCacheAsItWas(t *testing.T) {
	s := shopWithCache(t, `
echo has $(cat c/* 2>/dev/null || echo nothing)
mkdir -p c; rm -f c/*; printf half > c/f
if test "$MODE" = hangs; then chmod 500 c; echo pid $$; sleep 1000; fi
echo whole > c/f`, nil, "c")
	s.build()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashBuild+"="+s.w.dir+"|"+s.p.Repository+"|"+s.r.Commit.SHA)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	group := 0
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
		if group > 0 {
			_ = syscall.Kill(-group, syscall.SIGKILL)
		}
	})
	for said := bufio.NewScanner(out); group == 0 && said.Scan(); {
		if n, ok := strings.CutPrefix(said.Text(), "pid "); ok {
			group, _ = strconv.Atoi(n)
		} else if said.Text() != "has whole" {
			t.Fatalf("the build says %s", said.Text())
		}
	}
	if group == 0 {
		t.Fatal("the build did not begin")
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	_ = syscall.Kill(-group, syscall.SIGKILL)
	if left, _ := filepath.Glob(s.w.path(exportsDir, "*", treeDir, "c", "f")); len(left) != 1 {
		t.Errorf("the killed build left %v", left)
	}
	again, err := Open(s.w.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.w = again
	nothingLeft(t, again)
	if said := s.build(); said != "has whole\n" {
		t.Errorf("after the kill the build says %q", said)
	}
}
