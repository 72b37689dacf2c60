package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
)

// kernel are the facts that need nothing of a slot.
const kernel = `
set -u
export LC_ALL=C
IFS= read -r thisboot </proc/sys/kernel/random/boot_id

nl='
'

say() { printf '%s\n' "$*"; exit 0; }

# lines: text is the whole lines of standard input.
lines() {
	text=
	while IFS= read -r line; do text=$text$line$nl; done
}

# status PID: what the kernel knows of it; false without such a process.
status() {
	line=
	{ while IFS= read -r part || [ -n "$part" ]; do line="$line$part "; done <"/proc/$1/stat"; } 2>/dev/null
	case $line in *') '*) ;; *) return 1 ;; esac
	set -- ${line##*') '}
	state=$1 group=$3 threads=${18} start=${20}
}
`

// facts are the functions that the scripts share. home and hex (the port as
// four upper-case hex digits) are set by the script that follows.
const facts = kernel + `
# dead: the process that status saw has let go of everything.
dead() { case $state in [ZX]) [ "$threads" -le 1 ] ;; *) false ;; esac; }

# record: the instance on record; pid is 0 without one. False if it is damaged.
record() {
	pid=0 born= boot= key= sha= port= dir=
	[ -s "$home/instance" ] || return 0
	while IFS= read -r line; do
		case $line in
		pid=*) pid=${line#*=} ;;
		start=*) born=${line#*=} ;;
		boot=*) boot=${line#*=} ;;
		key=*) key=${line#*=} ;;
		sha256=*) sha=${line#*=} ;;
		port=*) port=${line#*=} ;;
		dir=*) dir=${line#*=} ;;
		'ipublish-instance 1') ;;
		*) return 1 ;;
		esac
	done <"$home/instance"
	case $pid in '' | *[!0-9]*) return 1 ;; esac
	case $born in '' | *[!0-9]*) return 1 ;; esac
}

# known: the recorded process exists, be it dying.
known() { [ "$pid" -gt 1 ] && [ "$boot" = "$thisboot" ] && status "$pid" && [ "$start" = "$born" ]; }

# running: it is alive.
running() { known && case $state in [ZX]) false ;; esac; }

# members PID: PID:START of the living processes of its tree and of its session.
members() {
	cat /proc/[0-9]*/stat 2>/dev/null | awk -v leader="$1" '
		{ p = $1; sub(/^.*\) /, ""); if ($1 == "Z" || $1 == "X") next; up[p] = $2; sid[p] = $4; born[p] = $20 }
		END {
			for (p in up) {
				q = p
				for (n = 0; n < 64 && q != leader && (q in up); n++) q = up[q]
				if (sid[p] == leader || q == leader) print p ":" born[p]
			}
		}'
}

# ours: the members of the recorded instance. Once its leader is gone, the
# number of its session proves nothing: only the instance's mark does.
ours() {
	[ "$pid" -gt 1 ] && [ "$boot" = "$thisboot" ] || return 0
	led=
	! known || led=1
	for m in $(members "$pid"); do
		[ -n "$led" ] || marked "${m%:*}" || continue
		printf '%s ' "$m"
	done
}

marked() {
	tr '\000' '\n' 2>/dev/null <"/proc/$1/environ" | grep -qxF "IPUBLISH_INSTANCE=$pid-$born"
} 2>/dev/null

# listeners: inodes is the sockets that listen on the port. The table of IPv6 is
# not read where it is empty: the kernel takes a millisecond to see that it is.
listeners() {
	inodes=
	listening /proc/net/tcp
	line=
	{ read -r _ _ line </proc/net/sockstat6; } 2>/dev/null
	[ "$line" = 0 ] || listening /proc/net/tcp6
	missing=$inodes
}

# listening TABLE: adds those that a table tells of. The kernel lists listening
# sockets first, so that a host's connections are not read.
listening() {
	while IFS= read -r line; do
		case $line in
		*": "*":$hex "*":0000 0A "*) set -- $line; inodes="$inodes ${10}" ;;
		*' 0A '* | *' 03 '* | *' st '*) ;;
		*': '*:*' '*:*' '*) return ;;
		esac
	done <"$1"
} 2>/dev/null

# holds PID[:START]...: owner holds the last of the missing sockets, none is missing.
holds() {
	for m in "$@"; do
		fds=$(ls -ln "/proc/${m%:*}/fd" 2>/dev/null)
		left=
		for i in $missing; do
			case $fds in *"socket:[$i]"*) owner=${m%:*} ;; *) left="$left $i" ;; esac
		done
		missing=$left
		[ -n "$missing" ] || return 0
	done
	return 1
}

# stranger: owner is who holds a missing socket: -1 if that cannot be seen, 0 if
# it was closed meanwhile.
stranger() {
	owner=$(ls -ln /proc/[0-9]*/fd 2>/dev/null | awk -v want="$missing" '
		BEGIN { n = split(want, w, " "); for (i = 1; i <= n; i++) wanted["socket:[" w[i] "]"] }
		/^\/proc\// { split($0, part, "/"); next }
		($NF in wanted) && !found { print part[3]; found = 1 }')
	[ -z "$owner" ] || return 0
	before=$missing owner=0
	listeners
	for i in $before; do
		for j in $inodes; do [ "$i" != "$j" ] || owner=-1; done
	done
}

# command_of PID: its command line, for people.
command_of() {
	[ "$1" -gt 0 ] || return 0
	c=$(tr '\000-\037\177' ' ' 2>/dev/null <"/proc/$1/cmdline" | cut -c1-300)
	[ -n "$c" ] || IFS= read -r c <"/proc/$1/comm"
	printf '%s' "$c"
} 2>/dev/null

# lastlog BYTES: the end of what was logged since the last start, which marks it.
lastlog() {
	[ ! -r "$home/log" ] || tail -c "$1" "$home/log" |
		awk '/^=== ipublish starts / { b = ""; next } { b = b $0 "\n" } END { printf "%s", b }'
}

# turn: a log that grew long is put aside.
turn() {
	[ ! -f "$home/log" ] || [ "$(wc -c <"$home/log")" -le 10485760 ] || mv -f "$home/log" "$home/log.1"
}

# lock: the slot is this script's and its children's until descriptor 9 closes.
lock() {
	exec 9>>"$home/lock"
	command -v flock >/dev/null 2>&1 || return 0
	tries=0
	until flock -n 9; do
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || return 1
		sleep 0.05 || sleep 1
	done
}
`

// run runs a script; errors name the operation and the slot.
func run(ctx context.Context, h deployer.Host, s deploy.Step, op, script string, in io.Reader, args ...string) ([]byte, error) {
	out, err := h.Run(ctx, deployer.Script(facts+script, args...), in)
	if err == nil {
		return out, nil
	}
	e := fault(s, op, deploy.CodeOf(err), "")
	e.Err = err
	var exit *deployer.ExitError
	if errors.As(err, &exit) {
		e.Message = "the host could not " + op + " the slot: " + printable(exit.Error(), 300)
	}
	return nil, e
}

func fault(s deploy.Step, op string, code deploy.Code, message string) *deploy.Error {
	return &deploy.Error{Code: code, Op: op, Subject: s.Subject(), Message: message}
}

// check refuses a step whose paths or port the scripts could misread.
func check(s deploy.Step, op string) error {
	for name, path := range map[string]string{"home": s.Home, "dir": s.Dir} {
		if path == "" && (name == "dir" && op != "start") {
			continue
		}
		if !strings.HasPrefix(path, "/") || strings.ContainsFunc(path, control) {
			return fault(s, op, deploy.CodeInvalid, "the step's "+name+" "+strconv.Quote(path)+" is not an absolute path without control characters")
		}
	}
	if s.Port < 1 || s.Port > 65535 {
		return fault(s, op, deploy.CodeInvalid, "the slot's port "+strconv.Itoa(s.Port)+" is not a port: it is 1 to 65535")
	}
	return nil
}

func hexPort(port int) string {
	h := strings.ToUpper(strconv.FormatInt(int64(port), 16))
	return strings.Repeat("0", 4-len(h)) + h
}

func control(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }

// printable keeps at most the last limit bytes of a program's output, whole
// lines as far as possible, without control characters and broken UTF-8.
func printable(text string, limit int) string {
	if len(text) > limit {
		text = text[len(text)-limit:]
		if _, after, ok := strings.Cut(text, "\n"); ok && after != "" {
			text = after
		}
	}
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && control(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// verdict splits a script's answer into its first word, the rest of that line,
// and what follows.
func verdict(out []byte) (word, rest, more string) {
	head, tail, _ := bytes.Cut(out, []byte("\n"))
	word, rest, _ = strings.Cut(string(head), " ")
	return word, rest, string(tail)
}
