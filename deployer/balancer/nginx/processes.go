package nginx

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
)

// processesScript prints what /proc says of nginx: $1 is its pid file, the
// further arguments are ports in hexadecimal. Lines:
//
//	uptime SECONDS.HUNDREDTHS
//	master PID START TITLE      absent when it does not run
//	child PID START TITLE       START in clock ticks since boot
//	tcp REMOTE INODE            a connection to one of the ports
//	socket PID INODE            a socket of a child, where they may be read
const processesScript = `
exec 2>/dev/null
read -r up rest </proc/uptime && echo "uptime $up"
read -r master <"$1" || [ -n "$master" ] || exit 0
shift
case $master in '' | *[!0-9]*) exit 0 ;; esac
show() {
	line=
	read -r line <"/proc/$2/stat"
	case $line in *') '*) ;; *) return 1 ;; esac
	fields=${line##*) }
	kind=$1 pid=$2
	set -- $fields
	case $1 in Z | X) return 1 ;; esac
	title=
	read -r title <"/proc/$pid/cmdline"
	echo "$kind $pid ${20} $title"
}
show master "$master" || exit 0
children=
for f in /proc/[0-9]*/stat; do
	line=
	read -r line <"$f"
	fields=${line##*) }
	case $fields in ?" $master "*) children="$children ${line%% *}" ;; esac
done
for c in $children; do show child "$c"; done
[ $# -gt 0 ] || exit 0
for t in tcp tcp6; do
	awk -v ports=" $* " '($4 == "01" || $4 == "02") && index(ports, " " substr($3, index($3, ":") + 1) " ") { print "tcp", $3, $10 }' "/proc/$master/net/$t"
done
for c in $children; do
	ls -l "/proc/$c/fd" | sed -n "s/.* socket:\[\([0-9]*\)\]\$/socket $c \1/p"
done
exit 0
`

// ticksPerSecond is Linux's USER_HZ, the unit of start times in /proc.
const ticksPerSecond = 100

// A reload starts the new workers, waits 100 ms, and only then asks the old
// ones to quit.
const (
	cohortGap    = ticksPerSecond / 10 // workers of two configurations start at least so far apart
	settledAfter = 2 * ticksPerSecond  // that long after the newest start a reload is through
)

// process is one process: its pid alone may be taken again by another.
type process struct {
	PID   int
	Start int64 // clock ticks since boot
}

// processes is nginx as /proc shows it. Without a master nginx does not run.
type processes struct {
	Master    process
	Accepting []process // workers that take new connections, oldest first
	Leaving   []process // workers that only finish what they have
	Uptime    int64     // when it was seen, in clock ticks since boot
	conns     []conn
	sockets   map[int]map[string]bool // per worker, of those whose sockets could be read
}

func (p processes) running() bool { return p.Master.PID != 0 }

// settled reports whether no reload is under way: all accepting workers have one configuration.
func (p processes) settled() bool {
	if len(p.Accepting) == 0 {
		return false
	}
	if p.Uptime-p.Accepting[len(p.Accepting)-1].Start >= settledAfter {
		return true
	}
	for i := 1; i < len(p.Accepting); i++ {
		if p.Accepting[i].Start-p.Accepting[i-1].Start >= cohortGap {
			return false
		}
	}
	return true
}

// replaced reports whether every accepting worker is younger than those of before.
func (p processes) replaced(before processes) bool {
	if len(p.Accepting) == 0 || p.Master != before.Master {
		return false
	}
	return !slices.ContainsFunc(p.Accepting, func(w process) bool { return slices.Contains(before.Accepting, w) })
}

// unchanged reports whether only workers of before accept: no reload came through since.
func (p processes) unchanged(before processes) bool {
	if len(p.Accepting) == 0 || p.Master != before.Master {
		return false
	}
	return !slices.ContainsFunc(p.Accepting, func(w process) bool { return !slices.Contains(before.Accepting, w) })
}

// look reads nginx's processes and their connections to the ports of addrs.
// deploy.CodeUnavailable when nginx does not run.
func look(ctx context.Context, h deployer.Host, pidFile string, addrs []string) (processes, error) {
	argv := append([]string{"sh", "-c", processesScript, "ipublish", pidFile}, hexPorts(addrs)...)
	out, err := h.Run(ctx, argv, nil)
	if err != nil {
		return processes{}, err
	}
	p := parseProcesses(string(out))
	if !p.running() {
		return p, &deploy.Error{
			Code: deploy.CodeUnavailable, Op: "look for", Subject: "nginx",
			Message: fmt.Sprintf("nginx is not running: %s names no nginx master process; start nginx, or give the key pid the path of its pid file", pidFile),
		}
	}
	return p, nil
}

func parseProcesses(out string) processes {
	p := processes{sockets: map[int]map[string]bool{}}
	for line := range strings.Lines(out) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		words := strings.Fields(rest)
		switch {
		case kind == "uptime" && len(words) == 1:
			p.Uptime = ticks(words[0])
		case kind == "master" && strings.Contains(rest, "master process"):
			p.Master = parseProcess(words)
		case kind == "child" && strings.Contains(rest, "worker process"):
			p.addWorker(words, rest)
		case kind == "tcp" && len(words) == 2:
			p.addConn(words[0], words[1])
		case kind == "socket" && len(words) == 2:
			p.addSocket(words[0], words[1])
		}
	}
	slices.SortFunc(p.Accepting, func(a, b process) int { return int(a.Start - b.Start) })
	return p
}

func (p *processes) addWorker(words []string, title string) {
	w := parseProcess(words)
	if strings.Contains(title, "shutting down") {
		p.Leaving = append(p.Leaving, w)
		return
	}
	p.Accepting = append(p.Accepting, w)
}

func (p *processes) addSocket(pid, inode string) {
	n, _ := strconv.Atoi(pid)
	if p.sockets[n] == nil {
		p.sockets[n] = map[string]bool{}
	}
	p.sockets[n][inode] = true
}

func parseProcess(words []string) process {
	if len(words) < 2 {
		return process{}
	}
	pid, _ := strconv.Atoi(words[0])
	start, _ := strconv.ParseInt(words[1], 10, 64)
	return process{PID: pid, Start: start}
}

// ticks turns /proc/uptime's seconds with two decimals into clock ticks.
func ticks(s string) int64 {
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return int64(seconds * ticksPerSecond)
}
