package deployer

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"strings"

	"ipublish/deploy"
)

// environment is what the app gets on a host: the host's env_file, then the
// configured env, which wins.
func (x *effects) environment(ctx context.Context, h Host, s deploy.Step) (map[string]string, error) {
	env, err := x.envFile(ctx, h)
	if err != nil {
		return nil, err
	}
	own, err := x.engine.Drivers.Resolve(x.settings.Env)
	if err != nil {
		return nil, &deploy.Error{Code: deploy.CodeInvalid, Op: "start", Subject: s.Subject(), Err: err}
	}
	maps.Copy(env, own)
	return env, nil
}

// envFile reads the env_file of a host; its values are secret.
func (x *effects) envFile(ctx context.Context, h Host) (map[string]string, error) {
	path := x.settings.EnvFile
	if path == "" {
		return map[string]string{}, nil
	}
	text, err := h.Run(ctx, []string{"cat", "--", path}, nil)
	if deploy.CodeOf(err) == deploy.CodeFailed {
		return nil, &deploy.Error{Code: deploy.CodeInvalid, Op: "read", Subject: path, Err: err,
			Message: fmt.Sprintf("env_file %s cannot be read on the host: put it there, readable by the deploy user", path)}
	}
	if err != nil {
		return nil, err
	}
	env, err := parseEnv(text)
	if err != nil {
		return nil, &deploy.Error{Code: deploy.CodeInvalid, Op: "read", Subject: path, Message: fmt.Sprintf("env_file %s, %s", path, err)}
	}
	x.keepSecret(env)
	return env, nil
}

// learn reads the env_file of every host once a deploy, so that what an app
// prints of it is masked in every step's log. A host that cannot be read now is
// read at the start of its slot.
func (x *effects) learn(ctx context.Context) {
	if d := x.drive; x.settings.EnvFile != "" && !d.learned {
		ctx, cancel := context.WithTimeout(ctx, outcomePatience)
		defer cancel()
		_, err := eachHost(ctx, planHosts(x.settings), func(ctx context.Context, id deploy.HostID) (struct{}, error) {
			h, err := x.host(id)
			if err == nil {
				_, err = x.envFile(ctx, h)
			}
			return struct{}{}, err
		})
		d.learned = err == nil
	}
	x.hidden.Lock()
	defer x.hidden.Unlock()
	x.secrets = append(x.secrets, x.drive.hidden...)
}

func planHosts(s deploy.Settings) []deploy.HostID {
	ids := make([]deploy.HostID, len(s.Hosts))
	for i, h := range s.Hosts {
		ids[i] = h.ID
	}
	return ids
}

// parseEnv reads lines of NAME=value as systemd's EnvironmentFile and docker's
// --env-file have them: blank lines and those that begin with # or ; are
// comments, an export before the name and one pair of quotes around the value
// are dropped, and nothing is expanded. Errors name the line, never a value.
func parseEnv(text []byte) (map[string]string, error) {
	env := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !ok || !variable(name):
			return nil, fmt.Errorf("line %d is not NAME=value", n)
		case value != "" && (value[0] == '"' || value[0] == '\''):
			if len(value) < 2 || value[len(value)-1] != value[0] {
				return nil, fmt.Errorf("line %d: the quote of %s is not closed on the same line", n, name)
			}
			value = value[1 : len(value)-1]
		}
		env[name] = value
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("a line is too long: %w", err)
	}
	return env, nil
}

func variable(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// linkScript: $1 the folder that the link must stay below, $2 the link's path
// below it, $3 what it leads to, $4 slot or release. What was in the link's place
// is kept beside it: it may be what users sent. A folder on the way that is itself a link could
// lead anywhere, so it is refused.
const linkScript = `set -e
[ "$4" != slot ] || [ -d "$1" ] || (umask 027; mkdir -p -- "$1")
cd -- "$1"
[ -e "$3" ] || { echo "$3 is not on the host: make it, with the rights that the app needs" >&2; exit 9; }
rest=$2
while case $rest in */*) ;; *) false ;; esac; do
  part=${rest%%/*}; rest=${rest#*/}
  [ ! -L "$part" ] || { echo "$1/$2 leads through the link $part of the release" >&2; exit 9; }
  [ -d "$part" ] || mkdir -- "$part"
  cd -- "$part"
done
if [ "$(readlink -- "$rest")" = "$3" ]; then exit 0; fi
rm -rf -- "./$rest.ipublish"
ln -s -- "$3" "./$rest.ipublish"
if [ -e "$rest" ] && [ ! -L "$rest" ] && ! rmdir -- "./$rest" 2>/dev/null; then
  aside=$rest.before-ipublish
  while [ -e "$aside" ]; do aside=$aside.x; done
  mv -- "./$rest" "./$aside"
fi
mv -f -T -- "./$rest.ipublish" "./$rest" 2>/dev/null || { rm -f -- "./$rest"; mv -f -- "./$rest.ipublish" "./$rest"; }`

// link makes the shared files and folders lie in the release's or slot's folder.
func (x *effects) link(ctx context.Context, h Host, s deploy.Step) error {
	for _, shared := range x.settings.Shared {
		folder, below, _ := strings.Cut(shared.To, "/")
		root, kind := s.Dir, "release"
		if folder == "{home}" {
			root, kind = s.Home, "slot"
		}
		_, err := h.Run(ctx, script(linkScript, root, below, shared.Path, kind), nil)
		if deploy.CodeOf(err) == deploy.CodeFailed {
			return &deploy.Error{Code: deploy.CodeInvalid, Op: "link", Subject: shared.Path, Err: err,
				Message: fmt.Sprintf("shared %s cannot be linked to %s: %s", shared.Path, shared.To, saidBy(err))}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
