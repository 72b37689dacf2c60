package sudo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
)

// Split takes become out of a host's settings: plain are the settings of the
// same host without it. deploy.CodeInvalid if they are no such settings.
func Split(settings json.RawMessage) (plain json.RawMessage, become []string, err error) {
	keys := map[string]json.RawMessage{}
	if len(settings) > 0 {
		if err := json.Unmarshal(settings, &keys); err != nil {
			return nil, nil, fault(err, "the settings of the host are not a list of keys with values")
		}
	}
	if raw, ok := keys["become"]; ok {
		if err := json.Unmarshal(raw, &become); err != nil {
			return nil, nil, fault(err, "become is not a list of words, such as [sudo, -n]")
		}
		delete(keys, "become")
	}
	plain, err = json.Marshal(keys)
	return plain, become, err
}

// Missing asks on plain, a host without become, whether become lets the deploy
// user do what ipublish does through it: run sh and /bin/sh, and besides them
// the programs, what the environment runs without a shell. err is nil if it
// does, and without become. Otherwise it is deploy.CodeInvalid with what stands
// in the way, and lines are what the host's sudoers lacks, comment first, nil
// where sudoers is not the cause or become's user cannot be told; or err has the
// host's code. It blocks for a few commands on the host.
func Missing(ctx context.Context, plain deployer.Host, become []string, programs ...string) (lines []string, err error) {
	if len(become) == 0 {
		return nil, nil
	}
	for _, argv := range probes(become, programs) {
		_, err := plain.Run(ctx, argv, nil)
		if err == nil {
			continue
		}
		var exit *deployer.ExitError
		if !errors.As(err, &exit) {
			return nil, err
		}
		s := judge(exit, argv)
		if s == unheard {
			continue
		}
		return explain(ctx, plain, request{become: become, programs: programs, state: s, said: exit.Stderr})
	}
	return nil, nil
}

// probes are the commands that show what become does for a bot: without a
// terminal and remembered passwords, with sudo's messages in English. sh is run;
// other programs may do harm, so that sudo is only asked about them.
func probes(become, programs []string) [][]string {
	alone := []string{"env", "LC_ALL=C", "LANGUAGE=C", "setsid", "-w"}
	if !isSudo(become) {
		return [][]string{slices.Concat(alone, become, []string{"sh", "-c", "exit"}), slices.Concat(alone, become, []string{"/bin/sh", "-c", "exit"})}
	}
	fresh := slices.Concat(alone, become[:1], []string{"-k", "-n"})
	all := [][]string{slices.Concat(fresh, become[1:], []string{"sh", "-c", "exit"}), slices.Concat(fresh, become[1:], []string{"/bin/sh", "-c", "exit"})}
	for _, program := range programs {
		all = append(all, slices.Concat(fresh, []string{"-l"}, become[1:], []string{program}))
	}
	return all
}

func isSudo(become []string) bool { return path.Base(become[0]) == "sudo" }

// request is what an answer has to be explained for.
type request struct {
	become, programs []string
	state            state
	said             string
}

// who prints the deploy user's name and the programs' paths, one a line. A user's
// PATH often lacks the folders that sudo's own has.
const who = `
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
id -un
echo /bin/sh
command -v sh
for program in "$@"; do command -v "$program" || :; done
`

func explain(ctx context.Context, plain deployer.Host, r request) ([]string, error) {
	out, err := plain.Run(ctx, append([]string{"sh", "-c", who, "sh"}, r.programs...), nil)
	if err != nil {
		return nil, err
	}
	user, paths, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if !isSudo(r.become) || !r.state.bySudoers() {
		return nil, r.fault(user)
	}
	as, ok := target(r.become[1:])
	if !ok {
		return nil, fault(nil, fmt.Sprintf("become: sudo does not let %s run what ipublish needs, and it cannot be told from %q which user it is to become: write it as [sudo, -n, -u, NAME]", user, strings.Join(r.become, " ")))
	}
	return r.lines(user, as, strings.Split(paths, "\n")), r.fault(user)
}

// lines are for a file below /etc/sudoers.d.
func (r request) lines(user, as string, paths []string) []string {
	slices.Sort(paths)
	for i, p := range paths {
		paths[i] = escaped(p)
	}
	lines := []string{"# who may run a shell may do everything: this makes " + user + " as powerful as " + as}
	if r.state == wantsTerminal {
		lines = append(lines, "Defaults:"+escaped(user)+" !requiretty")
	}
	return append(lines, escaped(user)+" ALL=("+runas(as)+") NOPASSWD: "+strings.Join(slices.Compact(paths), ", "))
}

// runas is a user of a sudoers rule: a name, or #1000, where the sign stays.
func runas(user string) string {
	if id, ok := strings.CutPrefix(user, "#"); ok {
		return "#" + escaped(id)
	}
	return escaped(user)
}

// escaped is text as one word of a sudoers file.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(`\,:= "!()#`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func fault(cause error, message string) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "check", Subject: "become", Message: message, Err: cause}
}
