package process

import (
	"fmt"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer/runtime/unit"
)

// Supervisor says who starts a program again that ended or whose host did. The
// zero Supervisor is Session.
type Supervisor string

// The supervisors.
const (
	Auto    Supervisor = "auto"    // systemd where it runs and the user of the host's commands may give it units, else a session
	Systemd Supervisor = "systemd" // a unit of the host's systemd, of the user's own one where that user is not root
	Session Supervisor = "session" // nobody on the host: the program runs in a session of its own
)

// CheckSupervisor accepts a runtime's supervisor; nothing is Auto. Otherwise
// deploy.CodeInvalid.
func CheckSupervisor(driver string, s Supervisor) (Supervisor, error) {
	switch s {
	case "":
		return Auto, nil
	case Auto, Systemd, Session:
		return s, nil
	}
	return "", Invalid(driver, "supervisor", "it has to be auto, systemd or session")
}

// unmanaged tells why the user of the host's commands may not give the host's
// systemd a unit.
func unmanaged(s deploy.Step, op, why string) *deploy.Error {
	word, what, _ := strings.Cut(why, " ")
	var message string
	switch word {
	case "none":
		message = "supervisor: systemd does not run on the host: choose auto or session"
	case "linger":
		message = fmt.Sprintf("supervisor: units of %s end with its session on the host: run `loginctl enable-linger %s` there as root, or give the host become: [sudo, -n]", what, what)
	default:
		message = fmt.Sprintf("supervisor: the host's systemd takes no units of the deploy user (%s): mend that, or choose session", what)
	}
	return fault(s, op, deploy.CodeInvalid, message)
}

// supervision is what the scripts need to deal with the slot's unit. unit is set
// by the script that follows; by is unit where one is to run the program.
const supervision = unit.Shell + `
have() { [ -n "$sd" ] && { [ -e "$units/$unit" ] || [ -L "$units/$unit" ]; }; }

# mine: the unit's file is the one of this slot, or not there.
mine() {
	first=
	[ ! -f "$units/$unit" ] || [ -L "$units/$unit" ] || IFS= read -r first <"$units/$unit"
	[ "$first" = "# ipublish slot $home" ]
}

# settle: what the unit is about to do is done, or being done by somebody else.
settle() {
	tries=0
	while look; do
		! idle || return 0
		[ "$active" != deactivating ] || say stopping "$main"
		record || say damaged
		! running || [ "$pid" != "$main" ] || return 0
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || return 1
		sleep 0.05 || sleep 1
	done
}

# discard: the unit, which runs nothing, is no more.
discard() {
	$sd disable "$unit" >/dev/null 2>&1
	rm -f "$units/$unit"
	$sd daemon-reload
}
`

// unitStart is how a unit runs the program, whose argv is in the positional
// arguments; it answers as the launcher does.
const unitStart = supervision + `
quote() { printf '%s\n' "$1" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/'/"; }

# frozen ARGV...: a script that becomes it.
frozen() {
	printf '# Written by ipublish: how the slot is started.\nexec'
	for word; do printf ' %s' "$(quote "$word")"; done
	printf ' 3>%s >>%s 2>&1 </dev/null\n' "$(quote "$home/told")" "$(quote "$home/log")"
}

# limits: those of this script, which a program of a session would have.
limits() {
	soft=$(ulimit -Sn) hard=$(ulimit -Hn)
	printf 'LimitNOFILE=%s:%s\n' "$soft" "$hard" | sed s/unlimited/infinity/g
}

place() {
	{ have && ! mine; } && say taken "$units/$unit"
	{ printf '%s' "$unittext" && limits && printf '\n[Install]\nWantedBy=%s\n' "$wanted"; } >"$units/$unit.tmp" || return 1
	if cmp -s "$units/$unit.tmp" "$units/$unit"; then
		rm -f "$units/$unit.tmp"
		look
		[ "$stale" = yes ] || return 0
	else
		mv -f "$units/$unit.tmp" "$units/$unit" || return 1
	fi
	$sd daemon-reload
}

# await: told is what the launcher said, nothing if the unit has ended before.
await() {
	tries=0 told=
	until [ "$tries" -ge 1000 ]; do
		look
		[ ! -s "$home/told" ] || { IFS= read -r told <"$home/told"; return; }
		! idle || return
		tries=$((tries + 1))
		sleep 0.02 || sleep 1
	done
}

by_unit() {
	(umask 077 && frozen "$@" >"$home/run.tmp") && mv -f "$home/run.tmp" "$home/run" && rm -f "$home/told" || { echo record; return; }
	failed=$(place 2>&1) || say unit "$failed"
	case $failed in taken*) echo "$failed"; return ;; esac
	$sd reset-failed "$unit" 2>/dev/null
	told= failed=$($sd start "$unit" 2>&1) && await
	[ "$told" != started ] || { echo started; return; }
	$sd stop "$unit" 2>/dev/null
	if [ -n "$told" ] || [ -z "$failed" ]; then echo "${told:-died}"; else echo "unit $failed"; fi
	lastlog 2048
}
`
