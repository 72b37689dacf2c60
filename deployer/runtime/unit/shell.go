package unit

// Shell are functions for a POSIX sh script. They read $unit, the name of a unit,
// and set only the variables that they name here.
//
// boss: sd is the systemctl of the manager that this user may give units to,
// units the folder of its unit files, wanted the target that starts with the
// host. Where there is none sd is empty, boss is false, and why says so: none
// (the host does not run systemd), linger USER, or deaf TEXT.
//
// look: what systemd says of the unit: loaded, active, sub, main (0: none), job,
// stale (yes: its file changed since), cgroup, result, and turn, which is another
// one after each start of the unit. False if it says nothing.
//
// idle: after look, the unit runs nothing, though a restart may wait for its time.
// still: it runs nothing and will not by itself.
const Shell = `
boss() {
	sd= units= wanted=multi-user.target why=none
	[ -d /run/systemd/system ] || return 1
	if [ "$(id -u)" = 0 ]; then
		sd=systemctl units=/etc/systemd/system
	else
		why="linger $(id -un)"
		[ -e "/var/lib/systemd/linger/$(id -un)" ] || return 1
		export XDG_RUNTIME_DIR="/run/user/$(id -u)"
		unset DBUS_SESSION_BUS_ADDRESS
		sd='systemctl --user' wanted=default.target
		units=$(getent passwd "$(id -u)") units=${units%:*}
		units=${units##*:}/.config/systemd/user
	fi
	why=$($sd show -p Version 2>&1) && [ -n "${why#Version=}" ] &&
		why=$(mkdir -p -- "$units" 2>&1 && { [ -w "$units" ] || echo "$units cannot be written"; }) && [ -z "$why" ] && return
	why="deaf $why" sd=
	return 1
}

look() {
	loaded= active= sub= main=0 job= stale= turn= cgroup= result= began=
	while IFS= read -r shown; do
		case $shown in
		LoadState=*) loaded=${shown#*=} ;;
		ActiveState=*) active=${shown#*=} ;;
		SubState=*) sub=${shown#*=} ;;
		MainPID=*) main=${shown#*=} ;;
		Job=*) job=${shown#*=} ;;
		NeedDaemonReload=*) stale=${shown#*=} ;;
		InvocationID=*) turn=${shown#*=} ;;
		ExecMainStartTimestampMonotonic=*) began=${shown#*=} ;;
		Result=*) result=${shown#*=} ;;
		ControlGroup=*) cgroup=${shown#*=} ;;
		esac
	done <<END
$($sd show -p LoadState -p ActiveState -p SubState -p MainPID -p Job -p NeedDaemonReload -p InvocationID \
	-p ExecMainStartTimestampMonotonic -p Result -p ControlGroup -- "$unit" 2>/dev/null)
END
	turn=${turn:-$began}
	[ -n "$active" ]
}

still() { idle && [ "$active" != activating ]; }

idle() {
	case $job in '' | 0) ;; *) return 1 ;; esac
	case $active/$sub in inactive/* | failed/* | activating/auto-restart*) ;; *) return 1 ;; esac
}
`
