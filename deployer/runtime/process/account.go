package process

import (
	"fmt"
	"regexp"

	"ipublish/deploy"
)

// userForm is what passes for a user's name: no option, no number, no shell syntax.
var userForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9._@-]*\$?$`)

// CheckUser accepts a runtime's run_as: a user's name, or nothing. Otherwise
// deploy.CodeInvalid.
func CheckUser(driver, user string) error {
	if user == "" || userForm.MatchString(user) {
		return nil
	}
	return Invalid(driver, "run_as", "it has to be the name of a user of the hosts, such as www-data")
}

// account is what start needs to run the program as $user. uid and gid are that
// user's, as is the command that becomes it by exec, so that pid and start time
// stay; it is empty where nothing has to be become.
const account = facts + `
account() {
	as= uid= gid=
	[ -n "$user" ] || return 0
	uid=$(id -u "$user" 2>/dev/null) && gid=$(id -g "$user" 2>/dev/null) || say nobody
	line=$(getent passwd "$user" 2>/dev/null) || line=$(awk -F: -v name="$user" '$1 == name' /etc/passwd)
	line=${line%:*}
	HOME=${line##*:} USER=$user LOGNAME=$user
	self=$(id -u)
	[ "$uid" != "$self" ] || return 0
	[ "$self" = 0 ] || say notroot "$(id -un 2>/dev/null || id -u)"
	as=$(command -v setpriv) || say setpriv 'it is not there'
	as="$as --reuid=$uid --regid=$gid --init-groups --"
	line=$($as true 2>&1) || say setpriv "$line"
}

# share: the user may enter and read the slot's folder and the release, and
# change neither.
share() {
	[ -n "$as" ] || return 0
	chown -h "$self:$gid" "$home" && chmod g=rx,o-w "$home" || return 1
	chown -Rh "$self:$gid" "$wantdir" && chmod -R g=rX,o-w "$wantdir" || return 1
	for line in "$home" "$wantdir"; do
		line=$($as sh -c "$way" sh "$line")
		[ -z "$line" ] || say closed "$line"
	done
}

# way prints the first folder on the way to $1 that may not be entered.
way='
set -f
IFS=/
at=
for name in ${1#/}; do
	at=$at/$name
	[ -x "$at" ] || { printf "%s\n" "$at"; exit; }
done
'
`

// barred tells why the host does not run a program as the user.
func barred(s deploy.Step, user, word, what string) error {
	message := ""
	switch word {
	case "nobody":
		message = fmt.Sprintf("run_as: the host has no user %s: create it there, or name another one", user)
	case "notroot":
		message = fmt.Sprintf("run_as: only root can start a program as %s, and the host runs commands as %s: give the host become: [sudo, -n], or deploy as root", user, what)
	case "setpriv":
		message = fmt.Sprintf("run_as: the host cannot become %s with setpriv (%s): install util-linux there, or remove run_as", user, what)
	case "closed":
		message = fmt.Sprintf("run_as: %s may not enter %s on the way to the slot or the release: let others enter it (chmod o+x), or choose another release_dir", user, what)
	}
	return fault(s, "start", deploy.CodeInvalid, message)
}
