package script

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/process"
)

const start = process.Account + sight + launching + `
launch=$1 enter=$2 keep=$3 installing=$4 home=$5 wantdir=$6 wantport=$7 hex=$8 wantkey=$9
shift 9
wantsha=$1 user=$2 pidfile=$3 workdir=$4 skip=$5
shift 5
env=$(cat)
case $env in *'# end of env') ;; *) say cut ;; esac

# settle: app is what the release was started as.
settle() {
	{
		printf 'ipublish-instance 1\npid=%s\nstart=%s\nboot=%s\n' "$app" "$appborn" "$thisboot"
		printf 'key=%s\nsha256=%s\nport=%s\ndir=%s\n' "$wantkey" "$wantsha" "$wantport" "$wantdir"
	} >"$home/instance.tmp" && mv -f "$home/instance.tmp" "$home/instance" || say record
	say started "$app"
}

# wanted: the program on record was run for this very release.
wanted() { [ "$progkey" = "$wantkey" ] && [ "$progsha" = "$wantsha" ]; }

# fresh: the pid file names a process that began with or after the start program.
fresh() {
	line=
	{ read -r line _ <"$pidfile"; } 2>/dev/null
	case $line in '' | *[!0-9]*) return 1 ;; esac
	[ "${#line}" -le 10 ] && [ "$line" -gt 1 ] || return 1
	app=$line
	status "$app" && ! dead && [ "$start" -ge "$progborn" ] || return 1
	appborn=$start
}

# serves: the process holds the port.
serves() { listeners; missing=$inodes; [ -n "$missing" ] && holds "$app"; }

# await: until there is a process, and it serves or the start program ended; ten
# seconds at most.
await() {
	clock
	limit=$((now + 1000)) over=
	while clock; do
		program starting
		if [ -z "$over" ] && ended starting; then
			over=1
			case $rc in 0 | '') ;; *) [ $((now + 100)) -ge "$limit" ] || limit=$((now + 100)) ;; esac
		fi
		if [ "$prog" -gt 0 ] && fresh; then
			[ -z "$over" ] && [ "$app" != "$prog" ] && [ "$now" -lt "$limit" ] && ! serves || settle
		fi
		[ "$now" -lt "$limit" ] || break
		pause
	done
	[ -s "$home/starting" ] || say record
	listeners
	owner=0 missing=$inodes
	[ -z "$missing" ] || stranger
	runs=
	[ -n "$over" ] || runs=$prog
	printf 'unwritten\n%s\n%s\n%s\n%s\n' "$rc" "$runs" "$owner" "$(command_of "$owner")"
	lastlog 2048
	exit 0
}

opening
lock || say busy
look
! served || strange
if [ "$app" -gt 0 ]; then
	if mine; then
		[ "$key" = "$wantkey" ] && [ "$sha" = "$wantsha" ] && [ "$port" = "$wantport" ] || say conflict "$app" "$key"
		program ending
		[ "$progkey" != "$app:$appborn" ] && ! grep -qxF "$app:$appborn" "$home/stopping" 2>/dev/null || say stopping "$app"
		say running "$app"
	fi
	program starting
	[ "$prog" -gt 0 ] && wanted && [ "$appborn" -ge "$progborn" ] || say stranger "$app"
	settle
fi
[ "$lost" != unreadable ] || say unreadable
program starting
if working; then
	wanted || say conflict "$prog" "$progkey"
	await
fi

[ -d "$wantdir" ] || say folder
line=
[ ! -r "$wantdir/.ipublish-sha256" ] || IFS= read -r line <"$wantdir/.ipublish-sha256"
[ "$line" = "$wantsha" ] || say unstaged "$line"
account
if [ -n "$as" ]; then
	chown -Rh "$self:$gid" "$wantdir" && chmod -R g=rX,o-w "$wantdir" || exit 1
fi
told=$(sh -c "$installing" sh "$home" "$wantdir" "$@" 2>&1)
case $? in 0) ;; 3) say "$told" ;; *) say uninstalled "$told" ;; esac
shift "$skip"
[ "$lost" = gone ] || rm -f -- "$pidfile" 2>/dev/null || :
heading "starts $wantkey"
furnish
rm -f "$home/stopping" "$home/instance"
launching starting "$wantkey" "$wantsha" "$workdir" "$@" || exit 1
await
`

// Start implements deployer.Runtime. It installs the release, runs the start
// program, and returns once the pid file names a process that began after it, and
// the start program ended or the process serves; after about ten seconds at the
// latest. While the slot runs the release it does nothing.
//
// deploy.CodeForeign: the port is served and not by the process that the pid
// file names. deploy.CodeConflict: another release, or an application that
// ipublish did not start, runs; stop it first. deploy.CodeUnavailable: another start
// or stop of the slot is under way. deploy.CodeFailed: the release's folder is
// not there, it could not be installed, or the start program left no process
// behind; Log is what it printed. deploy.CodeInvalid: the section does not fit the
// host or the release. deploy.CodeDrift: the record is not ipublish's. Otherwise
// the host's code.
func (d driver) Start(ctx context.Context, h deployer.Host, s deploy.Step) error {
	if err := process.Check(s, "start"); err != nil {
		return err
	}
	if err := d.settings.apart(s); err != nil {
		return err
	}
	if s.Release.Key() == "" || s.Release.SHA256 == "" {
		return process.Fault(s, "start", deploy.CodeInvalid, "the release is not built: it has no commit or no sha256")
	}
	set := d.settings.expand(s)
	places, err := set.places(s)
	if err != nil {
		return err
	}
	env, err := process.EnvFile(s, process.Env(s))
	if err != nil {
		return err
	}
	args := slices.Concat(
		[]string{process.Facts + launch, enter, keep, installing, s.Home, s.Dir, strconv.Itoa(s.Port), process.Hex(s.Port), s.Release.Key(),
			s.Release.SHA256, set.RunAs, set.PIDFile, set.folder(set.Start), strconv.Itoa(len(places))},
		places, set.Start)
	out, err := process.Run(ctx, h, s, "start", start, strings.NewReader(env), args...)
	if err != nil {
		return err
	}
	return started(s, set, out)
}

// started turns the start script's answer into Start's.
func started(s deploy.Step, set settings, out []byte) error {
	fail := func(code deploy.Code, format string, args ...any) error {
		return process.Fault(s, "start", code, fmt.Sprintf(format, args...))
	}
	word, rest, more := process.Verdict(out)
	switch word {
	case "started", "running":
		return nil
	case "foreign":
		return foreign(s, set, "start", rest, more)
	case "conflict":
		pid, key, _ := strings.Cut(rest, " ")
		return fail(deploy.CodeConflict, "release %s still runs here as process %s: it has to be stopped first", key, pid)
	case "stranger":
		return fail(deploy.CodeConflict, "process %s of pid file %s runs, and ipublish did not start it: it has to be stopped first", rest, set.PIDFile)
	case "busy", "cut":
		return fail(deploy.CodeUnavailable, "another start or stop of this slot is under way, or the connection broke")
	case "stopping":
		return fail(deploy.CodeUnavailable, "process %s is still being stopped", rest)
	case "damaged":
		return process.Damaged(s, "start")
	case "unreadable":
		return fail(deploy.CodeInvalid, "pid file %s cannot be read: let the deploy user read it, or give the host become: [sudo, -n]", set.PIDFile)
	case "folder":
		return fail(deploy.CodeFailed, "the release's folder %s is not on the host: deploy it again", s.Dir)
	case "unstaged":
		return fail(deploy.CodeFailed, "the release's folder %s does not hold the artifact of this release (its mark is %s): deploy it again", s.Dir, strconv.Quote(process.Printable(rest, 80)))
	case "record":
		return fail(deploy.CodeFailed, "the instance record in %s could not be written: is the disk full?", s.Home)
	case "nobody", "notroot", "setpriv", "closed":
		return process.Barred(s, set.RunAs, word, process.Printable(strings.TrimSpace(rest+"\n"+more), 300))
	case "unwritten":
		return unwritten(s, set, more)
	}
	return uninstalled(s, word, rest, more)
}

// unwritten tells why the start program left no process behind.
func unwritten(s deploy.Step, set settings, more string) error {
	facts := strings.SplitN(more+"\n\n\n\n", "\n", 5)
	status, runs, owner, command := facts[0], facts[1], facts[2], facts[3]
	program, name := set.Start[0], deploy.Instance{Command: process.Printable(command, 300)}.Program()
	e := process.Fault(s, "start", deploy.CodeFailed, "")
	e.Log = process.Printable(strings.TrimRight(facts[4], "\n"), 2048)
	switch {
	case status == "126" || status == "127":
		e.Message = fmt.Sprintf("start program %s cannot be run on the host, or its folder %s cannot be entered: see what it said", program, set.folder(set.Start))
	case owner != "0" && owner != "-1":
		e.Message = fmt.Sprintf("start program %s began, and process %s (%s) owns port %d, but pid file %s was not written: name the file that it writes, or let it write its pid there", program, owner, name, s.Port, set.PIDFile)
	case runs != "":
		e.Message = fmt.Sprintf("start program %s is still under way as process %s after ten seconds, and pid file %s was not written: let it start the application in the background and write its pid there", program, runs, set.PIDFile)
	case status != "" && status != "0":
		e.Message = fmt.Sprintf("start program %s ended with exit status %s, and nothing runs: see what it said", program, status)
	default:
		e.Message = fmt.Sprintf("start program %s ended, but pid file %s names no process that it started: let it write the application's pid there, or see why that ended at once", program, set.PIDFile)
	}
	return e
}
