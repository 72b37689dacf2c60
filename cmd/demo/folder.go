package demo

import (
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"ipublish/deploy"
)

//go:embed sample
var sample embed.FS

// longestFolder keeps the paths of the unix sockets below what systems take.
const longestFolder = 80

// folder is an installation: what lies where, and at which addresses.
type folder struct {
	Dir         string
	Listen      string // of the server
	Front       string // of the proxy: what users call
	Git         string // of the git server, while the demo runs
	Blue, Green int
}

// Config is the configuration's path, and so on.
func (f folder) Config() string     { return filepath.Join(f.Dir, "ipublish.yaml") }
func (f folder) State() string      { return filepath.Join(f.Dir, "state") }
func (f folder) Releases() string   { return filepath.Join(f.Dir, "releases") }
func (f folder) SecretFile() string { return filepath.Join(f.Dir, "secrets", "github") }
func (f folder) bare() string       { return filepath.Join(f.Dir, "shop.git") }
func (f folder) work() string       { return filepath.Join(f.Dir, "shop") }
func (f folder) log() string        { return filepath.Join(f.Dir, "serve.log") }

// Repository is the bare repository's URL, which needs no server.
func (f folder) Repository() string {
	return (&url.URL{Scheme: "file", Path: f.bare()}).String()
}

// newFolder makes an installation without its repositories: addresses that are
// free, a secret, and the configuration. deploy.CodeRefused for a folder with
// something in it, deploy.CodeInvalid for one that cannot be used.
func newFolder(dir string) (folder, error) {
	f := folder{Dir: dir}
	if err := usable(dir); err != nil {
		return f, err
	}
	ports, err := freePorts(5)
	if err != nil {
		return f, err
	}
	f.Listen, f.Front, f.Git = loopback(ports[0]), loopback(ports[1]), loopback(ports[2])
	f.Blue, f.Green = ports[3], ports[4]
	if err := os.MkdirAll(filepath.Dir(f.SecretFile()), 0o700); err != nil {
		return f, err
	}
	if err := os.WriteFile(f.SecretFile(), []byte(rand.Text()+rand.Text()+"\n"), 0o600); err != nil {
		return f, err
	}
	return f, f.writeConfig()
}

func usable(dir string) error {
	refuse := func(code deploy.Code, format string, args ...any) error {
		return &deploy.Error{Code: code, Op: "install", Subject: dir, Message: fmt.Sprintf(format, args...)}
	}
	if len(dir) > longestFolder || strings.ContainsAny(dir, "${}\"\n") {
		return refuse(deploy.CodeInvalid, "%s cannot be used: name a folder with at most %d characters, none of them $, {, } or a quote", dir, longestFolder)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return refuse(deploy.CodeInvalid, "the folder cannot be made: %v", err)
	}
	found, err := os.ReadDir(dir)
	if err != nil {
		return refuse(deploy.CodeInvalid, "the folder cannot be read: %v", err)
	}
	if len(found) > 0 {
		return refuse(deploy.CodeRefused, "%s is not empty: name a new folder, or go on with an installation by `ipublish serve --config %s`", dir, filepath.Join(dir, "ipublish.yaml"))
	}
	return nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePorts finds ports that nobody listens on, below those that the kernel
// gives to outgoing connections: there are many of them here.
func freePorts(n int) ([]int, error) {
	const from, to, tries = 18000, 31000, 200
	var ports []int
	for range tries {
		l, err := net.Listen("tcp", loopback(from+mathrand.IntN(to-from)))
		if err != nil {
			continue
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		if len(ports) == n {
			return ports, nil
		}
	}
	return nil, &deploy.Error{Code: deploy.CodeUnavailable, Op: "install", Message: fmt.Sprintf("no free ports were found on 127.0.0.1 between %d and %d", from, to)}
}

func (f folder) writeConfig() error {
	text, err := sample.ReadFile("sample/ipublish.yaml.txt")
	if err != nil {
		return err
	}
	t, err := template.New("ipublish.yaml").Funcs(template.FuncMap{"quote": quote}).Parse(string(text))
	if err != nil {
		return err
	}
	out, err := os.OpenFile(f.Config(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(t.Execute(out, f), out.Close())
}

// quote writes a text as YAML takes it whatever is in it.
func quote(text string) (string, error) {
	b, err := json.Marshal(text)
	return string(b), err
}

// secret is the webhook's.
func (f folder) secret() (string, error) {
	b, err := os.ReadFile(f.SecretFile())
	return strings.TrimSpace(string(b)), err
}
