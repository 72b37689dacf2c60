package systemd

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/process"
)

const start = `
home=$1 hex=$2 unit=$3 manager=$4 rolling=$5 wantdir=$6 wantport=$7 wantkey=$8 wantsha=$9
shift 9
wantcommit=$1
env=$(cat)
case $env in *'# end of env') ;; *) say cut ;; esac
` + ask + `
(umask 022 && mkdir -p -- "$home") || exit 1
lock || say busy
recall || say damaged
look || say deaf "$($sd show -p Version 2>&1)"
[ "$loaded" = loaded ] || say unloaded "$loaded"
! session || say conflict "$pid" "$key"
case $active/$sub in
deactivating/*) say stopping "$main" ;;
activating/auto-restart*) $sd stop "$unit" 2>&1 || exit 1 ;;
inactive/* | failed/*) ;;
*)
	ourown || say foreign "$main" "$(command_of "$main")"
	proven || say conflict "$main" ''
	[ "$rkey" = "$wantkey" ] && [ "$rsha" = "$wantsha" ] && [ "$rport" = "$wantport" ] || say conflict "$main" "$rkey"
	failed=$($sd start "$unit" 2>&1) || say failed "$failed"
	say running
	;;
esac
listeners
if [ -n "$missing" ]; then
	stranger
	[ "$owner" = 0 ] || say foreign "$owner" "$(command_of "$owner")"
fi

[ -d "$wantdir" ] || say folder
line=
[ ! -r "$wantdir/.ipublish-sha256" ] || IFS= read -r line <"$wantdir/.ipublish-sha256"
[ "$line" = "$wantsha" ] || say unstaged "$line"
(umask 077 && rm -f "$home/env.tmp" && printf '%s\n' "$env" >"$home/env.tmp") && mv -f "$home/env.tmp" "$home/env" || say record
rm -rf "$home/current.tmp" && ln -s -- "$wantdir" "$home/current.tmp" && mv -fT "$home/current.tmp" "$home/current" || say record
look
{
	printf 'ipublish-unit 1\nunit=%s\nwas=%s\ncommit=%s\n' "$unit" "$turn" "$wantcommit"
	printf 'key=%s\nsha256=%s\nport=%s\ndir=%s\n' "$wantkey" "$wantsha" "$wantport" "$wantdir"
} >"$home/unit.tmp" && sync "$home/unit.tmp" "$home/env" 2>/dev/null && mv -f "$home/unit.tmp" "$home/unit" && sync "$home" || say record
$sd reset-failed "$unit" >/dev/null 2>&1
told=failed failed=$($sd start "$unit" 2>&1) && told=started
look
[ "$told" = failed ] || [ "$main" -gt 0 ] || { told=ended; failed="$active, $result"; }
printf '%s %s\n' "$told" "$(printf %s "$failed" | head -n 1)"
[ "$told" = started ] || $journal --no-pager -o cat -n 20 -u "$unit" 2>/dev/null | tail -c 2048
exit 0
`

// Start implements deployer.Runtime. It returns when systemd says that the unit
// is started. deploy.CodeConflict: the unit runs something else, which has to be
// stopped first. deploy.CodeForeign: somebody else's process holds the port, or
// one of two slots' unit runs what ipublish did not start. deploy.CodeInvalid: the
// host has no such unit, or the unit or the environment will not do.
// deploy.CodeFailed: systemd did not start it; the Log says more.
// deploy.CodeUnavailable: another start or stop is under way. deploy.CodeDrift:
// the record in the slot's folder is not ipublish's. Otherwise the host's code.
func (d driver) Start(ctx context.Context, h deployer.Host, s deploy.Step) error {
	if err := process.Check(s, "start"); err != nil {
		return err
	}
	if s.Release.Key() == "" || s.Release.SHA256 == "" {
		return process.Fault(s, "start", deploy.CodeInvalid, "the release is not built: it has no commit or no sha256")
	}
	if s.Slot != deploy.Main && !d.apart() {
		return process.Fault(s, "start", deploy.CodeInvalid, fmt.Sprintf("both slots would share the unit %s: write runtime.systemd.unit with {slot}, such as shop@{slot}.service", d.Unit))
	}
	env := process.Env(s)
	env["DIR"] = s.Dir
	text, err := lines(s, env)
	if err != nil {
		return err
	}
	out, err := process.Run(ctx, h, s, "start", start, strings.NewReader(text),
		append(d.args(s), s.Dir, strconv.Itoa(s.Port), s.Release.Key(), s.Release.SHA256, s.Release.Commit.SHA)...)
	if err != nil {
		return err
	}
	return d.started(s, out)
}

// started turns the start script's answer into Start's.
func (d driver) started(s deploy.Step, out []byte) error {
	word, rest, more := process.Verdict(out)
	name := d.unit(s)
	fault := func(code deploy.Code, format string, args ...any) *deploy.Error {
		return process.Fault(s, "start", code, fmt.Sprintf(format, args...))
	}
	switch word {
	case "started", "running":
		return nil
	case "conflict":
		pid, key, _ := strings.Cut(rest, " ")
		if key == "" {
			return fault(deploy.CodeConflict, "unit %s runs what ipublish did not start, as process %s: it has to be stopped first", name, pid)
		}
		return fault(deploy.CodeConflict, "release %s still runs here as process %s: it has to be stopped first", key, pid)
	case "foreign":
		return process.Foreign(s, rest)
	case "stopping":
		return fault(deploy.CodeUnavailable, "unit %s is still being stopped", name)
	case "busy", "cut":
		return fault(deploy.CodeUnavailable, "another start or stop of this slot is under way, or the connection broke")
	case "damaged":
		return d.damaged(s, "start")
	case "deaf":
		return d.deaf(s, "start", rest+"\n"+more)
	}
	return d.unstarted(s, word, rest, more)
}

// unstarted tells why the unit does not run though nothing of ours stood in its way.
func (d driver) unstarted(s deploy.Step, word, rest, more string) error {
	name := d.unit(s)
	e := process.Fault(s, "start", deploy.CodeFailed, "")
	switch word {
	case "unloaded":
		e.Code = deploy.CodeInvalid
		e.Message = fmt.Sprintf("the host has no unit %s that can be started (systemd says: %s): put its file in place there, and run `systemctl daemon-reload`", name, process.Printable(rest, 80))
	case "folder":
		e.Message = fmt.Sprintf("the release's folder %s is not on the host: deploy it again", s.Dir)
	case "unstaged":
		e.Message = fmt.Sprintf("the release's folder %s does not hold the artifact of this release (its mark is %s): deploy it again", s.Dir, strconv.Quote(process.Printable(rest, 80)))
	case "record":
		e.Message = fmt.Sprintf("the slot's folder %s could not be written: is the disk full?", s.Home)
	case "ended":
		e.Message = fmt.Sprintf("unit %s has no main process after its start (%s): see `journalctl -u %s` on the host", name, process.Printable(rest, 80), name)
		e.Log = process.Printable(more, 2048)
	default:
		e.Message = fmt.Sprintf("systemd did not start unit %s: %s", name, process.Printable(rest, 300))
		e.Log = process.Printable(more, 2048)
	}
	return e
}

func (d driver) deaf(s deploy.Step, op, why string) error {
	return process.Fault(s, op, deploy.CodeFailed, fmt.Sprintf("systemctl does not tell of unit %s on the host: %s", d.unit(s), process.Printable(strings.TrimSpace(why), 300)))
}

func (d driver) damaged(s deploy.Step, op string) error {
	return process.Fault(s, op, deploy.CodeDrift, fmt.Sprintf("%s/unit is not a record of this version of ipublish: see what unit %s runs, stop it, and delete the file", s.Home, d.unit(s)))
}
