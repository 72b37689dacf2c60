package ssh_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"ipublish/deploy"
	"ipublish/deployer/host/ssh"
	"ipublish/deployer/host/sshtest"
)

func TestAKeyMayBeGivenLiterally(t *testing.T) {
	server := sshtest.Start(t)
	settings := server.Settings(map[string]any{"identity_file": "", "identity": string(read(t, server.IdentityFile))})
	wantRun(t, open(t, settings, ssh.Options{}), "echo", "literal")
}

func TestAKeyOfAnAgentIsUsed(t *testing.T) {
	server := sshtest.Start(t)
	keys := agent.NewKeyring()
	private, err := gossh.ParseRawPrivateKey(read(t, server.IdentityFile))
	ok(t, err)
	ok(t, keys.Add(agent.AddedKey{PrivateKey: private}))
	h := open(t, server.Settings(map[string]any{"identity_file": ""}), ssh.Options{Home: t.TempDir(), Agent: serveAgent(t, keys)})
	wantRun(t, h, "echo", "agent")
}

func TestADefaultKeyOfTheHomeIsUsed(t *testing.T) {
	server := sshtest.Start(t)
	home := t.TempDir()
	write(t, filepath.Join(home, ".ssh", "id_ed25519"), string(read(t, server.IdentityFile)))
	h := open(t, server.Settings(map[string]any{"identity_file": ""}), ssh.Options{Home: home, Agent: "none"})
	wantRun(t, h, "echo", "default key")
}

func TestAnUnusableKeyFileOfTheSettingsIsNamed(t *testing.T) {
	server := sshtest.Start(t)
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, "not a key")
	for _, file := range []string{path, path + "-absent"} {
		_, err := open(t, server.Settings(map[string]any{"identity_file": file}), ssh.Options{}).Run(t.Context(), []string{"true"}, nil)
		wantCode(t, err, deploy.CodeInvalid)
		if m := deploy.MessageOf(err); !strings.Contains(m, file) {
			t.Errorf("message %q does not name the file", m)
		}
	}
}

func TestTheSSHConfigurationIsHonoured(t *testing.T) {
	server := sshtest.Start(t)
	home := t.TempDir()
	host, port, err := net.SplitHostPort(server.Addr)
	ok(t, err)
	write(t, filepath.Join(home, "keys", "web-1"), string(read(t, server.IdentityFile)))
	write(t, filepath.Join(home, "known"), string(read(t, server.KnownHosts)))
	write(t, filepath.Join(home, ".ssh", "config"), "Host web-*\n  HostName "+host+"\n  Port "+port+"\n  User "+server.User+
		"\n  IdentityFile ~/keys/%n\n  IdentitiesOnly yes\n  UserKnownHostsFile %d/known\nMatch all\n  Compression no\n")
	wantRun(t, open(t, []byte(`{"url": "ssh://web-1"}`), ssh.Options{Home: home}), "echo", "configured")
}

func TestAJumpHostIsPassedThrough(t *testing.T) {
	jump, server := sshtest.Start(t), sshtest.Start(t)
	known := filepath.Join(t.TempDir(), "known")
	write(t, known, string(read(t, jump.KnownHosts))+string(read(t, server.KnownHosts)))
	home := t.TempDir()
	host, port, err := net.SplitHostPort(jump.Addr)
	ok(t, err)
	write(t, filepath.Join(home, ".ssh", "config"), "Host jump\n  HostName "+host+"\n  Port "+port+"\n  User "+jump.User+
		"\nHost "+strings.Split(server.Addr, ":")[0]+"\n  ProxyJump jump\n")
	key := map[string]any{"known_hosts": known, "ssh_config": "", "identity_file": both(t, jump, server)}
	configured := open(t, server.Settings(key), ssh.Options{Home: home})
	wantRun(t, configured, "echo", "through the configured jump host")
	key["proxy_jump"] = jump.User + "@" + jump.Addr
	set := open(t, server.Settings(key), ssh.Options{Home: home})
	wantRun(t, set, "echo", "through the jump host of the settings")
	jump.Cut()
	eventually(t, "the broken way is noticed and made anew", func() bool {
		_, err := set.Run(t.Context(), []string{"true"}, nil)
		return err == nil
	})
	jump.Stop()
	_, err = open(t, server.Settings(key), ssh.Options{Home: home}).Run(t.Context(), []string{"true"}, nil)
	wantCode(t, err, deploy.CodeUnavailable)
}

func TestTwoJumpHostsArePassedInTheirOrder(t *testing.T) {
	first, second, server := sshtest.Start(t), sshtest.Start(t), sshtest.Start(t)
	key := both(t, first, second)
	both(t, first, server)
	home := t.TempDir()
	var config, known strings.Builder
	for name, s := range map[string]*sshtest.Server{"first": first, "second": second, "web": server} {
		host, port, err := net.SplitHostPort(s.Addr)
		ok(t, err)
		config.WriteString("Host " + name + "\n  HostName " + host + "\n  Port " + port + "\n  User " + s.User + "\n")
		known.Write(read(t, s.KnownHosts))
	}
	write(t, filepath.Join(home, "known"), known.String())
	every := "Host *\n  IdentityFile " + key + "\n  UserKnownHostsFile ~/known\n"
	for name, way := range map[string]string{
		"a list":              "Host web\n  ProxyJump first,second\n",
		"a host with its own": "Host web\n  ProxyJump second\nHost second\n  ProxyJump first\n",
	} {
		t.Run(name, func(t *testing.T) {
			write(t, filepath.Join(home, ".ssh", "config"), way+config.String()+every)
			h := open(t, []byte(`{"address": "web"}`), ssh.Options{Home: home, Agent: "none"})
			out, err := h.Run(t.Context(), []string{"sh", "-c", `echo "$SSH_CONNECTION"`}, nil)
			ok(t, err)
			if _, port, _ := net.SplitHostPort(server.Addr); !strings.HasSuffix(strings.TrimSpace(string(out)), " "+port) {
				t.Errorf("it ran over %q", out)
			}
			for _, jump := range []*sshtest.Server{second, first} {
				jump.Stop()
				eventually(t, "the way is gone", func() bool {
					_, err := h.Run(t.Context(), []string{"true"}, nil)
					return deploy.CodeOf(err) == deploy.CodeUnavailable
				})
				jump.Restart()
				eventually(t, "the way is there again", func() bool {
					_, err := h.Run(t.Context(), []string{"true"}, nil)
					return err == nil
				})
			}
		})
	}
}

func TestAJumpHostThatLeadsToItselfIsRefused(t *testing.T) {
	home := t.TempDir()
	write(t, filepath.Join(home, ".ssh", "config"), "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
	_, err := ssh.New([]byte(`{"address": "a"}`), ssh.Options{Home: home})
	wantCode(t, err, deploy.CodeInvalid)
}

// both makes two servers accept one key, and returns its file.
func both(t *testing.T, a, b *sshtest.Server) string {
	t.Helper()
	public := read(t, a.IdentityFile+".pub")
	b.Authorize(string(public))
	return a.IdentityFile
}

func serveAgent(t *testing.T, keys agent.Agent) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent")
	ok(t, err)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	ok(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(keys, conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-served
		_ = os.RemoveAll(dir)
	})
	return l.Addr().String()
}
