package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

func TestOnlyASha256OpensAnArtifact(t *testing.T) {
	w := open(t, Options{})
	for _, sum := range []string{"", "abc", "../mirrors", strings.Repeat("A", 64), strings.Repeat("g", 64), strings.Repeat("../", 22)[:64]} {
		_, err := w.Open(sum)
		wantCode(t, err, deploy.CodeInvalid)
	}
	_, err := w.Open(strings.Repeat("a", 64))
	wantCode(t, err, deploy.CodeNotFound, "rebuild")
}

// aged makes an artifact look as if it was handed out long ago.
func aged(t *testing.T, w *Workshop, sum string) {
	t.Helper()
	old := time.Now().Add(-2 * pruneGrace)
	if err := os.Chtimes(w.path(artifactsDir, sum), old, old); err != nil {
		t.Fatal(err)
	}
}

func TestPruneKeepsWhatIsNamedOrNewAndFollowsNoLink(t *testing.T) {
	w := open(t, Options{})
	var rel []deploy.Release
	for range 3 {
		p, r := shop(t, "mkdir out; head -c 16 /dev/urandom > out/app.war")
		r.Recipe = string(rune('a' + len(rel)))
		got, err := w.Build(within(t), p, r, nil)
		if err != nil {
			t.Fatal(err)
		}
		rel = append(rel, got)
	}
	aged(t, w, rel[0].SHA256)
	aged(t, w, rel[1].SHA256)
	outside := t.TempDir()
	precious := filepath.Join(outside, "precious")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := w.path(artifactsDir, strings.Repeat("c", 64))
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	if err := w.Prune([]string{rel[0].SHA256}); err != nil {
		t.Fatal(err)
	}
	for i, kept := range []bool{true, false, true} {
		if got := w.stored(rel[i].SHA256, rel[i].Size); got != kept {
			t.Errorf("artifact %d is kept: %t, want %t", i, got, kept)
		}
	}
	if records, _ := filepath.Glob(w.path(recordsDir, "*.json")); len(records) != 2 {
		t.Errorf("%d records are left, want 2", len(records))
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("pruning followed a link: %v", err)
	}
	_, err := w.Open(rel[1].SHA256)
	wantCode(t, err, deploy.CodeNotFound)
}

func TestOpeningSweepsWhatACrashLeft(t *testing.T) {
	w := open(t, Options{})
	left := []string{w.path(exportsDir, "old", "tree", "x"), w.path(artifactsDir, "tmp_1"), w.path(recordsDir, "tmp_2")}
	for _, f := range left {
		if err := os.MkdirAll(filepath.Dir(f), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, err := Open(w.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, again)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(file, Options{})
	wantCode(t, err, deploy.CodeInvalid, "cannot be used")
}
