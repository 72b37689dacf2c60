package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer/host/posix/sudo"
)

// probe makes the release folder and tries to write there, and tells, a line a
// fact, which programs the host lacks, whether it has ss, and the room there is.
// The folders of the system's tools are often not on a session's PATH.
const probe = `mkdir -p -- "$1" && t=$(mktemp "$1/.check.XXXXXX") && rm -- "$t" || exit 1
for tool in tar sha256sum setsid flock; do
  command -v "$tool" >/dev/null || echo "lacks $tool"
done
PATH=$PATH:/usr/sbin:/sbin
command -v ss >/dev/null && echo "has ss"
df -Pk -- "$1" || :`

// roomLine finds the free KiB in a line of df: total, used, free, share of use.
var roomLine = regexp.MustCompile(`\s[0-9]+\s+[0-9]+\s+([0-9]+)\s+[0-9]+%\s`)

const (
	leastRoom = 100 << 20 // a release may be larger than this
	fairRoom  = 1 << 30
)

// condition is what a host is like.
type condition struct {
	room int64 // bytes free below the release folder; -1: the host does not tell
	ss   bool
}

// host proves that a host runs commands, has the tools, and room for releases.
func (k *checking) host(ctx context.Context, h deploy.Host, dir string) (condition, error) {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	host, err := k.drivers.Host(h)
	if err != nil {
		return condition{}, err
	}
	out, err := host.Run(ctx, []string{"sh", "-c", probe, "ipublish", dir}, nil)
	if err != nil {
		return condition{}, err
	}
	return judged(string(out), dir)
}

// judged reads what the probe printed.
func judged(out, dir string) (condition, error) {
	c := condition{room: -1}
	var lacks []string
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if tool, ok := strings.CutPrefix(line, "lacks "); ok {
			lacks = append(lacks, tool)
		}
		c.ss = c.ss || line == "has ss"
		if m := roomLine.FindStringSubmatch(line + " "); m != nil {
			if kib, err := strconv.ParseInt(m[1], 10, 64); err == nil {
				c.room = kib << 10
			}
		}
	}
	switch {
	case len(lacks) > 0:
		return c, unfit("it lacks %s: install them (packages tar, coreutils and util-linux)", strings.Join(lacks, ", "))
	case c.room >= 0 && c.room < leastRoom:
		return c, unfit("only %s are free below %s: make room for the next release", size(c.room), dir)
	}
	return c, nil
}

func unfit(format string, args ...any) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "check", Message: fmt.Sprintf(format, args...)}
}

// size prints bytes for people.
func size(n int64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// become proves that commands of a host get the rights they are to have, and
// prints what sudo lacks for that.
func (k *checking) become(ctx context.Context, name string, h deploy.Host, programs []string) {
	become, lines, err := k.rights(ctx, h, programs)
	if become == "" {
		return
	}
	k.fact(fmt.Sprintf("%s: host %s: %s works", name, h.ID, become), err)
	k.detail(lines)
}

// detail prints lines that belong to the fact above them.
func (k *checking) detail(lines []string) {
	for _, line := range lines {
		fmt.Fprintf(k.m.Stdout, "        %s\n", line)
	}
}

// rights asks a host's sudo, and gives the lines that it lacks; become is empty
// where the host has none.
func (k *checking) rights(ctx context.Context, h deploy.Host, programs []string) (become string, lines []string, err error) {
	plain, argv, err := sudo.Split(h.Driver.Settings)
	if err != nil || len(argv) == 0 {
		return "", nil, nil // settings that are none were refused at load
	}
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	host, err := k.drivers.Host(deploy.Host{ID: h.ID, Driver: deploy.Section{Driver: h.Driver.Driver, Settings: plain}})
	if err == nil {
		lines, err = sudo.Missing(ctx, host, argv, programs...)
	}
	return strings.Join(argv, " "), lines, err
}

// privileged are the programs that ipublish runs on a host by themselves,
// besides the shell.
func privileged(a deploy.App, e deploy.Environment, h deploy.Host) []string {
	var programs []string
	if a.EnvFile != "" {
		programs = append(programs, "cat")
	}
	on := cmp.Or(setting(e.Balancer, "host"), "local")
	if e.Balancer.Driver == "nginx" && on == string(h.ID) {
		programs = append(programs, "rm", cmp.Or(firstWord(e.Balancer, "test"), "nginx"), cmp.Or(firstWord(e.Balancer, "reload"), "nginx"))
	}
	slices.Sort(programs)
	return slices.Compact(programs)
}

// firstWord is the program of an argv in a section, empty where it is absent.
func firstWord(s deploy.Section, key string) string {
	var m map[string]any
	if json.Unmarshal(s.Settings, &m) != nil {
		return ""
	}
	argv, _ := m[key].([]any)
	if len(argv) == 0 {
		return ""
	}
	word, _ := argv[0].(string)
	return word
}
