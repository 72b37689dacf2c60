package process

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/unit"
)

// Program is what a slot is to run.
type Program struct {
	Argv    []string          // Argv[0] is a path, relative to Step.Dir, or a name on the program's PATH
	Env     map[string]string // besides a clean PATH, HOME, USER, LANG and TZ of the host; secret
	User    string            // whom it runs as, with the groups and the home of that user; empty: the user of the host's commands
	Under   Supervisor        // who starts it again
	Prepare Script            // run before the program starts, while nothing of ours runs and the slot is locked
}

// Script is a fixed sh script with its positional arguments. An exit status of
// 3 means that it found something that is not as ipublish left it; its output
// tells why it failed. Where the program is to run as another user than the
// script, the variable as holds the words of a command that becomes that user,
// and owner its UID:GID; otherwise both are empty.
type Script struct {
	Text string
	Args []string
}

// launch is recorded, under the lock of the script that called it, and goes on as
// the text that follows it: become, or an exec of the rest of its argv. The
// environment waits on descriptor 4.
const launch = kernel + `
home=$1
cd -- "$2" || { echo 'folder' >&3; exit 1; }
status $$ || { echo 'record' >&3; exit 1; }
{
	printf 'ipublish-instance 1\npid=%s\nstart=%s\nboot=%s\n' $$ "$start" "$thisboot"
	printf 'key=%s\nsha256=%s\nport=%s\ndir=%s\n' "$4" "$5" "$3" "$2"
} >"$home/instance.tmp" && mv -f "$home/instance.tmp" "$home/instance" || { echo 'record' >&3; exit 1; }
unset LC_ALL OLDPWD
export IPUBLISH_INSTANCE="$$-$start"
exec 4<"$1/env"
shift 5
unset -f say lines status
`

// become takes the environment over, lets the lock go and becomes the program.
// Where that is another user's it is the script of a shell of that user: so nothing
// of the environment, LD_PRELOAD for one, is ever in force as root where the program
// is not root's.
const become = `
env=
while IFS= read -r line; do
	env="$env$line
"
done <&4
exec 4<&-
case $env in *'# end of env
') ;; *) echo 'record' >&3; exit 1 ;; esac
eval "$env"
case $1 in
*/*) [ -f "$1" ] && [ -x "$1" ] ;;
*) command -v "$1" >/dev/null ;;
esac || { echo 'program' >&3; exit 127; }
echo 'started' >&3
exec "$@" 3>&- 9>&-
`

const start = account + unitStart + `
launch=$1 become=$2 home=$3 wantdir=$4 wantport=$5 hex=$6 wantkey=$7 wantsha=$8 user=$9
shift 9
prepare=$1 skip=$2 supervisor=$3 unit=$4 unittext=$5 today=$6
shift 6
lines
env=$text
case $env in *"# end of env$nl") ;; *) say cut ;; esac
[ -d "$home" ] || { (umask 022 && mkdir -p -- "${home%/*}") && (umask 027 && mkdir -p -- "$home"); } || exit 1
lock || say busy
record || say damaged

by=
boss || [ "$supervisor" != systemd ] || say unmanaged "$why"
[ -z "$sd" ] || [ "$supervisor" = session ] || by=unit
! have || settle || say busy
if running; then
	[ "$key" = "$wantkey" ] && [ "$sha" = "$wantsha" ] && [ "$port" = "$wantport" ] || say conflict "$pid" "$key"
	[ ! -s "$home/stopping" ] || { IFS= read -r line <"$home/stopping"; [ "$line" != "$pid-$born" ] || say stopping "$pid"; }
	say running "$pid"
fi
! have || case $sub in auto-restart*) $sd stop "$unit" ;; esac
listeners
if [ -n "$missing" ]; then
	! holds $(ours) || say conflict "$owner" "$key"
	stranger
	[ "$owner" = 0 ] || say foreign "$owner" "$(command_of "$owner")"
fi

[ -d "$wantdir" ] || say folder
line=
[ ! -r "$wantdir/.ipublish-sha256" ] || IFS= read -r line <"$wantdir/.ipublish-sha256"
[ "$line" = "$wantsha" ] || say unstaged "$line"
account
share || exit 1
[ "$pid" = 0 ] || turn || exit 1
(umask 027 && printf '=== ipublish starts %s %s\n' "$wantkey" "$today" >>"$home/log") || exit 1
[ -z "$as" ] || chown -h "$uid:$gid" "$home/log" || exit 1
{ [ ! -e "$home/env.tmp" ] && [ ! -L "$home/env.tmp" ]; } || rm -f "$home/env.tmp" || exit 1
(umask 077 && printf '%s' "$env" >"$home/env.tmp") && mv -f "$home/env.tmp" "$home/env" || exit 1
if [ -n "$prepare" ]; then
	told=$(as="$as" owner="${as:+$uid:$gid}" sh -c "$prepare" sh "$@" 2>&1)
	case $? in 0) ;; 3) say drift "$told" ;; *) say unprepared "$told" ;; esac
fi
shift "$skip"

if [ -n "$as" ]; then
	set -- $as /bin/sh -c "$become" sh "$@"
	become='exec "$@"'
fi
set -- env -i PATH="${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}" HOME="${HOME:-/}" \
	USER="${USER:-}" LOGNAME="${LOGNAME:-${USER:-}}" LANG="${LANG:-C.UTF-8}" ${TZ:+TZ="$TZ"} \
	sh -c "$launch$become" sh "$home" "$wantdir" "$wantport" "$wantkey" "$wantsha" "$@"
[ "$by" != unit ] || { by_unit "$@"; exit 0; }
! have || ! mine || discard

# Nobody but the launcher holds the other end of told: it ends with its verdict.
told=$(setsid -f "$@" 3>&1 >>"$home/log" 2>&1 </dev/null)
printf '%s\n' "${told:-died}"
[ "$told" != started ] || exit 0
lastlog 2048

# Its verdict is out a moment before the launcher is: the next start shall not find it.
tries=0
while record && running && [ "$tries" -lt 100 ]; do
	tries=$((tries + 1))
	sleep 0.02 || sleep 1
done
exit 0
`

// Start makes the slot run the program as the step's release, in one round
// trip. It returns once the process is recorded and about to become the
// program; when the slot already runs the release, it does nothing.
//
// deploy.CodeForeign: somebody else's process holds the port, or one whose
// owner cannot be seen. deploy.CodeConflict: something of ours that is not this
// release runs or holds the port; stop it first. deploy.CodeUnavailable: another
// start or stop of the slot is under way. deploy.CodeFailed: the release's
// folder or program is not there. deploy.CodeDrift: the instance record, or
// what Prepare found, is not ipublish's. deploy.CodeInvalid: the step or the
// environment cannot be passed on, or the host cannot run a program as
// Program.User. Otherwise the host's code.
//
// With a user, the release's folder becomes its group's to read and nobody's but
// the deploy user's to change; so does the slot's folder.
func Start(ctx context.Context, h deployer.Host, s deploy.Step, p Program) error {
	if err := check(s, "start"); err != nil {
		return err
	}
	if len(p.Argv) == 0 || p.Argv[0] == "" {
		return fault(s, "start", deploy.CodeInvalid, "there is no program to start")
	}
	if s.Release.Key() == "" || s.Release.SHA256 == "" {
		return fault(s, "start", deploy.CodeInvalid, "the release is not built: it has no commit or no sha256")
	}
	env, err := envFile(s, p.Env)
	if err != nil {
		return err
	}
	args := []string{launch, become, s.Home, s.Dir, strconv.Itoa(s.Port), hexPort(s.Port), s.Release.Key(), s.Release.SHA256, p.User,
		p.Prepare.Text, strconv.Itoa(len(p.Prepare.Args)), string(cmp.Or(p.Under, Session)), unit.Name(s.Home), unit.Text(s.Home, s.Stop.D()),
		time.Now().UTC().Format(time.RFC3339)}
	args = append(append(args, p.Prepare.Args...), p.Argv...)
	out, err := run(ctx, h, s, "start", start, strings.NewReader(env), args...)
	if err != nil {
		return err
	}
	return started(s, p, out)
}

// started turns the start script's answer into Start's.
func started(s deploy.Step, p Program, out []byte) error {
	word, rest, more := verdict(out)
	switch word {
	case "started", "running":
		return nil
	case "conflict":
		pid, key, _ := strings.Cut(rest, " ")
		return fault(s, "start", deploy.CodeConflict, fmt.Sprintf("release %s still runs here as process %s: it has to be stopped first", key, pid))
	case "foreign":
		return Foreign(s, rest)
	case "busy", "cut":
		return fault(s, "start", deploy.CodeUnavailable, "another start or stop of this slot is under way, or the connection broke")
	case "stopping":
		return fault(s, "start", deploy.CodeUnavailable, "process "+rest+" is still being stopped")
	case "damaged":
		return damaged(s, "start")
	case "folder":
		return fault(s, "start", deploy.CodeFailed, "the release's folder "+s.Dir+" is not on the host: deploy it again")
	case "unstaged":
		return fault(s, "start", deploy.CodeFailed, "the release's folder "+s.Dir+" does not hold the artifact of this release (its mark is "+
			strconv.Quote(printable(rest, 80))+"): deploy it again")
	case "drift":
		return fault(s, "start", deploy.CodeDrift, printable(strings.TrimSpace(rest+"\n"+more), 1024))
	case "unmanaged":
		return unmanaged(s, "start", printable(strings.TrimSpace(rest+"\n"+more), 300))
	case "taken":
		return fault(s, "start", deploy.CodeDrift, fmt.Sprintf("%s is not the unit that ipublish writes for this slot: remove it, or choose supervisor: session", rest))
	case "nobody", "notroot", "setpriv", "closed":
		return barred(s, p.User, word, printable(strings.TrimSpace(rest+"\n"+more), 300))
	}
	return unstarted(s, p, word, rest, more)
}

// unstarted tells why there is no process though nothing stood in its way.
func unstarted(s deploy.Step, p Program, word, rest, more string) error {
	e := fault(s, "start", deploy.CodeFailed, "")
	e.Log = printable(more, 2048)
	switch word {
	case "program":
		if p.User != "" {
			e.Message = fmt.Sprintf("%q is not a program on the host that %s may run: a path is looked up in %s, a name on its PATH", p.Argv[0], p.User, s.Dir)
			break
		}
		e.Message = fmt.Sprintf("%q is not a program on the host: a path is looked up in %s, a name on its PATH", p.Argv[0], s.Dir)
	case "unprepared":
		e.Message, e.Log = "the slot could not be prepared: "+printable(strings.TrimSpace(rest+"\n"+more), 1024), ""
	case "unit":
		e.Message = fmt.Sprintf("systemd did not start the slot's unit %s: %s", unit.Name(s.Home), printable(strings.TrimSpace(rest), 300))
	case "record":
		e.Message = "the instance record in " + s.Home + " could not be written: is the disk full?"
	default:
		e.Message = "the program's shell ended before the program began: see " + s.Home + "/log"
	}
	return e
}

// Foreign is the error about somebody else's process on the port: its pid, -1 where
// it cannot be seen, and its command line.
func Foreign(s deploy.Step, found string) error {
	pid, command, _ := strings.Cut(found, " ")
	who := "process " + pid + " (" + printable(command, 300) + ")"
	if pid == "-1" {
		who = "a process of another user, which the deploy user cannot see,"
	}
	return fault(s, "start", deploy.CodeForeign, fmt.Sprintf(
		"port %d is held by %s, which ipublish did not start: stop it, or give the slot another port", s.Port, strings.TrimSuffix(who, ",")))
}

func damaged(s deploy.Step, op string) error {
	return fault(s, op, deploy.CodeDrift, s.Home+"/instance is not a record of this version of ipublish: "+
		"see what runs on the slot's port, stop it, and delete the file")
}
