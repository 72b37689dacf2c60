package deployer_test

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/host/sshtest"
)

func TestAReleaseIsSentOnceAndLandsWhole(t *testing.T) {
	for name, a := range map[string]*artifact{"a file": aFile(t), "a tree": aTree(t)} {
		t.Run(name, func(t *testing.T) {
			onEveryStageHost(t, func(t *testing.T, h deployer.Host) {
				s := a.step(filepath.Join(t.TempDir(), "a b", "releases", "abcdef0-123"))
				for i, want := range []bool{true, false, false} {
					if sent, err := deployer.StageOn(t.Context(), a, h, s); err != nil || sent != want {
						t.Fatalf("time %d: sent %v, %v", i+1, sent, err)
					}
				}
				a.mustLie(t, s.Dir)
			})
		})
	}
}

func TestAReleaseThatLostItsMarkIsSentAgainInPlaceOfWhatIsThere(t *testing.T) {
	a, h := aTree(t), localHost(t, "")
	s := a.step(filepath.Join(t.TempDir(), "abcdef0-123"))
	stage(t, a, h, s)
	if err := os.Remove(filepath.Join(s.Dir, deployer.Marker)); err != nil {
		t.Fatal(err)
	}
	touch(t, filepath.Join(s.Dir, "left over"))
	stage(t, a, h, s)
	a.mustLie(t, s.Dir)
}

func TestOtherBytesThanWereMeantNeverBecomeARelease(t *testing.T) {
	a, h := aFile(t), localHost(t, "")
	s := a.step(filepath.Join(t.TempDir(), "abcdef0-123"))
	a.data = bytes.Clone(a.data)
	a.data[0]++
	_, err := deployer.StageOn(t.Context(), a, h, s)
	mustFail(t, err, deploy.CodeFailed, "arrived as")
	mustBeEmpty(t, filepath.Dir(s.Dir))
}

func TestAnUploadThatBreaksLeavesNothingAndIsRepeated(t *testing.T) {
	a := aTree(t)
	server := sshtest.Start(t)
	h := sshHost(t, server, nil)
	s := a.step(filepath.Join(t.TempDir(), "abcdef0-123"))
	half := &artifact{data: a.data, until: len(a.data) / 2, held: make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		_, err := deployer.StageOn(t.Context(), half, h, s)
		ended <- err
	}()
	eventually(t, "half of it is there", func() bool {
		files, _ := filepath.Glob(s.Dir + ".partial/*/tar")
		return len(files) == 1 && size(files[0]) > len(a.data)/3
	})
	server.Cut()
	mustFail(t, <-ended, deploy.CodeUnavailable, "broke")
	close(half.held)
	eventually(t, "nothing is left", func() bool {
		left, _ := os.ReadDir(filepath.Dir(s.Dir))
		return len(left) == 0
	})
	stage(t, a, h, s)
	a.mustLie(t, s.Dir)
}

func TestAnUploadBesideAnOrphanedOneLandsWhole(t *testing.T) {
	a, h := aTree(t), localHost(t, "")
	s := a.step(filepath.Join(t.TempDir(), "abcdef0-123"))
	orphan := &artifact{data: a.data, until: len(a.data) / 2, held: make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		_, err := deployer.StageOn(t.Context(), orphan, h, s)
		ended <- err
	}()
	eventually(t, "the first upload goes on", func() bool {
		files, _ := filepath.Glob(s.Dir + ".partial/*/tar")
		return len(files) == 1 && size(files[0]) > 0
	})
	stage(t, a, h, s)
	close(orphan.held)
	<-ended // it may land as well, or not
	a.mustLie(t, s.Dir)
}

func TestAFullDiskIsNamedAndFreedAgain(t *testing.T) {
	a := aFile(t)
	h := localHostWith(t, "sh", "-c", `ulimit -f 64; trap '' XFSZ; exec "$@"`, "sh")
	s := a.step(filepath.Join(t.TempDir(), "abcdef0-123"))
	_, err := deployer.StageOn(t.Context(), a, h, s)
	mustFail(t, err, deploy.CodeFailed, "File too large")
	mustBeEmpty(t, filepath.Dir(s.Dir))
}

// onEveryStageHost runs a test on this machine and over sshd.
func onEveryStageHost(t *testing.T, test func(t *testing.T, h deployer.Host)) {
	t.Run("local", func(t *testing.T) { test(t, localHost(t, "")) })
	t.Run("ssh", func(t *testing.T) { test(t, sshHost(t, sshtest.Start(t), nil)) })
}

func stage(t *testing.T, a *artifact, h deployer.Host, s deploy.Step) {
	t.Helper()
	if sent, err := deployer.StageOn(t.Context(), a, h, s); err != nil || !sent {
		t.Fatalf("sent %v, %v", sent, err)
	}
}

// artifact is one that deployer.Artifacts keeps. Its reader waits after until
// bytes, where that is set, until held is closed.
type artifact struct {
	kind, name string
	data       []byte
	files      map[string]string // of a tree
	until      int
	held       chan struct{}
}

func aFile(t *testing.T) *artifact {
	t.Helper()
	data := make([]byte, 5<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	return &artifact{kind: deploy.ArtifactFile, name: "shop.war", data: data, files: map[string]string{"shop.war": string(data)}}
}

func aTree(t *testing.T) *artifact {
	t.Helper()
	a := &artifact{kind: deploy.ArtifactTree, files: map[string]string{"README": "read me\n", "bin/run": string(aFile(t).data)}}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range a.files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, text)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	a.data = b.Bytes()
	return a
}

// Open implements deployer.Artifacts.
func (a *artifact) Open(string) (io.ReadCloser, error) {
	if a.held == nil {
		return io.NopCloser(bytes.NewReader(a.data)), nil
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(a.data[:a.until]), gate(a.held), bytes.NewReader(a.data[a.until:]))), nil
}

// gate is an empty input that ends when it is closed.
type gate chan struct{}

func (g gate) Read([]byte) (int, error) { <-g; return 0, io.EOF }

func (a *artifact) step(dir string) deploy.Step {
	sum := sha256.Sum256(a.data)
	return deploy.Step{Dir: dir, Release: deploy.Release{SHA256: hex.EncodeToString(sum[:]), Kind: a.kind, Name: a.name}}
}

// mustLie wants the release's folder to hold exactly the artifact, and nothing beside it.
func (a *artifact) mustLie(t *testing.T, dir string) {
	t.Helper()
	for name, want := range a.files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != want {
			t.Errorf("%s holds %d bytes, want %d; %v", name, len(got), len(want), err)
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().Perm() != 0o755 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
	}
	entries, _ := os.ReadDir(dir)
	if want := len(a.files) + 1; len(entries) != want {
		t.Errorf("the release holds %d entries, want %d: %v", len(entries), want, entries)
	}
	if beside, _ := os.ReadDir(filepath.Dir(dir)); len(beside) != 1 {
		t.Errorf("there is %v", beside)
	}
}

func mustBeEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func size(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return int(info.Size())
}
