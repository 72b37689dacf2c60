package systemd

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ipublish/deploy"
	"ipublish/deployer/runtime/process"
	"ipublish/deployer/runtime/unit"
)

// ask are the functions of every script. home, hex, unit, manager and rolling are
// set by the script that follows.
const ask = unit.Shell + `
sd=systemctl journal=journalctl
if [ "$manager" = user ]; then
	sd='systemctl --user' journal='journalctl --user'
	export XDG_RUNTIME_DIR="/run/user/$(id -u)"
	unset DBUS_SESSION_BUS_ADDRESS
fi

# recall: what the unit runs, as far as the slot's folder says: the release of
# every start of the unit but the one that was the last when the folder changed.
recall() {
	rkey= rsha= rport= rdir= rwas= runit= rcommit=
	[ -s "$home/unit" ] || return 0
	while IFS= read -r line; do
		case $line in
		unit=*) runit=${line#*=} ;;
		key=*) rkey=${line#*=} ;;
		commit=*) rcommit=${line#*=} ;;
		sha256=*) rsha=${line#*=} ;;
		port=*) rport=${line#*=} ;;
		dir=*) rdir=${line#*=} ;;
		was=*) rwas=${line#*=} ;;
		'ipublish-unit 1') ;;
		*) return 1 ;;
		esac
	done <"$home/unit"
}

# proven: after look and recall, what the unit runs is the recorded release. Its
# main process, where it was given a RELEASE at all, was given that one.
proven() {
	[ -n "$rkey" ] && [ "$runit" = "$unit" ] && [ "$turn" != "$rwas" ] && [ "$(readlink "$home/current")" = "$rdir" ] || return 1
	given=$(tr '\000' '\n' 2>/dev/null <"/proc/$main/environ" | sed -n 's/^RELEASE=//p') 2>/dev/null
	[ -z "$given" ] || [ "$given" = "$rcommit" ]
}

# ourown: what the unit runs is ipublish's to stop.
ourown() { proven || [ -n "$rolling" ]; }

# within: PIDs in the unit's control group.
within() {
	[ -n "$cgroup" ] && [ "$cgroup" != / ] || return 0
	for file in /proc/[0-9]*/cgroup; do
		while IFS= read -r line; do
			case ${line#*:*:} in "$cgroup" | "$cgroup"/*) at=${file%/cgroup} && echo "${at#/proc/}" && break ;; esac
		done <"$file"
	done 2>/dev/null
	return 0
}

# session: a program of another runtime of ipublish's runs in the slot.
session() { record || say damaged; running; }
`

// lines are a unit's environment for EnvironmentFile=. An error names the
// variable and never its value.
func lines(s deploy.Step, env map[string]string) (string, error) {
	if _, err := process.EnvFile(s, env); err != nil {
		return "", err
	}
	var b strings.Builder
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", "$", `\$`)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !utf8.ValidString(env[name]) || strings.ContainsFunc(env[name], unreadable) {
			return "", process.Fault(s, "start", deploy.CodeInvalid, "env: systemd takes no control character and no broken UTF-8 in the value of "+strconv.Quote(name)+": encode it")
		}
		b.WriteString(name + `="` + escape.Replace(env[name]) + "\"\n")
	}
	return b.String() + endOfEnv + "\n", nil
}

// endOfEnv proves that the environment arrived whole.
const endOfEnv = "# end of env"

func unreadable(r rune) bool { return r < ' ' && r != '\t' && r != '\n' || r == 0x7f }
