package tomcat

import (
	"maps"
	"slices"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer/runtime/process"
)

// prepare writes a base anew. It runs while nothing of ours runs in the slot.
// Where Tomcat runs as another user (as, owner: see process.Script), base itself
// stays ours, so that nothing in it can be put in the way of what is done here.
const prepare = `
set -u
base=$1 slot=$2 conf=$3 dir=$4 context=$5 war=$6 home=$7 java=$8 lib=$9
shift 9
setenv=$1 fixedjava=$2 edited=$3 ours=
mark=$base/.ipublish-slot
if [ -f "$mark" ]; then
	of=
	IFS= read -r of <"$mark"
	if [ -n "$of" ] && [ "$of" != "$slot" ]; then
		echo "$base belongs to the slot in $of: give each slot a base of its own"
		exit 3
	fi
elif [ -n "$(ls -A "$base" 2>/dev/null)" ]; then
	echo "$base holds files that ipublish did not put there: choose another base, or empty it"
	exit 3
fi
if [ -n "$war" ] && ! [ -f "$dir/$war" ]; then
	echo "$dir/$war is not on the host: deploy the release again"
	exit 1
fi
if [ -n "$as" ]; then
	for above in "${base%/*}" "$slot"; do
		if $as sh -c '[ -w "$1" ]' sh "$above/"; then
			echo "the user of run_as may write $above, where ipublish works as root: choose another base"
			exit 1
		fi
	done
	ours=$(id -u):${owner#*:}
fi

# give OWNER PATH...: no link is followed.
give() { [ -z "$as" ] || chown -Rh "$@"; }

# pull FOLDER INTO: its files, with those that links lead to. The user of run_as
# may own it, so that it is read as that user, and what comes is not trusted: only
# files and folders are made of it, with no right to become anybody.
pull() {
	[ -n "$as" ] || { cp -RL -- "$1/." "$2"; return; }
	{ $as tar -C "$1" -chf - . 2>"$base/why" || : >"$base/unread"; } | cat >"$base/pulled"
	[ ! -e "$base/unread" ] || unreadable "$1" "$(head -n 1 "$base/why")"
	if tar -tvf "$base/pulled" | grep -q '^[^-d]'; then
		echo "$1 holds something that is no plain file and no folder, or a file with two names: remove it"
		exit 1
	fi
	tar -C "$2" -xof "$base/pulled"
	chmod -R ug-s,u+rwX,g+rX,o-w -- "$2"
	rm -f -- "$base/pulled" "$base/why"
}
unreadable() {
	echo "the user of run_as may not read all of $1: let that user read it ($2)"
	exit 1
}

set -e
(umask 022 && mkdir -p -- "${base%/*}")
umask 027
mkdir -p -- "$base"
[ -z "$as" ] || { chown "$ours" "$base/." && chmod g=rx,o-w "$base/."; }
printf '%s\n' "$slot" >"$mark"
rm -rf -- "$base/pulled" "$base/why" "$base/unread"
rm -rf -- "$base/webapps" "$base/work" "$base/temp" "$base/conf" "$base/lib" "$base/bin"
mkdir -p -- "$base/webapps" "$base/work" "$base/temp" "$base/conf" "$base/logs"
pull "$conf" "$base/conf"
for descriptor in "$base"/conf/*/*/*.xml; do
	case ${descriptor##*/} in "$context.xml" | '*.xml') ;; *) rm -f -- "$descriptor" ;; esac
done
printf '%s\n' "$edited" | while IFS= read -r name; do
	rm -f -- "$base/conf/$name"
	cp -- "$slot/conf/$name" "$base/conf/$name"
done
if [ -n "$lib" ]; then
	mkdir -- "$base/lib"
	pull "$lib" "$base/lib"
	give "$ours" "$base/lib"
fi
if [ -n "$setenv" ]; then
	mkdir -- "$base/bin"
	$as cat -- "$setenv" >"$base/bin/setenv.own.sh" 2>"$base/why" || unreadable "$setenv" "$(head -n 1 "$base/why")"
	rm -f -- "$base/why"
	cat >"$base/bin/setenv.sh" <<'END'
# setenv.own.sh is the installation's; what the slot needs holds after it too.
slot_home=$CATALINA_HOME slot_base=$CATALINA_BASE slot_temp=$CATALINA_TMPDIR slot_java=$JAVA_HOME slot_options=$CATALINA_OPTS
. "$CATALINA_BASE/bin/setenv.own.sh"
CATALINA_HOME=$slot_home CATALINA_BASE=$slot_base CATALINA_TMPDIR=$slot_temp
case " $CATALINA_OPTS " in *" $slot_options "*) ;; *) CATALINA_OPTS="$CATALINA_OPTS $slot_options" ;; esac
END
	if [ -n "$fixedjava" ]; then
		echo 'JAVA_HOME=$slot_java JRE_HOME=$slot_java'
	else
		echo '[ "$JAVA_HOME" = "$slot_java" ] || [ "$JRE_HOME" != "$slot_java" ] || JRE_HOME=$JAVA_HOME'
	fi >>"$base/bin/setenv.sh"
	give "$ours" "$base/bin"
fi
if [ -n "$war" ]; then
	ln -- "$dir/$war" "$base/webapps/$context.war" 2>/dev/null || cp -- "$dir/$war" "$base/webapps/$context.war"
	give "$ours" "$base/webapps/$context.war"
else
	cp -a -- "$dir/." "$base/webapps/$context"
	rm -f -- "$base/webapps/$context/.ipublish-sha256"
	give "$owner" "$base/webapps/$context"
fi
[ -n "$as" ] || exit 0

chown -h "$owner" "$base/webapps"
give "$owner" "$base/conf" "$base/work" "$base/temp"
[ "$(stat -Lc %u:%g "$base/logs")" = "$owner" ] || give "$owner" "$base/logs/."
set -- "$java/bin/java" "$home/bin/catalina.sh" "$base/conf/server.xml" "$base/logs/."
[ -z "$setenv" ] || set -- "$@" "$base/bin/setenv.sh" "$base/bin/setenv.own.sh"
[ -z "$lib" ] || set -- "$@" "$base/lib/."
for path in "$@"; do
	$as sh -c '[ -r "$1" ]' sh "$path" || { echo "the user of run_as may not read $path: let others read it"; exit 1; }
done
`

// preparation is prepare with its arguments. The edited files were put into conf
// of the slot's folder.
func preparation(s deploy.Step, set settings, found installation, edited map[string][]byte) process.Script {
	return process.Script{Text: prepare, Args: []string{
		set.Base, s.Home, found.conf, s.Dir, set.Context, archive(s.Release), set.Home, found.java, found.lib,
		found.setenv, set.JavaHome, strings.Join(slices.Sorted(maps.Keys(edited)), "\n"),
	}}
}
