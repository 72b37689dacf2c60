package script

import (
	"fmt"
	"strconv"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer/runtime/process"
)

// installing puts the release where the application looks for it: $1 the slot's
// folder, $2 the release's, $3 the number of places; then for each FROM, TO, the
// number of paths to clear, and these. First everything is judged, then done.
// Exit status 3: a verdict, the rest is said on its own.
const installing = `
set -u
export LC_ALL=C
umask 022
home=$1 dir=$2 count=$3
shift 3
base=$(readlink -f -- "$dir") || exit 1
root=$(readlink -f -- "$home") || exit 1
note=$home/installed
me=$(id -u)

no() { printf '%s\n' "$*"; exit 3; }

# each DO: calls DO FROM TO CLEAR... for every place.
each() {
	todo=$1 n=0
	shift
	while [ "$n" -lt "$count" ]; do
		from=$1 to=$2 clears=$3
		shift 3
		"$todo" || exit 1
		while [ "$clears" -gt 0 ]; do
			gone=$1
			shift
			"$todo"_clear || exit 1
			clears=$((clears - 1))
		done
		n=$((n + 1))
	done
}
nothing() { :; }

# origin: what is to be copied, links resolved; it has to lie in the release.
origin() {
	src=$base${from:+/$from}
	src=$(readlink -f -- "$src") && [ -e "$src" ] || no absent "$from"
	case $src in "$base" | "$base"/*) ;; *) no outside "$from" ;; esac
}

# place PATH: the path with the links of its folder resolved, not its own.
place() {
	parent=$(readlink -f -- "${1%/*}") || parent=${1%/*}
	at=${parent%/}/${1##*/}
}

judge() {
	origin
	[ -d "${to%/*}" ] || no nofolder "${to%/*}"
	[ -w "${to%/*}" ] || no readonly "${to%/*}"
	if [ -d "$src" ]; then
		! [ -e "$to" ] || [ -d "$to" ] || no notfolder "$to"
	else
		! [ -d "$to" ] || no isfolder "$to"
	fi
	place "$to"
	tos="$tos$at
"
}
judge_clear() { :; }

# Only now all places are known.
weigh_clear() {
	place "$gone"
	case $at in /*/*) ;; *) no shallow "$gone" ;; esac
	while IFS= read -r keep; do
		case $keep/ in "$at"/*) no holds "$gone" ;; esac
	done <<END
$base
$root
$tos
END
	goes="$goes$at
"
}

# enter PATH: into the folder of a path that was judged, if it still is that one.
enter() {
	place "$1"
	name=${1##*/}
	case $2 in *"
$at
"*) cd -P -- "$parent" && [ "$(pwd -P)" = "$parent" ] && return ;; esac
	printf '%s is not the folder any more that it was a moment ago\n' "${1%/*}"
	return 1
}

# workshop: into a new folder beside the place that nobody else can write to, so
# that no name in it becomes a link; what a killed run left of it goes.
workshop() {
	work=$name.ipublish-partial
	rm -rf -- "./$work" && mkdir -m 700 -- "./$work" && cd -P -- "./$work" || return 1
	[ "$(pwd -P)" = "${parent%/}/$work" ] && [ -O . ] && return
	printf '%s was changed by somebody else\n' "$parent/$work"
	return 1
}

# mark PATH: by which an installed thing is known again.
mark() {
	if [ -d "$1" ]; then stat -c "%i $to" -- "$1"; else stat -c "%i:%Y:%s $to" -- "$1"; fi
}

firm() { sync -- "$1" 2>/dev/null || sync; }

# spare: what somebody else put there is kept, once.
spare() {
	[ -e "../$name" ] || [ -L "../$name" ] || return 0
	! grep -qxF -- "$(mark "../$name")" "$note" 2>/dev/null || return 0
	kept=../$name.before-ipublish
	if [ -d "../$name" ]; then
		[ ! -e "$kept.tar" ] || return 0
		(umask 077 && tar -cf kept -C .. -- "$name") && firm kept && mv -fT -- kept "$kept.tar"
	else
		[ ! -e "$kept" ] && [ ! -L "$kept" ] || return 0
		ln -PT -- "../$name" "$kept" 2>/dev/null || { cp -pP -- "../$name" kept && firm kept && mv -fT -- kept "$kept"; }
	fi
}

# dress: the new one belongs to whom the old one did, or else the folder does.
dress() {
	like=..
	[ ! -e "../$name" ] || like=../$name
	[ "$me" != 0 ] || chown -Rh "$(stat -L -c %u:%g -- "$like")" part || return 1
	[ ! -e "../$name" ] || chmod "$(stat -L -c %a -- "../$name")" part || return 1
	[ -d part ] || chmod ug-s part
}

copy() {
	origin
	enter "$to" "
$tos" && workshop && cp -RP -- "$src" part || return 1
	[ "$src" != "$base" ] || rm -f -- part/.ipublish-sha256 || return 1
	dress && spare || return 1
	if [ -d part ]; then sync -f part 2>/dev/null || sync; else firm part; fi
	mark part >>"$note" || return 1
	if [ -d part ]; then
		{ ! [ -e "../$name" ] && ! [ -L "../$name" ]; } || mv -T -- "../$name" old || return 1
	fi
	mv -fT -- part "../$name" || return 1
	now="$now$(mark "../$name")
"
	cd -P .. && rm -rf -- "./$work" || return 1
	sync -- . 2>/dev/null || sync
	cd /
}
copy_clear() { :; }

wipe_clear() {
	[ -d "${gone%/*}" ] || return 0
	enter "$gone" "
$goes" && rm -rf -- "./$name" && cd /
}

tos= goes= now=
[ "$count" -gt 0 ] || exit 0
each judge "$@"
weigh() { :; }
each weigh "$@"
each copy "$@"
wipe() { :; }
each wipe "$@"
printf '%s' "$now" >"$note.tmp" && mv -f "$note.tmp" "$note"
`

// places are the arguments of installing after the folders.
func (s settings) places(step deploy.Step) ([]string, error) {
	args := []string{strconv.Itoa(len(s.installs))}
	for _, i := range s.installs {
		from := i.From
		if step.Release.Kind == deploy.ArtifactFile {
			if from != "" && from != step.Release.Name {
				return nil, process.Fault(step, "start", deploy.CodeInvalid, fmt.Sprintf("runtime.script.install.from: the artifact is the file %s and no folder: remove from, or let build.artifact name a folder", step.Release.Name))
			}
			from = step.Release.Name
		}
		args = append(append(args, from, i.To, strconv.Itoa(len(i.Clear))), i.Clear...)
	}
	return args, nil
}

// uninstalled tells why the release is not where the application looks for it.
func uninstalled(s deploy.Step, word, rest, more string) error {
	code := deploy.CodeInvalid
	var message string
	switch word {
	case "absent":
		message = fmt.Sprintf("runtime.script.install.from: there is no %s in the release", rest)
	case "outside":
		message = fmt.Sprintf("runtime.script.install.from: %s leads out of the release by a link: it has to lie within", rest)
	case "nofolder":
		message = fmt.Sprintf("runtime.script.install.to: there is no folder %s on the host: make it, or correct the path", rest)
	case "readonly":
		message = fmt.Sprintf("runtime.script.install.to: the deploy user cannot write into %s: let it, or give the host become: [sudo, -n]", rest)
	case "isfolder":
		message = fmt.Sprintf("runtime.script.install.to: %s is a folder on the host, but the artifact is a file: name the file's whole path", rest)
	case "notfolder":
		message = fmt.Sprintf("runtime.script.install.to: %s is a file on the host, but what is to be installed is a folder: name the file in from", rest)
	case "shallow", "holds":
		message = fmt.Sprintf("runtime.script.install.clear: as links lead on the host, %s is a folder that has to stay: name the folder to be cleared itself", rest)
	default:
		code, message = deploy.CodeFailed, "the release could not be installed: "+process.Printable(strings.TrimSpace(rest+"\n"+more), 1024)
	}
	return process.Fault(s, "start", code, message)
}
