package ssh

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// maxHops bounds a chain of jump hosts, so that one that names itself ends.
const maxHops = 8

// hop is one host on the way, the last one being the host itself.
type hop struct {
	user  string
	addr  string   // host:port that is dialled and looked up in known_hosts
	known []string // known_hosts files; the first is the one to add to
	keys  keyring
}

// router turns what is written into hops, with the settings above ~/.ssh/config.
type router struct {
	settings settings
	home     string // folder of .ssh
	agent    string // socket
	config   *ssh_config.Config
}

func newRouter(s settings, o Options) (*router, error) {
	r := &router{settings: s, home: o.Home, agent: cmp.Or(o.Agent, os.Getenv("SSH_AUTH_SOCK"))}
	if r.home == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, invalid(s.target(), err, "the bot's user has no home: set HOME")
		}
		r.home = home
	}
	return r, r.readConfig(cmp.Or(s.SSHConfig, "~/.ssh/config"))
}

func (r *router) readConfig(path string) error {
	r.config = &ssh_config.Config{}
	if path == "none" {
		return nil
	}
	b, err := os.ReadFile(r.tilde(path))
	if errors.Is(err, fs.ErrNotExist) && r.settings.SSHConfig == "" {
		return nil
	}
	if err == nil {
		r.config, err = ssh_config.DecodeBytes(bytes.TrimPrefix(b, []byte("\ufeff")))
	}
	if err != nil {
		return invalid(path, err, "%s cannot be used: correct it, or set ssh_config: none and give "+
			"identity_file, known_hosts and proxy_jump in the settings of the host", path)
	}
	return nil
}

// route is the way to the host of the settings.
func (r *router) route() ([]hop, error) {
	return r.way(r.settings.target(), r.settings.ProxyJump, 0)
}

func (r *router) way(written, jump string, depth int) ([]hop, error) {
	if depth >= maxHops {
		return nil, invalid(written, nil, "the way to %s is longer than %d jump hosts: ProxyJump goes in a circle", written, maxHops)
	}
	e, err := parseEndpoint(written)
	if err != nil {
		return nil, err
	}
	if jump == "" {
		jump = r.first(e.host, "ProxyJump")
	}
	hops, err := r.jumps(jump, depth)
	if err != nil {
		return nil, err
	}
	last, err := r.hop(e, written)
	return append(hops, last), err
}

// jumps resolves a ProxyJump list. Only the first host of it may have a
// ProxyJump of its own; the others are reached through the one before.
func (r *router) jumps(list string, depth int) ([]hop, error) {
	if list == "" || strings.EqualFold(list, "none") {
		return nil, nil
	}
	var hops []hop
	for i, written := range strings.Split(list, ",") {
		own := ""
		if i > 0 {
			own = "none"
		}
		way, err := r.way(strings.TrimSpace(written), own, depth+1)
		if err != nil {
			return nil, err
		}
		hops = append(hops, way...)
	}
	return hops, nil
}

func (r *router) hop(e endpoint, written string) (hop, error) {
	alias := e.host
	e.host = strings.ReplaceAll(cmp.Or(r.first(alias, "HostName"), alias), "%h", alias)
	e.port = cmp.Or(e.port, r.first(alias, "Port"), "22")
	e.user = cmp.Or(e.user, r.first(alias, "User"), currentUser())
	if !userForm.MatchString(e.user) {
		return hop{}, badEndpoint(written, "the user's name is empty, starts with '-', or holds white space or shell syntax")
	}
	if err := e.check(written); err != nil {
		return hop{}, err
	}
	h := hop{user: e.user, addr: net.JoinHostPort(strings.ToLower(e.host), e.port)}
	var err error
	if h.known, err = r.knownHosts(alias, e); err != nil {
		return h, err
	}
	h.keys, err = r.keyring(alias, e)
	return h, err
}

func (r *router) knownHosts(alias string, e endpoint) ([]string, error) {
	if r.settings.KnownHosts != "" {
		return []string{r.tilde(r.settings.KnownHosts)}, nil
	}
	written := strings.Fields(r.first(alias, "UserKnownHostsFile"))
	if len(written) == 0 {
		written = []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}
	}
	files := make([]string, 0, len(written)+1)
	for _, w := range written {
		path, err := r.expand(w, alias, e)
		if err != nil {
			return nil, err
		}
		files = append(files, path)
	}
	return append(files, "/etc/ssh/ssh_known_hosts"), nil
}

func (r *router) keyring(alias string, e endpoint) (keyring, error) {
	if s := r.settings; s.signer != nil {
		return keyring{signer: s.signer}, nil
	} else if s.IdentityFile != "" {
		return keyring{files: []string{r.tilde(s.IdentityFile)}, must: s.IdentityFile}, nil
	}
	k := keyring{agent: r.agent}
	if strings.EqualFold(r.first(alias, "IdentitiesOnly"), "yes") {
		k.agent = ""
	}
	written, err := r.config.GetAll(alias, "IdentityFile")
	if err != nil {
		return k, invalid(alias, err, "IdentityFile in the ssh configuration cannot be read")
	}
	if len(written) == 0 {
		written = []string{"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"}
	}
	for _, w := range written {
		path, err := r.expand(strings.Trim(w, `"`), alias, e)
		if err != nil {
			return k, err
		}
		k.files = append(k.files, path)
	}
	k.files = slices.Compact(k.files)
	return k, nil
}

// first is the value that holds for a host; an unreadable one counts as absent,
// as the whole file was parsed before.
func (r *router) first(alias, key string) string {
	value, _ := r.config.Get(alias, key)
	return strings.Trim(value, `"`)
}

// expand replaces ~ and the tokens of ssh_config that a path may hold.
func (r *router) expand(path, alias string, e endpoint) (string, error) {
	var b strings.Builder
	tokens := map[byte]string{'%': "%", 'd': r.home, 'h': e.host, 'n': alias, 'p': e.port, 'r': e.user, 'u': currentUser()}
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			b.WriteByte(path[i])
			continue
		}
		i++
		if i == len(path) || tokens[path[i]] == "" {
			return "", invalid(path, nil, "the path %q in the ssh configuration holds a token other than %%d %%h %%n %%p %%r %%u", path)
		}
		b.WriteString(tokens[path[i]])
	}
	return r.tilde(b.String()), nil
}

func (r *router) tilde(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(r.home, rest)
	}
	return path
}

func currentUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}
