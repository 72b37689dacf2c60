package script

// launch records itself as FILE in the slot's folder and becomes the rest of its
// argv, the program's environment waiting on descriptor 4. Until then it holds
// the slot's lock, so that there is no program that nobody knows of.
const launch = `
home=$1
status $$ && {
	printf 'ipublish-instance 1\npid=%s\nstart=%s\nboot=%s\n' $$ "$start" "$thisboot"
	printf 'key=%s\nsha256=%s\n' "$3" "$4"
} >"$home/$2.tmp" && mv -f "$home/$2.tmp" "$home/$2" || exit 1
unset LC_ALL OLDPWD
exec 4<"$home/env"
shift 4
exec "$@"
`

// enter is what launch becomes: the user's shell, which takes the environment
// over and becomes the program, so that nothing of it is ever in force as root.
const enter = `
env=$(cat <&4)
exec 4<&-
case $env in *'# end of env') ;; *) echo 'the environment did not arrive whole' >&2; exit 1 ;; esac
eval "$env"
cd -- "$1" || exit 126
shift
exec "$@" 9>&-
`

// keep is the program's parent: it writes the exit status into a file.
const keep = `
out=$1
shift
"$@" &
exec 9>&-
wait $!
printf '%s\n' $? >"$out.tmp" && mv -f "$out.tmp" "$out"
`

// launching starts a program in a session of its own, with a clean environment
// and the slot's log. Its arguments are FILE, KEY and SHA256 for the record, and
// what the program's shell gets; texts of launch, enter and keep are in the
// variables of these names.
const launching = `
launching() {
	file=$1 recordkey=$2 recordsha=$3
	shift 3
	rm -f "$home/$file" "$home/$file.ended" || return 1
	setsid -f env -i PATH="${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}" HOME="${HOME:-/}" \
		USER="${USER:-}" LOGNAME="${LOGNAME:-${USER:-}}" LANG="${LANG:-C.UTF-8}" ${TZ:+TZ="$TZ"} \
		sh -c "$keep" sh "$home/$file.ended" sh -c "$launch" sh "$home" "$file" "$recordkey" "$recordsha" \
		$as /bin/sh -c "$enter" sh "$@" >>"$home/log" 2>&1 </dev/null
}

# ended FILE: its program is no more; rc is its exit status, empty where nobody
# was left to write it down.
ended() {
	rc=
	program "$1"
	if [ ! -e "$home/$1.ended" ]; then
		[ "$prog" -gt 0 ] && ! working || return 1
		moments=20
		until [ -e "$home/$1.ended" ]; do
			moments=$((moments - 1))
			[ "$moments" -gt 0 ] || return 0
			pause
		done
	fi
	IFS= read -r rc <"$home/$1.ended"
}

# opening: the slot's folder and its log are there.
opening() {
	[ -d "$home" ] || { (umask 022 && mkdir -p -- "${home%/*}") && (umask 027 && mkdir -p -- "$home"); } || exit 1
}

# heading TEXT: a line of the log between what programs print.
heading() {
	if [ -f "$home/log" ] && [ "$(wc -c <"$home/log")" -gt 10485760 ]; then
		mv -f "$home/log" "$home/log.1" || exit 1
	fi
	(umask 027 && printf '=== ipublish %s %s\n' "$1" "$(date -u +%FT%TZ)" >>"$home/log") || exit 1
}

# furnish: the environment, in a file that only its owner reads.
furnish() {
	(umask 077 && rm -f "$home/env.tmp" && printf '%s\n' "$env" >"$home/env.tmp") && mv -f "$home/env.tmp" "$home/env" || exit 1
}
`
