package drivertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
)

func hostPutsFile(t *testing.T, h deployer.Host) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for name, mode := range map[string]os.FileMode{"secret": 0o600, "program": 0o755, "shared": 0o664} {
		path := filepath.Join(dir, name)
		hostOK(t, h.Put(hostContext(t), path, uint32(mode), strings.NewReader("content")))
		hostFile(t, path, "content", mode)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("folder %s: %v, %v, want mode 0755", d, info.Mode(), err)
		}
	}
	hostOnly(t, dir, 3)
}

func hostPutsTwice(t *testing.T, h deployer.Host) {
	path := filepath.Join(t.TempDir(), "file")
	for range 2 {
		hostOK(t, h.Put(hostContext(t), path, 0o640, strings.NewReader("same")))
		hostFile(t, path, "same", 0o640)
		hostOnly(t, filepath.Dir(path), 1)
	}
	hostOK(t, h.Put(hostContext(t), path, 0o600, strings.NewReader("other")))
	hostFile(t, path, "other", 0o600)
}

func hostPutsAnything(t *testing.T, h deployer.Host) {
	dir := t.TempDir()
	contents := []string{"", "\n", "no newline", "a\x00b\x00", "\x00\x00", strings.Repeat("\n", 100), "$(id)`id`", "ipublish-end-"}
	names := []string{"plain", "-rf", "--", "a b", "$(id)", "`id`", "a;id", "'", `"`, `\`, "*", "line\nbreak", "中文", "...", strings.Repeat("n", 255)}
	for i := range max(len(contents), len(names)) {
		path, content := filepath.Join(dir, names[i%len(names)]), contents[i%len(contents)]
		hostOK(t, h.Put(hostContext(t), path, 0o644, strings.NewReader(content)))
		hostFile(t, path, content, 0o644)
	}
	hostOnly(t, dir, len(names))
}

func hostPutsMuch(t *testing.T, h deployer.Host) {
	path := filepath.Join(t.TempDir(), "app.war")
	sum, content := sha256.New(), &bytes.Buffer{}
	for i := 0; content.Len() < 5_000_000; i++ {
		fmt.Fprintf(io.MultiWriter(sum, content), "%d\x00\n\xff", i*i)
	}
	hostOK(t, h.Put(hostContext(t), path, 0o644, content))
	b, err := os.ReadFile(path)
	if got := sha256.Sum256(b); err != nil || !bytes.Equal(got[:], sum.Sum(nil)) {
		t.Fatalf("sha256 %x of %d bytes, %v; want %x", got, len(b), err, sum.Sum(nil))
	}
}

func hostPutsAtomically(t *testing.T, h deployer.Host) {
	path := filepath.Join(t.TempDir(), "file")
	versions := []string{strings.Repeat("old ", 100_000), strings.Repeat("new!", 120_000)}
	hostOK(t, h.Put(hostContext(t), path, 0o644, strings.NewReader(versions[0])))
	stop, reads := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { reads <- n }()
		for ; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != versions[0] && string(b) != versions[1] {
				t.Errorf("a reader saw %d bytes, %v", len(b), err)
				return
			}
		}
	}()
	for i := range 6 {
		hostOK(t, h.Put(hostContext(t), path, 0o644, strings.NewReader(versions[1-i%2])))
	}
	close(stop)
	if <-reads == 0 {
		t.Error("nobody read meanwhile")
	}
}

func hostPutsHalf(t *testing.T, h deployer.Host) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old")
	hostOK(t, h.Put(hostContext(t), old, 0o600, strings.NewReader("old")))
	broken := errors.New("the source broke")
	for _, path := range []string{old, filepath.Join(dir, "fresh")} {
		for _, half := range []string{"", "half of it", strings.Repeat("more", 300_000)} {
			err := h.Put(hostContext(t), path, 0o644, io.MultiReader(strings.NewReader(half), hostFailing{broken}))
			hostCode(t, err, deploy.CodeFailed)
			if !errors.Is(err, broken) {
				t.Errorf("%v does not carry its cause", err)
			}
			hostFile(t, old, "old", 0o600)
			hostOnly(t, dir, 1)
		}
	}
	coded := &deploy.Error{Code: deploy.CodeNotFound, Message: "the artifact is not kept any more"}
	hostCode(t, h.Put(hostContext(t), old, 0o644, hostFailing{coded}), deploy.CodeNotFound)
}

func hostPutsCancelled(t *testing.T, h deployer.Host) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	hostOK(t, h.Put(hostContext(t), path, 0o600, strings.NewReader("old")))
	ctx, cancel := context.WithCancel(hostContext(t))
	defer cancel()
	slow, feed := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- h.Put(ctx, path, 0o644, slow) }()
	_, err := feed.Write([]byte("half"))
	hostOK(t, err)
	hostEventually(t, "the write began", func() bool { return hostCount(t, dir) == 2 })
	cancel()
	hostOK(t, feed.Close()) // looks complete now, and is not
	hostCode(t, hostPromptly(t, ended), deploy.CodeCancelled)
	hostEventually(t, "the temporary file is gone", func() bool { return hostCount(t, dir) == 1 })
	hostFile(t, path, "old", 0o600)
}

func hostPutsFolder(t *testing.T, h deployer.Host) {
	dir := t.TempDir()
	folder, link := filepath.Join(dir, "folder"), filepath.Join(dir, "link")
	hostOK(t, os.Mkdir(folder, 0o755))
	hostOK(t, os.Symlink(folder, link))
	for _, path := range []string{folder, link} {
		hostExit(t, h.Put(hostContext(t), path, 0o644, strings.NewReader("x")))
	}
	hostOnly(t, folder, 0)
	hostOnly(t, dir, 2)
}

func hostPutsNowhere(t *testing.T, h deployer.Host) {
	file := filepath.Join(t.TempDir(), "file")
	hostOK(t, os.WriteFile(file, []byte("x"), 0o600))
	err := h.Put(hostContext(t), filepath.Join(file, "below"), 0o644, bytes.NewReader(make([]byte, 1<<20)))
	if exit := hostExit(t, err); exit.Stderr == "" {
		t.Error("the error does not say what the host said")
	}
}

func hostPutsInvalid(t *testing.T, h deployer.Host) {
	for _, path := range []string{"", "relative", "-x", "/", "/tmp/", "/tmp/..", "/tmp/a\x00b"} {
		hostCode(t, h.Put(hostContext(t), path, 0o644, strings.NewReader("x")), deploy.CodeInvalid)
	}
	hostCode(t, h.Put(hostContext(t), filepath.Join(t.TempDir(), "f"), 0o10000, strings.NewReader("x")), deploy.CodeInvalid)
}
