package script

import (
	"fmt"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer/runtime/process"
)

// sight are the functions that tell what runs in the slot. home, hex and pidfile
// are set by the script that follows.
const sight = `
app=0 appborn= lost= named=0

# older: the process that status saw is no younger than the pid file, give or take
# what clocks are coarse. Both ages are taken now, so that a clock that was set
# meanwhile does no harm.
older() {
	wrote=$(date -r "$pidfile" +%s 2>/dev/null) && now=$(date +%s) || return 1
	hz=$(getconf CLK_TCK 2>/dev/null) || hz=100
	since=$start
	set -- $(cat /proc/self/stat)
	[ $(((${22} - since) / hz + 2)) -ge $((now - wrote)) ]
}

# name: app is the living process that the pid file names, with its start time; or
# 0, and lost says why: gone, unreadable, empty, or stale with named, a number that
# is somebody else's or nobody's.
name() {
	app=0 appborn= named=0 lost=gone
	[ -e "$pidfile" ] || return 0
	lost=unreadable
	[ -r "$pidfile" ] || return 0
	lost=empty line=
	{ read -r line _ <"$pidfile"; } 2>/dev/null
	case $line in '' | *[!0-9]*) return 0 ;; esac
	[ "${#line}" -le 10 ] && [ "$line" -gt 1 ] || return 0
	lost=stale named=$line
	status "$named" && ! dead || return 0
	theirs=$start
	if [ "$named:$start:$thisboot" != "$pid:$born:$boot" ]; then
		missing=$inodes
		[ -n "$missing" ] && holds "$named" || older || return 0
	fi
	app=$named appborn=$theirs lost=
}

# mine: app is the process on record.
mine() { [ "$app" -gt 0 ] && [ "$app:$appborn:$boot" = "$pid:$born:$thisboot" ]; }

# look: who is the application, and whose is the port: owned if it is the
# application's or its tree's, else owner is the stranger.
look() {
	record || say damaged
	listeners
	name
	[ "$app" -gt 0 ] || [ -n "$inodes" ] || ! running || { app=$pid appborn=$born; }
	owner=0 owned= missing=$inodes
	[ -n "$missing" ] || return 0
	if [ "$app" = 0 ] || { ! holds "$app" && ! holds $(members "$app"); }; then
		stranger
		[ "$app" -gt 0 ] && [ "$owner" -gt 0 ] || return 0
		case " $(members "$app" | tr '\n' ' ') " in *" $owner:"*) ;; *) return 0 ;; esac
	fi
	owned=1
}

# served: somebody holds the port whom the pid file does not name.
served() {
	[ -n "$inodes" ] && [ -z "$owned" ] && [ "$owner" != 0 ] || return 1
	[ "$app" = 0 ] || [ "$owner" -gt 0 ]
}

# strange: the verdict about served.
strange() {
	word=$lost
	[ "$app" = 0 ] || word=beside named=$app
	printf 'foreign %s\n%s\n%s\n%s\n' "$word" "$named" "$owner" "$(command_of "$owner")"
	exit 0
}

# program FILE: the start or stop program on record: prog is 0 without one.
program() {
	prog=0 progborn= progboot= progkey= progsha=
	[ -s "$home/$1" ] || return 0
	while IFS= read -r line; do
		case $line in
		pid=*) prog=${line#*=} ;;
		start=*) progborn=${line#*=} ;;
		boot=*) progboot=${line#*=} ;;
		key=*) progkey=${line#*=} ;;
		sha256=*) progsha=${line#*=} ;;
		esac
	done <"$home/$1"
	case $prog in '' | *[!0-9]*) prog=0 ;; esac
	[ "$progboot" = "$thisboot" ] || prog=0
}

# working: the program is still under way.
working() { [ "$prog" -gt 1 ] && status "$prog" && [ "$start" = "$progborn" ] && ! dead; }

# clock: now is centiseconds of a clock that nobody sets.
clock() { read -r up _ </proc/uptime; now=${up%.*}${up#*.}; }

pause() { sleep 0.03 || sleep 1; }
`

// foreign tells the verdict of strange.
func foreign(s deploy.Step, set settings, op, word, more string) error {
	facts := strings.SplitN(more+"\n\n\n", "\n", 4)
	named, owner := facts[0], facts[1]
	name := deploy.Instance{Command: process.Printable(facts[2], 300)}.Program()
	var message string
	switch {
	case owner == "-1":
		message = fmt.Sprintf("pid file %s tells no running process, but one of another user, which the deploy user cannot see, owns port %d: give the host become: [sudo, -n], or stop it", set.PIDFile, s.Port)
	case word == "gone":
		message = fmt.Sprintf("pid file %s is gone, but process %s (%s) owns port %d: stop it, or write its pid into the file", set.PIDFile, owner, name, s.Port)
	case word == "unreadable":
		message = fmt.Sprintf("pid file %s cannot be read, and process %s (%s) owns port %d: let the deploy user read the file", set.PIDFile, owner, name, s.Port)
	case word == "empty":
		message = fmt.Sprintf("pid file %s holds no pid, but process %s (%s) owns port %d: stop it, or write its pid into the file", set.PIDFile, owner, name, s.Port)
	case word == "stale":
		message = fmt.Sprintf("pid file %s names process %s, which is not the application any more, but process %s (%s) owns port %d: stop it, or write its pid into the file", set.PIDFile, named, owner, name, s.Port)
	case word == "again":
		message = fmt.Sprintf("process %s was stopped, but now process %s (%s) owns port %d: something else starts the application again, switch that off", named, owner, name, s.Port)
	default:
		message = fmt.Sprintf("pid file %s names process %s, but process %s (%s) owns port %d: stop it, or write its pid into the file", set.PIDFile, named, owner, name, s.Port)
	}
	return process.Fault(s, op, deploy.CodeForeign, message)
}
