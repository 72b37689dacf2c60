package ssh_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"ipublish/deployer"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/host/ssh"
	"ipublish/deployer/host/sshtest"
)

func open(t *testing.T, settings json.RawMessage, o ssh.Options) *ssh.Host {
	t.Helper()
	h, err := ssh.New(settings, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func TestBecomeIsPutBeforeCommandsAndWrites(t *testing.T) {
	server := sshtest.Start(t)
	log := filepath.Join(t.TempDir(), "log")
	prefix := []string{"sh", "-c", `echo "$2" >> "$1"; shift; exec "$@"`, "become", log}
	h := open(t, server.Settings(map[string]any{"become": prefix}), ssh.Options{})
	wantRun(t, h, "echo", "it's $HOME")
	ok(t, h.Put(t.Context(), filepath.Join(t.TempDir(), "file"), 0o600, strings.NewReader("x")))
	if got := string(read(t, log)); got != "echo\n/bin/sh\n" {
		t.Errorf("the prefix saw %q", got)
	}
}

func TestAnSSHHostKeepsTheContractOfHosts(t *testing.T) {
	server := sshtest.Start(t)
	drivertest.Host(t, func(t *testing.T) deployer.Host { return open(t, server.Settings(nil), ssh.Options{}) })
}
