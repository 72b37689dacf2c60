package ssh_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer/host/ssh"
	"ipublish/deployer/host/sshtest"
)

func TestAHostOfWhichOneOfThreeKeysIsKnownConnects(t *testing.T) {
	server := sshtest.Start(t)
	for _, kind := range server.KeyTypes {
		known := filepath.Join(t.TempDir(), "known")
		server.WriteKnownHosts(known, kind)
		h := open(t, server.Settings(map[string]any{"known_hosts": known}), ssh.Options{})
		wantRun(t, h, "echo", kind)
	}
}

func TestAChangedHostKeyIsRefusedWithTheLineAndTheWayOut(t *testing.T) {
	server := sshtest.Start(t)
	h := open(t, server.Settings(nil), ssh.Options{})
	wantRun(t, h, "echo", "before")
	server.ChangeHostKeys()
	before := read(t, server.KnownHosts)
	message := refused(t, h)
	for _, part := range []string{server.KnownHosts, "line 1", server.Fingerprint("ed25519"), "ssh-keygen -R", "ssh-keyscan -p "} {
		if !strings.Contains(message, part) {
			t.Errorf("message %q does not name %q", message, part)
		}
	}
	if !bytes.Equal(before, read(t, server.KnownHosts)) {
		t.Error("known_hosts was changed")
	}
	server.WriteKnownHosts(server.KnownHosts, "ed25519")
	wantRun(t, h, "echo", "after the operator's correction, without a restart")
}

func TestAHostThatLostTheKnownKeyTypeIsRefusedAsChanged(t *testing.T) {
	server := sshtest.Start(t, "HostKeyAlgorithms ecdsa-sha2-nistp256")
	known := filepath.Join(t.TempDir(), "known")
	server.WriteKnownHosts(known, "ed25519")
	message := refused(t, open(t, server.Settings(map[string]any{"known_hosts": known}), ssh.Options{}))
	for _, part := range []string{"changed", "ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-keygen -R"} {
		if !strings.Contains(message, part) {
			t.Errorf("message %q does not name %q", message, part)
		}
	}
}

func TestAnUnknownHostIsRefusedWithItsFingerprintAndTheWayIn(t *testing.T) {
	server := sshtest.Start(t)
	known := filepath.Join(t.TempDir(), "absent")
	message := refused(t, open(t, server.Settings(map[string]any{"known_hosts": known}), ssh.Options{}))
	named := false
	for _, kind := range server.KeyTypes {
		named = named || strings.Contains(message, server.Fingerprint(kind))
	}
	if !named || !strings.Contains(message, "ssh-keyscan -p ") || !strings.Contains(message, ">> "+known) {
		t.Errorf("message %q names no fingerprint of the host, or not what to run", message)
	}
	if _, err := os.Stat(known); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the key was trusted on first use")
	}
}

func TestARevokedHostKeyIsRefused(t *testing.T) {
	server := sshtest.Start(t)
	known := filepath.Join(t.TempDir(), "known")
	server.WriteKnownHosts(known, "ed25519")
	line := read(t, known)
	write(t, known, string(line)+"@revoked "+string(line))
	message := refused(t, open(t, server.Settings(map[string]any{"known_hosts": known}), ssh.Options{}))
	if !strings.Contains(message, "revoked") || !strings.Contains(message, known+":2") {
		t.Errorf("message %q", message)
	}
}

func TestADamagedKnownHostsFileIsNamedWithTheLine(t *testing.T) {
	server := sshtest.Start(t)
	known := filepath.Join(t.TempDir(), "known")
	write(t, known, "host ssh-ed25519 notbase64!\n")
	_, err := open(t, server.Settings(map[string]any{"known_hosts": known}), ssh.Options{}).Run(t.Context(), []string{"true"}, nil)
	wantCode(t, err, deploy.CodeInvalid)
	if !strings.Contains(err.Error(), known+":1") {
		t.Errorf("%v does not name the line", err)
	}
}

func TestAKeyThatIsNotAcceptedIsRefusedByItsFingerprint(t *testing.T) {
	server, other := sshtest.Start(t), sshtest.Start(t)
	h := open(t, server.Settings(map[string]any{"identity_file": other.IdentityFile}), ssh.Options{})
	message := refused(t, h)
	for _, part := range []string{server.User, "SHA256:", "authorized_keys"} {
		if !strings.Contains(message, part) {
			t.Errorf("message %q does not name %q", message, part)
		}
	}
}

func TestWithoutAnyKeyTheMessageSaysSo(t *testing.T) {
	server := sshtest.Start(t)
	h := open(t, server.Settings(map[string]any{"identity_file": ""}), ssh.Options{Home: t.TempDir(), Agent: "/nonexistent/agent"})
	message := refused(t, h)
	if !strings.Contains(message, "no key to offer") || !strings.Contains(message, "/nonexistent/agent") {
		t.Errorf("message %q", message)
	}
}

// refused runs a command that must not run, and returns what people are told.
func refused(t *testing.T, h *ssh.Host) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ran")
	_, err := h.Run(t.Context(), []string{"touch", path}, nil)
	wantCode(t, err, deploy.CodeRefused)
	if _, err := os.Stat(path); err == nil {
		t.Error("the command ran all the same")
	}
	return deploy.MessageOf(err)
}
