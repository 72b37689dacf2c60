package deployer

import (
	"context"
	"fmt"
	"strings"

	"ipublish/deploy"
)

// Marker is the file in a staged release's folder that holds the sha256 of its
// artifact. It is written last: a folder without it is not a release.
const Marker = ".ipublish-sha256"

// The scripts are fixed texts; what they work on are positional arguments.
const (
	// $1 the release's folder, $2 its sha256. What broken uploads left is removed:
	// one that still goes on ends by itself, for it cannot land any more.
	haveScript = `sum=
[ ! -r "$1/` + Marker + `" ] || IFS= read -r sum <"$1/` + Marker + `"
if [ "$sum" = "$2" ]; then echo have; exit 0; fi
[ ! -e "$1.partial" ] || rm -rf -- "$1.partial" || exit 1
echo lack`
	// $1 the folder, $2 sha256, $3 a file's name within it, $4 file or tree; the
	// payload comes on standard input. Each upload has a folder of its own until it
	// is whole. A single file may be a program: it is left executable.
	landScript = `set -e
part=$1.partial/$$
trap 'rm -rf -- "$part"; rmdir -- "$1.partial" 2>/dev/null || :' EXIT
trap 'exit 1' HUP INT TERM
trap '' PIPE
mkdir -p -- "$part/release"
cd -- "$part/release"
file=$3
[ "$4" != tree ] || file=../tar
cat >"$file"
sum=$(sha256sum <"$file")
sum=${sum%% *}
if [ "$sum" != "$2" ]; then echo "arrived as $sum" >&2; exit 9; fi
if [ "$4" = tree ]; then tar -xf "$file"; else chmod 0755 "$file"; fi
printf %s "$2" >` + Marker + `
sync -f . 2>/dev/null || sync
cd /
{ [ ! -e "$1" ] && [ ! -L "$1" ]; } || rm -rf -- "$1"
mv -T -- "$part/release" "$1" 2>/dev/null || mv -- "$part/release" "$1"
trap - EXIT
rm -rf -- "$1.partial" || :`
	// $1 the folder of all releases, then the names to keep
	pruneScript = `cd "$1" 2>/dev/null || exit 0
shift
for d in *; do
  case $d in
  [0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]*-[0-9a-f]*) ;;
  *) continue ;;
  esac
  for k in "$@"; do [ "$d" = "$k" ] && continue 2; done
  [ -d "$d" ] && rm -rf -- "./$d" && echo "$d"
done
exit 0`
)

// stage makes every host hold the release, the same bytes everywhere.
func (x *effects) stage(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	if s.Release.SHA256 == "" {
		return deploy.Evidence{}, &deploy.Error{Code: deploy.CodeInternal, Op: "stage", Message: "the release was not built"}
	}
	sent, err := eachHost(ctx, s.Hosts, func(ctx context.Context, id deploy.HostID) (bool, error) {
		h, err := x.fencedHost(id)
		if err != nil {
			return false, err
		}
		var sent bool
		err = x.patiently(ctx, func(ctx context.Context) error { sent, err = x.stageOn(ctx, h, s); return err })
		return sent, err
	})
	fresh := 0
	for _, was := range sent {
		if was {
			fresh++
		}
	}
	return deploy.Evidence{Note: fmt.Sprintf("%d of %d hosts received it, the others had it", fresh, len(s.Hosts))}, err
}

// stageOn uploads the release unless the host has it; true if it was sent. It
// takes one command on a host that has it, and two on one that does not.
func (x *effects) stageOn(ctx context.Context, h Host, s deploy.Step) (bool, error) {
	out, err := h.Run(ctx, script(haveScript, s.Dir, s.Release.SHA256), nil)
	if err != nil || strings.TrimSpace(string(out)) == "have" {
		return false, err
	}
	r, err := x.engine.Artifacts.Open(s.Release.SHA256)
	if err != nil {
		return false, err
	}
	defer r.Close()
	_, err = h.Run(ctx, script(landScript, s.Dir, s.Release.SHA256, s.Release.Name, s.Release.Kind), r)
	return err == nil, err
}

// prune removes the releases that nothing names any more.
func (x *effects) prune(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	removed, err := eachHost(ctx, s.Hosts, func(ctx context.Context, id deploy.HostID) (string, error) {
		h, err := x.fencedHost(id)
		if err != nil {
			return "", err
		}
		var out []byte
		err = retry(ctx, func(ctx context.Context) error {
			out, err = h.Run(ctx, script(pruneScript, append([]string{s.Dir}, s.Keep...)...), nil)
			return err
		})
		return strings.Join(strings.Fields(string(out)), " "), err
	})
	return deploy.Evidence{Note: strings.TrimSpace("removed " + strings.Join(removed, " "))}, err
}

// fetch makes the mirror hold the commit.
func (x *effects) fetch(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	err := retry(ctx, func(ctx context.Context) error {
		_, err := x.engine.Source.Fetch(ctx, x.settings, s.Release.Commit.SHA, x.tell)
		return err
	})
	return deploy.Evidence{}, err
}

// build makes the release's artifact exist.
func (x *effects) build(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	r, err := x.engine.Source.Build(ctx, x.settings, s.Release, x.tell)
	if err != nil {
		return deploy.Evidence{}, err
	}
	return deploy.Evidence{Release: &r}, nil
}
