package statusfile

import (
	"context"
	"fmt"
	"path"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
)

// surveyScript takes the file's path and prints three words: the user, how the
// file is, how its folder is, and "cached" where the web server's
// configuration can be read and caches open files everywhere.
const surveyScript = `LC_ALL=C PATH=$PATH:/usr/sbin:/usr/local/sbin:/usr/local/nginx/sbin
export LC_ALL PATH
path=$1 dir=${1%/*}
dir=${dir:-/}
id -un
if [ -L "$path" ]; then echo odd
elif [ -f "$path" ]; then echo there
elif [ -e "$path" ]; then echo odd
else echo absent
fi
if [ ! -d "$dir" ]; then echo missing
elif [ -w "$dir" ] && [ -x "$dir" ]; then echo open
else echo closed
fi
conf=$(nginx -T 2>/dev/null | grep -v '^[[:space:]]*#')
has() { printf '%s\n' "$conf" | grep -Eq "(^|[{;[:space:]])open_file_cache[[:space:]]+$1"; }
if has '(max|inactive)=' && ! has 'off[[:space:]]*;'; then echo cached; fi
`

// survey is what a host says about the file's surroundings.
type survey struct {
	user, file, folder string
	cached             bool
}

// Advise implements deployer.Adviser for the host of the step's first target:
// what would keep the file from being changed, and a page that does not say
// what the file says. It blocks for one command and one request.
func (b *balancer) Advise(ctx context.Context, h deployer.Host, s deploy.Step) []string {
	target := sample
	if len(s.Targets) > 0 {
		target = s.Targets[0]
	} else if strings.Contains(b.settings.Path+b.settings.URL, "{") {
		return nil // whose file it is cannot be told
	}
	p, err := b.settings.at(target)
	if err != nil {
		return []string{deploy.MessageOf(err)}
	}
	out, err := h.Run(ctx, []string{"sh", "-c", surveyScript, "ipublish", p.path}, nil)
	words := strings.Fields(string(out))
	if err != nil || len(words) < 3 {
		return nil
	}
	found := survey{user: words[0], file: words[1], folder: words[2], cached: len(words) > 3}
	return append(found.advice(p), b.settings.contradictions(found, b.settings.look(ctx, h, p), p)...)
}

// advice is about the file and its folder.
func (v survey) advice(p place) []string {
	var out []string
	folder := path.Dir(p.path)
	if v.file == "odd" {
		out = append(out, fmt.Sprintf("%s is a link or a folder, which ipublish does not touch: give the key path of balancer.statusfile the status file itself", p.path))
	}
	switch v.folder {
	case "missing":
		out = append(out, fmt.Sprintf("the folder %s of the status file does not exist: make it, or correct the key path of balancer.statusfile", folder))
	case "closed":
		out = append(out, fmt.Sprintf("the user %s may not write in %s, so that no host could be taken out: run `sudo chown %s %s` there, or give the host `become: [sudo, -n]` and sudoers the line `%s ALL=(root) NOPASSWD: ALL`",
			v.user, folder, v.user, folder, v.user))
	}
	if v.cached {
		out = append(out, fmt.Sprintf("nginx caches open files (open_file_cache), so that it would go on answering %s for a while without %s: write `open_file_cache off;` in the location of that page and reload nginx", p.url, p.path))
	}
	return out
}

// contradictions are between the file and its page.
func (s *settings) contradictions(v survey, seen sight, p place) []string {
	switch there := v.file == "there"; {
	case seen.page == unknown || v.file == "odd":
		return nil
	case there && seen.page == passes, !there && seen.status >= 400, !there && seen.status == 0:
		return nil
	case there && seen.status == 0:
		return []string{fmt.Sprintf("nothing answers at %s, though %s is there: start the web server of that page, or correct url", p.url, p.path)}
	case there:
		return []string{fmt.Sprintf("%s answers %d, though %s is there: see that the web server may read it, or correct path, url or expect_status", p.url, seen.status, p.path)}
	case seen.page == passes:
		return []string{fmt.Sprintf("%s answers %d, though %s is absent: the balancer would never take this host out; let that page be answered from the file alone, or correct path or url", p.url, seen.status, p.path)}
	}
	return []string{fmt.Sprintf("%s answers %d while %s is absent, which many balancers take for healthy: let that page answer 404 then", p.url, seen.status, p.path)}
}
