package posix

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAPutThatIsCutAnywhereChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	rapid.Check(t, func(t *rapid.T) {
		old, content := "old content", rapid.SliceOf(rapid.Byte()).Draw(t, "content")
		if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		argv, in, err := Put(path, 0o600, bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		whole, _ := io.ReadAll(in)
		cut := rapid.IntRange(0, len(whole)).Draw(t, "cut")
		err = run(argv, whole[:cut])
		want := old
		if cut == len(whole) {
			want = string(content)
		}
		if (err == nil) != (cut == len(whole)) {
			t.Fatalf("cut at %d of %d: %v", cut, len(whole), err)
		}
		if got, _ := os.ReadFile(path); string(got) != want {
			t.Fatalf("cut at %d of %d: the file holds %q, want %q", cut, len(whole), got, want)
		}
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			t.Fatalf("%d files are left", len(left))
		}
	})
}

func TestAPutDoesNotFollowWhatLiesInItsWay(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
	argv, in, err := Put(path, 0o600, strings.NewReader("new"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	mark := argv[len(argv)-1]
	temp := filepath.Join(dir, ".ipublish-put-"+mark[strings.LastIndexByte(mark, '-')+1:])
	if err := os.Symlink(other, temp); err != nil {
		t.Fatal(err)
	}
	whole, _ := io.ReadAll(in)
	if err := run(argv, whole); err == nil {
		t.Error("it wrote through a link that was there before")
	}
	if got, _ := os.ReadFile(other); string(got) != "precious" {
		t.Errorf("the other file holds %q", got)
	}
}

func run(argv []string, in []byte) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = bytes.NewReader(in)
	return cmd.Run()
}
