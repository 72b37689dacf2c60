package script

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/process"
)

// survey tells of a host what Advise judges: $1 the number of programs, then
// these, then the folders to be written to, then, behind --, files to be read:
// "absent PROGRAM", "plain PROGRAM", "nofolder DIR", "readonly DIR", and last
// "text SIZE PATH" with the bytes of each file that is text and not too large.
const survey = `
export LC_ALL=C
n=$1
shift
while [ "$n" -gt 0 ]; do
	n=$((n - 1))
	case $1 in
	*/*) if [ ! -f "$1" ]; then printf 'absent %s\n' "$1"; elif [ ! -x "$1" ]; then printf 'plain %s\n' "$1"; fi ;;
	*) command -v "$1" >/dev/null || printf 'absent %s\n' "$1" ;;
	esac
	shift
done
while [ "$1" != -- ]; do
	if [ ! -d "$1" ]; then printf 'nofolder %s\n' "$1"; elif [ ! -w "$1" ]; then printf 'readonly %s\n' "$1"; fi
	shift
done
shift
for file in "$@"; do
	[ -f "$file" ] && [ -r "$file" ] || continue
	size=$(($(wc -c <"$file")))
	[ "$size" -gt 0 ] && [ "$size" -le 262144 ] && grep -qI . "$file" || continue
	printf 'text %s %s\n' "$size" "$file"
	cat "$file"
done
`

// Advise implements deployer.Adviser: programs that cannot be run, places that
// cannot be written to, and start and stop programs that do what is ipublish's to
// do (who gets traffic, waiting) or kill without waiting. It reads the programs
// where they are shell scripts, and what they run or read in, one level deep.
func (d driver) Advise(ctx context.Context, h deployer.Host, s deploy.Step) []string {
	set := d.settings.expand(s)
	if process.Check(s, "check") != nil {
		return nil
	}
	found, texts, err := set.survey(ctx, h, set.texts()...)
	if err != nil {
		return nil
	}
	read := reader{texts: texts}
	if more := read.mentioned(set); len(more) > 0 {
		if _, followed, err := set.survey(ctx, h, more...); err == nil {
			read.add(followed)
		}
	}
	return append(found, read.advice(set)...)
}

// texts are the words of start and stop that may be scripts.
func (s settings) texts() []string {
	var all []string
	for _, word := range append(append([]string{}, s.Start...), s.Stop...) {
		if strings.HasPrefix(word, "/") {
			all = append(all, word)
		}
	}
	return all
}

func (s settings) survey(ctx context.Context, h deployer.Host, files ...string) (found []string, texts map[string]string, err error) {
	programs := []string{s.Start[0]}
	if len(s.Stop) > 0 {
		programs = append(programs, s.Stop[0])
	}
	argv := append([]string{"sh", "-c", survey, "sh", strconv.Itoa(len(programs))}, programs...)
	for _, i := range s.installs {
		argv = append(argv, path.Dir(i.To))
	}
	out, err := h.Run(ctx, append(append(argv, "--"), files...), nil)
	if err != nil {
		return nil, nil, err
	}
	return surveyed(out)
}

// surveyed reads the answer of survey; deploy.CodeInternal if it is cut.
func surveyed(out []byte) (found []string, texts map[string]string, err error) {
	texts = map[string]string{}
	for len(out) > 0 {
		line, rest, _ := bytes.Cut(out, []byte("\n"))
		word, what, _ := strings.Cut(string(line), " ")
		if word != "text" {
			found, out = append(found, obstacle(word, what)), rest
			continue
		}
		length, name, _ := strings.Cut(what, " ")
		size, err := strconv.Atoi(length)
		if err != nil || size > len(rest) {
			return nil, nil, &deploy.Error{Code: deploy.CodeInternal, Op: "check", Subject: name, Message: "the host's answer is cut"}
		}
		texts[name], out = string(rest[:size]), rest[size:]
	}
	return found, texts, nil
}

func obstacle(word, what string) string {
	switch word {
	case "absent":
		return fmt.Sprintf("runtime.script: there is no program %s on the host: correct its path, or install it", what)
	case "plain":
		return fmt.Sprintf("runtime.script: the deploy user may not execute %s: let it with `chmod +x %s`, or give the host become: [sudo, -n]", what, what)
	case "nofolder":
		return fmt.Sprintf("runtime.script.install.to: there is no folder %s on the host: make it, or correct the path", what)
	default:
		return fmt.Sprintf("runtime.script.install.to: the deploy user cannot write into %s: let it, or give the host become: [sudo, -n]", what)
	}
}
