package tomcat

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
)

// look finds what a base is made from: one fact a line, then each file that
// ipublish reads as "SIZE NAME" and its bytes.
const look = `
set -u
home=$1 java=$2 conf=$3 context=$4
say() { printf '%s\n' "$*"; }
send() { say "$(($(wc -c <"$2")))" "$1"; cat "$2"; }
[ -r "$home/bin/catalina.sh" ] || { say no home; exit 0; }
if [ -z "$java" ]; then
	java=$(command -v java) && java=$(readlink -f "$java")
	case $java in */bin/java) java=${java%/bin/java} ;; *) say no path; exit 0 ;; esac
fi
[ -x "$java/bin/java" ] || { say no java "$java"; exit 0; }
if [ -z "$conf" ]; then
	for conf in "$home/conf" "/etc/${home##*/}" "$home/etc"; do
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

# own: the folder of a CATALINA_BASE that conf belongs to, with its lib and bin.
own=${conf%/conf} lib= setenv=
case $own in "$conf" | "$home") own= ;; esac
[ -z "$own" ] || [ ! -d "$own/lib" ] || lib=$own/lib
for file in ${own:+"$own/bin/setenv.sh"} "$home/bin/setenv.sh"; do
	[ ! -r "$file" ] || { setenv=$file; break; }
done
say "$java"
say "$conf"
say "$zone"
say "${LANG:-C.UTF-8}"
say "$lib"
say "$setenv"
[ -z "$setenv" ] || send setenv.sh "$setenv"
for file in "$conf/server.xml" "$conf/context.xml" "$conf"/*/*/"$context.xml"; do
	[ ! -f "$file" ] || send "conf/${file#"$conf"/}" "$file" || exit 1
done
`

// installation is what a host has.
type installation struct {
	java, conf, zone, lang string
	lib                    string            // of the CATALINA_BASE that conf belongs to; empty: none
	setenv                 string            // the setenv.sh that Tomcat has read so far; empty: none
	files                  map[string][]byte // by name: setenv.sh, and what is below conf/ as conf/…
}

func inspect(ctx context.Context, h deployer.Host, s deploy.Step, set settings) (installation, error) {
	out, err := h.Run(ctx, []string{"sh", "-c", look, "sh", set.Home, set.JavaHome, set.Conf, set.Context}, nil)
	if err != nil {
		return installation{}, wrap(s, err)
	}
	lines := bytes.SplitN(out, []byte("\n"), 7)
	if missing, ok := bytes.CutPrefix(lines[0], []byte("no ")); ok {
		return installation{}, absent(s, set, string(missing))
	}
	if len(lines) < 7 {
		return installation{}, unread(s, set)
	}
	fact := func(i int) string { return string(lines[i]) }
	i := installation{java: fact(0), conf: fact(1), zone: fact(2), lang: fact(3), lib: fact(4), setenv: fact(5)}
	if i.files = files(lines[6]); i.files["conf/server.xml"] == nil {
		return installation{}, unread(s, set)
	}
	return i, nil
}

func unread(s deploy.Step, set settings) error {
	return refuse(s, "the installation in "+set.Home+" could not be read as a whole: let the deploy user read server.xml, context.xml and setenv.sh, and deploy again once nobody changes them")
}

// files splits what look sent; nil if it is not whole.
func files(sent []byte) map[string][]byte {
	all := map[string][]byte{}
	for len(sent) > 0 {
		head, rest, _ := bytes.Cut(sent, []byte("\n"))
		length, name, _ := strings.Cut(string(head), " ")
		n, err := strconv.Atoi(length)
		if err != nil || n < 0 || n > len(rest) {
			return nil
		}
		all[name], sent = rest[:n:n], rest[n:]
	}
	return all
}

// edited are the files of conf that change for the slot, by their names below conf.
func (i installation) edited(s deploy.Step, set settings) (map[string][]byte, error) {
	if option := sharedOption(string(i.files["setenv.sh"])); option != "" {
		return nil, refuse(s, fmt.Sprintf("%s has %s, and both slots would share this port: move it to runtime.tomcat.jvm_options with a port such as 1{port}", i.setenv, option))
	}
	out := map[string][]byte{}
	for name, src := range i.files {
		name, ok := strings.CutPrefix(name, "conf/")
		if !ok {
			continue
		}
		var err error
		switch name {
		case "server.xml":
			out[name], err = serverXML(src, s.Port, set.path(), deployed(s.Release, set))
		case "context.xml":
		default:
			out[name], err = descriptor(src)
		}
		if err != nil {
			return nil, refuse(s, path.Join(i.conf, name)+": "+err.Error())
		}
	}
	context, err := contextXML(i.files["conf/context.xml"], s.Stop.D())
	if err != nil {
		return nil, refuse(s, i.conf+"/context.xml: "+err.Error())
	}
	out["context.xml"] = context
	return out, nil
}

// deployed is the release's name below webapps.
func deployed(r deploy.Release, set settings) string {
	if archive(r) != "" {
		return set.Context + ".war"
	}
	return set.Context
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
