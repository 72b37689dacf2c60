package process

import (
	"context"
	"strconv"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/unit"
)

const stop = supervision + `
home=$1 hex=$2 wait=$3 unit=$4
[ -d "$home" ] || say stopped
lock || say busy
record || say damaged
led= held=
! known || led=1
all=
[ "$pid" = 0 ] || all=$(ours)
boss
! have || ! mine || ! look || still || held=1

clock() { read -r up _ </proc/uptime; now=${up%.*}${up#*.}; }

# remaining: those of all, and of what they started since, that still live.
remaining() {
	for m in $all $(ours); do
		status "${m%:*}" && [ "$start" = "${m#*:}" ] && ! dead && printf '%s ' "$m"
	done
}

# gone: costs no process while the leader lives.
gone() {
	[ -z "$led" ] || ! known || dead || return 1
	rest=$(remaining)
	[ -z "$rest" ] && { [ -z "$held" ] || ! look || still; }
}

# patient: the unit gives its processes as long as is given here.
patient() {
	least=$((wait / 100 + 6))
	was=$(sed -n 's/^TimeoutStopSec=//p' "$units/$unit")
	[ "${was:-0}" -lt "$least" ] || return 0
	sed "s/^TimeoutStopSec=.*/TimeoutStopSec=$least/" "$units/$unit" >"$units/$unit.tmp" &&
		mv -f "$units/$unit.tmp" "$units/$unit" && $sd daemon-reload
}

# terminate: one SIGTERM each, for a second one makes many programs give up at once.
terminate() {
	[ -z "$held" ] || { patient; $sd stop --no-block "$unit"; return; }
	[ -z "$led" ] || kill -s TERM -- "-$pid"
	for m in $all; do
		status "${m%:*}" && [ "$start" = "${m#*:}" ] || continue
		[ -n "$led" ] && [ "$group" = "$pid" ] || kill -s TERM "${m%:*}"
	done
} 2>/dev/null

slay() {
	[ -z "$held" ] || $sd kill -s KILL "$unit"
	! known || kill -s KILL -- "-$pid"
	for m in $(remaining); do kill -s KILL "${m%:*}"; done
} 2>/dev/null

# tidy: a unit stays only where it is the one that starts with the host.
tidy() {
	have && mine && look && still || return 0
	$sd reset-failed "$unit"
	[ -L "$units/$wanted.wants/$unit" ] || discard
} >/dev/null 2>&1

if [ -n "$all$held" ] || { [ -n "$led" ] && ! dead; }; then
	line=
	[ ! -s "$home/stopping" ] || IFS= read -r line <"$home/stopping"
	if [ "$line" != "$pid-$born" ]; then
		terminate
		printf '%s\n' "$pid-$born" >"$home/stopping"
	fi
	exec 9>&-
	clock
	term=$((now + wait)) last=$((now + wait + 1000))
	until gone; do
		clock
		[ "$now" -lt "$last" ] || say immortal "$pid"
		[ "$now" -lt "$term" ] || slay
		sleep 0.02 || sleep 1
	done
	lock || say stopped
fi
ended=$pid-$born
if record && { [ "$pid-$born" = "$ended" ] || { [ -n "$held" ] && ! running && look && still; }; }; then
	[ "$pid" = 0 ] || turn
	set --
	for f in instance stopping env env.tmp run run.tmp told; do
		[ ! -e "$home/$f" ] || set -- "$@" "$home/$f"
	done
	[ "$#" = 0 ] || rm -f "$@"
	tidy
fi
say stopped
`

// Stop makes the slot run nothing of ours, in one round trip that lasts until
// the process, its tree and its session are gone and so hold the port no more.
// SIGTERM goes out once, however often Stop is repeated; SIGKILL follows after
// s.Stop. Nothing running is success; a foreign process is never touched.
//
// deploy.CodeTimeout: something outlived SIGKILL for ten seconds.
// deploy.CodeUnavailable: another start of the slot is under way.
// deploy.CodeDrift: the instance record is not ipublish's. Otherwise the host's code.
func Stop(ctx context.Context, h deployer.Host, s deploy.Step) error {
	if err := check(s, "stop"); err != nil {
		return err
	}
	out, err := run(ctx, h, s, "stop", stop, nil, s.Home, hexPort(s.Port), centiseconds(s.Stop.D()), unit.Name(s.Home))
	if err != nil {
		return err
	}
	switch word, rest, _ := verdict(out); word {
	case "stopped":
		return nil
	case "busy":
		return fault(s, "stop", deploy.CodeUnavailable, "another start or stop of this slot is under way")
	case "damaged":
		return damaged(s, "stop")
	case "immortal":
		return fault(s, "stop", deploy.CodeTimeout, "process "+rest+" is still there ten seconds after SIGKILL: "+
			"it hangs in the kernel, look at the host's disks and mounts")
	default:
		return fault(s, "stop", deploy.CodeInternal, "the stop script answered "+strconv.Quote(printable(string(out), 200)))
	}
}

// centiseconds is the unit of /proc/uptime, rounded up.
func centiseconds(d time.Duration) string {
	const unit = 10 * time.Millisecond
	return strconv.FormatInt(int64((d+unit-1)/unit), 10)
}
