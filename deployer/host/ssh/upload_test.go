package ssh_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"testing"

	"ipublish/deployer/host/ssh"
	"ipublish/deployer/host/sshtest"
)

// BenchmarkUpload compares 5 MB over an open connection with what the ssh
// program does over a kept one.
func BenchmarkUpload(b *testing.B) {
	const size = 5 << 20
	data := make([]byte, size)
	_, _ = rand.Read(data) // never fails
	server := sshtest.Start(b)
	h, err := ssh.New(server.Settings(nil), ssh.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	path := filepath.Join(b.TempDir(), "file")
	b.Run("put", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if err := h.Put(b.Context(), path, 0o644, bytes.NewReader(data)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("run", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if _, err := h.Run(b.Context(), []string{"sh", "-c", `cat >"$1"`, "sh", path}, bytes.NewReader(data)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ssh", func(b *testing.B) { sshProgram(b, server, "cat >"+path, data) })
}

func sshProgram(b *testing.B, server *sshtest.Server, command string, data []byte) {
	host, port, err := net.SplitHostPort(server.Addr)
	if err != nil {
		b.Fatal(err)
	}
	program, err := exec.LookPath("ssh")
	if err != nil {
		b.Fatal(err)
	}
	socket := filepath.Join(b.TempDir(), "s")
	args := []string{
		"-F", "none", "-i", server.IdentityFile, "-o", "UserKnownHostsFile=" + server.KnownHosts, "-o", "ControlPath=" + socket,
		"-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-p", port, fmt.Sprintf("%s@%s", server.User, host),
	}
	defer func() { _ = exec.Command(program, append([]string{"-O", "exit"}, args...)...).Run() }()
	if out, err := exec.Command(program, append(args, "true")...).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		cmd := exec.Command(program, append(args, command)...)
		cmd.Stdin = bytes.NewReader(data)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
}
