package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// The image is what the Dockerfile's build line leaves, alone in an empty root.
// This test runs that very line, and what it leaves in an empty root, as the
// image's user.
func TestTheImagesBinaryRunsInAnEmptyRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs root, to change its root")
		}
		t.Skip("this test needs root, to change its root")
	}
	root := emptyRoot(t)
	build(t, filepath.Join(root, "ipublish"))
	if out, code := inRoot(t, root, "version"); code != 0 || !strings.HasPrefix(out, "ipublish ") {
		t.Errorf("version exits with %d: %s", code, out)
	}
	out, code := inRoot(t, root, "check", "--config", "/etc/ipublish/ipublish.yaml")
	for _, line := range []string{"ok    /etc/ipublish/ipublish.yaml is valid", "ok    server.state_dir /var/lib/ipublish can be written"} {
		if !strings.Contains(out, line) {
			t.Errorf("check does not say %q", line)
		}
	}
	for _, fault := range []string{"make is not on the PATH of this machine", "a container cannot drive the nginx of its machine"} {
		if !strings.Contains(out, fault) {
			t.Errorf("check does not say that %s", fault)
		}
	}
	if code != exitFailed || strings.Contains(out, "panic") {
		t.Errorf("check exits with %d:\n%s", code, out)
	}
}

// emptyRoot has what the Dockerfile copies besides the binary, and a configuration.
func emptyRoot(t *testing.T) string {
	t.Helper()
	root, err := os.MkdirTemp("", "ipublish-root") // t.TempDir's parents are closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	for _, dir := range []string{"etc/ipublish", "var/lib/ipublish", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := `
apps:
  shop:
    repository: https://git.example.com/acme/shop.git
    build: { run: [make] }
    runtime: { command: { run: [./server] } }
    environments:
      production:
        branch: main
        hosts: [local]
        strategy: { blue_green: { slots: { blue: 8080, green: 8081 } } }
        balancer: { nginx: { upstream: shop, include: /etc/nginx/ipublish/shop.conf } }
`
	if err := os.WriteFile(filepath.Join(root, "etc/ipublish/ipublish.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"var/lib/ipublish", "tmp"} {
		if err := os.Chown(filepath.Join(root, dir), 65532, 65532); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// build runs the Dockerfile's build line, which has to give a static binary.
func build(t *testing.T, to string) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 go build .*)$`).FindStringSubmatch(shipped(t, "Dockerfile"))
	if line == nil || !strings.Contains(line[1], "-o /out/ipublish ") {
		t.Fatal("the Dockerfile has no such build line")
	}
	cmd := exec.Command("sh", "-c", strings.Replace(line[1], "/out/ipublish", to, 1))
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line[1], err, out)
	}
	f, err := elf.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is not static: it has a segment %s", p.Type)
		}
	}
}

func inRoot(t *testing.T, root string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command("/ipublish", args...)
	cmd.Dir, cmd.Env = "/", []string{"HOME=/var/lib/ipublish"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
