package tomcat

import (
	"bytes"
	"context"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
)

// look finds what a base is made from: one fact a line, then server.xml.
const look = `
set -u
home=$1 java=$2 conf=$3
say() { printf '%s\n' "$*"; }
[ -r "$home/bin/catalina.sh" ] || { say no home; exit 0; }
if [ -z "$java" ]; then
	java=$(command -v java) && java=$(readlink -f "$java")
	case $java in */bin/java) java=${java%/bin/java} ;; *) say no path; exit 0 ;; esac
fi
[ -x "$java/bin/java" ] || { say no java "$java"; exit 0; }
if [ -z "$conf" ]; then
	for conf in "$home/conf" "$home/etc" "/etc/${home##*/}"; do
		[ ! -r "$conf/server.xml" ] || break
	done
fi
[ -r "$conf/server.xml" ] || { say no conf "$conf"; exit 0; }
zone=${TZ:-}
[ -n "$zone" ] || [ ! -r /etc/timezone ] || IFS= read -r zone </etc/timezone
if [ -z "$zone" ]; then
	zone=$(readlink -f /etc/localtime)
	case $zone in */zoneinfo/*) zone=${zone#*/zoneinfo/} ;; *) zone=UTC ;; esac
fi
say "$java"
say "$conf"
say "$zone"
say "${LANG:-C.UTF-8}"
cat "$conf/server.xml"
`

// prepare writes a base anew. It runs while nothing of ours runs in the slot.
const prepare = `
set -u
base=$1 slot=$2 conf=$3 dir=$4 context=$5 war=$6
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
umask 027
set -e
mkdir -p -- "$base"
printf '%s\n' "$slot" >"$mark"
rm -rf -- "$base/webapps" "$base/work" "$base/temp" "$base/conf"
mkdir -p -- "$base/webapps" "$base/work" "$base/temp" "$base/conf" "$base/logs"
cp -RL -- "$conf/." "$base/conf"
rm -f -- "$base/conf/server.xml"
cp -- "$slot/server.xml" "$base/conf/server.xml"
for descriptor in "$base"/conf/*/*/*.xml; do
	case ${descriptor##*/} in "$context.xml" | '*.xml') ;; *) rm -f -- "$descriptor" ;; esac
done
if [ -n "$war" ]; then
	ln -- "$dir/$war" "$base/webapps/$context.war" 2>/dev/null || cp -- "$dir/$war" "$base/webapps/$context.war"
else
	cp -a -- "$dir/." "$base/webapps/$context"
	rm -f -- "$base/webapps/$context/.ipublish-sha256"
fi
`

// installation is what a host has.
type installation struct {
	java, conf, zone, lang string
	server                 []byte // conf/server.xml
}

func inspect(ctx context.Context, h deployer.Host, s deploy.Step, set settings) (installation, error) {
	out, err := h.Run(ctx, []string{"sh", "-c", look, "sh", set.Home, set.JavaHome, set.Conf}, nil)
	if err != nil {
		return installation{}, wrap(s, err)
	}
	lines := bytes.SplitN(out, []byte("\n"), 5)
	if missing, ok := bytes.CutPrefix(lines[0], []byte("no ")); ok {
		return installation{}, absent(s, set, string(missing))
	}
	if len(lines) < 5 {
		return installation{}, refuse(s, "the installation in "+set.Home+" could not be read")
	}
	return installation{string(lines[0]), string(lines[1]), string(lines[2]), string(lines[3]), lines[4]}, nil
}

func absent(s deploy.Step, set settings, what string) error {
	what, path, _ := strings.Cut(what, " ")
	switch what {
	case "home":
		return refuse(s, "runtime.tomcat.home: "+set.Home+"/bin/catalina.sh is not on the host: install Tomcat there, or name its folder")
	case "path":
		return refuse(s, "no java on the host's PATH: install Java, or set runtime.tomcat.java_home")
	case "java":
		return refuse(s, "runtime.tomcat.java_home: "+path+"/bin/java is not a program on the host")
	default:
		return refuse(s, "runtime.tomcat.conf: "+path+"/server.xml cannot be read on the host: name the folder of Tomcat's configuration, or let the deploy user read it")
	}
}
