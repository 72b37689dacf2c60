package script

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/process"
)

const stop = process.Account + sight + launching + `
launch=$1 enter=$2 keep=$3 home=$4 hex=$5 wait=$6 user=$7 pidfile=$8 workdir=$9
shift 9
env=$(cat)
case $env in *'# end of env') ;; *) say cut ;; esac

alive() { status "${1%:*}" && [ "$start" = "${1#*:}" ] && ! dead; }

# signal SIGNAL PID:START: to this very process.
signal() {
	alive "$2" || return 0
	kill -s "$1" "${2%:*}" 2>/dev/null || ! alive "$2" || say forbidden "${2%:*}"
}

# ask PID:START...: one SIGTERM each, however often the stop is repeated, for a
# second one makes many programs give up at once.
ask() {
	for m in "$@"; do
		! grep -qxF "$m" "$home/stopping" 2>/dev/null || continue
		signal TERM "$m"
		printf '%s\n' "$m" >>"$home/stopping"
	done
}

# handed: the stop program has its turn, once for each process.
handed() {
	program ending
	[ "$prog" = 0 ] || [ "$progkey" != "$app:$appborn" ] || return 0
	account
	heading stops
	[ -s "$home/env" ] || furnish
	launching ending "$app:$appborn" - "$workdir" "$@" || exit 1
}

# gone: nothing is left and the port is closed, or a stranger's for good.
gone() {
	for m in $targets $helpers; do
		! alive "$m" || return 1
	done
	[ -z "$turn" ] || ended ending || return 1
	listeners
	missing=$inodes owner=0
	[ -n "$missing" ] || return 0
	if holds $heirs; then
		for m in $heirs; do
			case $m in "$owner:"*) targets="$targets $m"; ask "$m" ;; esac
		done
		return 1
	fi
	[ "$beside" != 0 ] || [ "$now" -ge "$slay" ]
}

# recall: the stop program's turn is over; what it left is told to end.
recall() {
	turn=
	ask $targets
	[ "$slay" -ge $((now + 200)) ] || slay=$((now + 200))
}

# fell: SIGKILL, now that the time is over.
fell() {
	for m in $targets $helpers; do signal KILL "$m"; done
	program ending
	! working || kill -s KILL -- "-$group" 2>/dev/null
}

opening
lock || say busy
look
! served || [ "$app" -gt 0 ] || strange
[ "$lost" != unreadable ] || say unreadable

targets= helpers= heirs= turn= beside=0
if [ "$app" -gt 0 ]; then
	targets=$app:$appborn heirs=$(members "$app")
	! served || beside=$owner
fi
! running || [ "$pid" = "$app" ] || targets="$targets $pid:$born"
program starting
! working || [ "$prog" = "$app" ] || helpers=$prog:$progborn

if [ -n "$targets$helpers" ]; then
	ask $helpers
	if [ "$app" -gt 0 ] && [ $# -gt 0 ]; then turn=1; handed "$@"; else ask $targets; fi
	exec 9>&-
	clock
	term=$((now + wait)) slay=$((now + wait))
	until gone; do
		clock
		if [ -n "$turn" ]; then
			if ended ending; then
				case $rc in 0 | '') ;; *) recall ;; esac
			fi
			if [ -n "$turn" ] && [ "$now" -ge "$term" ]; then
				recall
				if working; then
					helpers="$helpers $prog:$progborn"
					kill -s TERM -- "-$group" 2>/dev/null
				fi
			fi
		fi
		[ "$now" -lt $((slay + 1000)) ] || say immortal $targets
		[ "$now" -lt "$slay" ] || [ -n "$turn" ] || fell
		pause
	done
	lock || say busy
	listeners
	owner=0 missing=$inodes
	[ -z "$missing" ] || stranger
	if [ "$owner" != 0 ]; then
		word=again
		[ "$beside" = 0 ] || word=beside
		printf 'foreign %s\n%s\n%s\n%s\n' "$word" "$app" "$owner" "$(command_of "$owner")"
		exit 0
	fi
fi
record && running || rm -f "$home/instance"
rm -f "$home/stopping" "$home/starting" "$home/starting.ended" "$home/ending" "$home/ending.ended" "$home/env" "$home/env.tmp"
line=
{ read -r line _ <"$pidfile"; } 2>/dev/null
[ "$app" = 0 ] || [ "$line" != "$app" ] || rm -f -- "$pidfile" 2>/dev/null
say stopped
`

// Stop implements deployer.Runtime, in one round trip that lasts until the
// application's process is gone and the port is closed, and the stop program has
// ended. An application that ipublish did not start is stopped too, if the pid
// file names it. Nothing running and nobody on the port is success.
//
// deploy.CodeForeign: the port is served and not by the process that the pid file
// names. deploy.CodeTimeout: something outlived SIGKILL for ten seconds.
// deploy.CodeUnavailable: another start or stop of the slot is under way.
// deploy.CodeInvalid: the deploy user may not signal the process or read the pid
// file. deploy.CodeDrift: the record is not ipublish's. Otherwise the host's code.
func (d driver) Stop(ctx context.Context, h deployer.Host, s deploy.Step) error {
	if err := process.Check(s, "stop"); err != nil {
		return err
	}
	set := d.settings.expand(s)
	env, err := process.EnvFile(s, process.Env(s))
	if err != nil {
		return err
	}
	folder := "/"
	if len(set.Stop) > 0 {
		folder = set.folder(set.Stop)
	}
	args := append([]string{process.Facts + launch, enter, keep, s.Home, process.Hex(s.Port), process.Centiseconds(s.Stop.D()),
		set.RunAs, set.PIDFile, folder}, set.Stop...)
	out, err := process.Run(ctx, h, s, "stop", stop, strings.NewReader(env), args...)
	if err != nil {
		return err
	}
	return stopped(s, set, out)
}

// stopped turns the stop script's answer into Stop's.
func stopped(s deploy.Step, set settings, out []byte) error {
	fail := func(code deploy.Code, format string, args ...any) error {
		return process.Fault(s, "stop", code, fmt.Sprintf(format, args...))
	}
	switch word, rest, more := process.Verdict(out); word {
	case "stopped":
		return nil
	case "foreign":
		return foreign(s, set, "stop", rest, more)
	case "busy", "cut":
		return fail(deploy.CodeUnavailable, "another start or stop of this slot is under way, or the connection broke")
	case "damaged":
		return process.Damaged(s, "stop")
	case "unreadable":
		return fail(deploy.CodeInvalid, "pid file %s cannot be read: let the deploy user read it, or give the host become: [sudo, -n]", set.PIDFile)
	case "forbidden":
		return fail(deploy.CodeInvalid, "process %s is another user's, and the deploy user may not stop it: give the host become: [sudo, -n]", rest)
	case "immortal":
		pid, _, _ := strings.Cut(rest, ":")
		return fail(deploy.CodeTimeout, "process %s is still there ten seconds after SIGKILL: it hangs in the kernel, look at the host's disks and mounts", pid)
	case "nobody", "notroot", "setpriv", "closed":
		e := deploy.AsError(process.Barred(s, set.RunAs, word, process.Printable(strings.TrimSpace(rest+"\n"+more), 300)))
		e.Op = "stop"
		return e
	default:
		return fail(deploy.CodeInternal, "the stop script answered %s", strconv.Quote(process.Printable(string(out), 200)))
	}
}
