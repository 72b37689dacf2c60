package statusfile

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
)

// guardScript begins both changes: messages in English, the folder can be
// looked into (else "absent" would be a guess), and nothing but plain files in
// the two places.
const guardScript = `LC_ALL=C
export LC_ALL
path=$1 kept=$2 dir=${1%/*}
ls -d -- "${dir:-/}/." >/dev/null || exit 1
for f in "$path" "$kept"; do
	if [ -L "$f" ] || { [ -e "$f" ] && [ ! -f "$f" ]; }; then
		echo "odd $f"
		exit 0
	fi
done
`

// syncScript makes a rename last and tells that there was one.
const syncScript = `sync "${dir:-/}" 2>/dev/null || sync
echo changed
`

// outScript takes path and kept. A rename that an interrupted run, still alive on
// the host, did meanwhile is as good as one's own; so in inScript. With -T a
// link that takes a name meanwhile is replaced, and not followed.
const outScript = guardScript + `if [ ! -e "$path" ]; then
	echo same
	exit 0
fi
mv -fT -- "$path" "$kept" || [ ! -e "$path" ] || exit 1
` + syncScript

// inScript takes path, kept and the content of a file that never was. That is
// written within a folder of one's own, by no name that the folder's owner could
// make a link; what a killed run left of it is replaced.
const inScript = guardScript + `if [ -e "$path" ]; then
	rm -f -- "$kept"
	echo same
	exit 0
fi
if [ ! -e "$kept" ]; then
	work=${kept##*/}-new
	cd -P -- "${dir:-/}" && at=$(pwd -P) || exit 1
	rm -rf -- "./$work" && mkdir -m 700 -- "./$work" && cd -P -- "./$work" || exit 1
	[ "$(pwd -P)" = "${at%/}/$work" ] && [ -O . ] || { echo "$work was changed meanwhile" >&2; exit 1; }
	printf '%s' "$3" >new && chmod 0644 new || exit 1
	sync new 2>/dev/null || sync
	mv -fT -- new "../${path##*/}" || [ -f "$path" ] || exit 1
	cd -P .. && rm -rf -- "./$work" || exit 1
else
	mv -fT -- "$kept" "$path" || [ -f "$path" ] || exit 1
fi
` + syncScript

// takeAway makes the file be absent, in one rename; changed: it was there.
func (s *settings) takeAway(ctx context.Context, h deployer.Host, p place) (changed bool, err error) {
	out, err := h.Run(ctx, []string{"sh", "-c", outScript, "ipublish", p.path, p.kept}, nil)
	if why, ok := complaint(err); ok {
		return false, &deploy.Error{Code: deploy.CodeFailed, Err: err, Message: fmt.Sprintf(
			"%s: %s could not be taken away: %s; see that the user of ipublish may write in %s, and that it is not read-only", p.host, p.path, why, path.Dir(p.path))}
	}
	return read(p, out, err)
}

// bringBack makes the file be there, in one rename; changed: it was absent.
func (s *settings) bringBack(ctx context.Context, h deployer.Host, p place) (changed bool, err error) {
	out, err := h.Run(ctx, []string{"sh", "-c", inScript, "ipublish", p.path, p.kept, *s.Content}, nil)
	if why, ok := complaint(err); ok {
		return false, &deploy.Error{Code: deploy.CodeFailed, Err: err, Message: fmt.Sprintf(
			"%s: %s could not be put in place: %s; see that the user of ipublish may write in %s, and that its disk has room", p.host, p.path, why, path.Dir(p.path))}
	}
	return read(p, out, err)
}

// read understands what the scripts say.
func read(p place, out []byte, err error) (changed bool, _ error) {
	said := strings.TrimSpace(string(out))
	odd, isOdd := strings.CutPrefix(said, "odd ")
	switch {
	case err != nil:
		return false, err
	case isOdd:
		return false, &deploy.Error{Code: deploy.CodeRefused, Message: fmt.Sprintf(
			"%s: %s is a link or a folder, which ipublish does not touch: give the key path the status file itself, and remove what else stands there", p.host, odd)}
	case said != "changed" && said != "same":
		return false, &deploy.Error{Code: deploy.CodeUnavailable, Message: fmt.Sprintf("%s: what became of %s cannot be told; the host answered %q", p.host, p.path, said)}
	}
	return said == "changed", nil
}

// complaint is what a command itself said before it ended with an error, in one
// line; not what kept it from running.
func complaint(err error) (string, bool) {
	var outer *deploy.Error
	if !errors.As(err, &outer) {
		return "", false
	}
	exit, ok := outer.Err.(*deployer.ExitError)
	if !ok {
		return "", false
	}
	lines := strings.Split(strings.TrimSpace(exit.Stderr), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return strings.ToValidUTF8(last, ""), true
	}
	return exit.Error(), true
}
