package systemd

import (
	"context"
	"fmt"
	"strconv"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/process"
)

const stop = `
home=$1 hex=$2 unit=$3 manager=$4 rolling=$5 wait=$6
` + ask + `
# begun: a start has given systemd its job, and only waits for its end.
begun() { look && { [ "$active" = activating ] || ! idle; }; }

if [ -d "$home" ] && command -v flock >/dev/null 2>&1; then
	exec 9>>"$home/lock"
	tries=0
	until flock -n 9 || begun; do
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || say busy
		sleep 0.05 || sleep 1
	done
fi
recall || say damaged
look || say deaf "$($sd show -p Version 2>&1)"
if session; then say session; fi
! still || say stopped
case $sub in auto-restart*) ;; *) ourown || say stopped ;; esac

clock() { read -r up _ </proc/uptime; now=${up%.*}${up#*.}; }

# gone: the unit is, and so is every process that it had.
gone() {
	group=$cgroup
	look || return 1
	cgroup=${cgroup:-$group}
	still && rest=$(within) && [ -z "$rest" ]
}

slay() {
	$sd kill -s KILL "$unit"
	! still || for p in $(within); do kill -s KILL "$p"; done
} >/dev/null 2>&1

failed=$($sd stop --no-block "$unit" 2>&1) || say refused "$failed"
exec 9>&-
clock
term=$((now + wait)) last=$((now + wait + 1000))
until gone; do
	clock
	[ "$now" -lt "$last" ] || say immortal
	[ "$now" -lt "$term" ] || slay
	sleep 0.05 || sleep 1
done
$sd reset-failed "$unit" >/dev/null 2>&1
say stopped
`

// Stop implements deployer.Runtime: systemctl stop, and SIGKILL to what is left
// after s.Stop. A start that waits for its unit is cut short.
// deploy.CodeTimeout: something outlived SIGKILL for ten seconds.
// deploy.CodeUnavailable: another start of the slot is under way.
// deploy.CodeFailed: systemd refused. deploy.CodeDrift: the record in the slot's
// folder is not ipublish's. Otherwise the host's code.
func (d driver) Stop(ctx context.Context, h deployer.Host, s deploy.Step) error {
	if err := process.Check(s, "stop"); err != nil {
		return err
	}
	out, err := process.Run(ctx, h, s, "stop", stop, nil, append(d.args(s), process.Centiseconds(s.Stop.D()))...)
	if err != nil {
		return err
	}
	switch word, rest, more := process.Verdict(out); word {
	case "stopped":
		return nil
	case "session":
		return process.Stop(ctx, h, s)
	case "busy":
		return process.Fault(s, "stop", deploy.CodeUnavailable, "another start or stop of this slot is under way")
	case "damaged":
		return d.damaged(s, "stop")
	case "deaf":
		return d.deaf(s, "stop", rest+"\n"+more)
	case "refused":
		return process.Fault(s, "stop", deploy.CodeFailed, fmt.Sprintf("systemd did not stop unit %s: %s", d.unit(s), process.Printable(rest, 300)))
	case "immortal":
		return process.Fault(s, "stop", deploy.CodeTimeout, fmt.Sprintf("unit %s still has processes ten seconds after SIGKILL: they hang in the kernel, look at the host's disks and mounts", d.unit(s)))
	default:
		return process.Fault(s, "stop", deploy.CodeInternal, "the stop script answered "+strconv.Quote(process.Printable(string(out), 200)))
	}
}
