package deployer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"ipublish/deploy"
)

// fencePause is how long the guard waits between two looks at the lock.
const fencePause = 200 * time.Millisecond

// fenceScript runs argv unless a newer command was there: $1 the epoch's file,
// $2 our epoch, $3 how often to look again while the lock is held, then argv.
// Who holds the lock writes the pid of its shell into it, for people.
//
// The command gets neither the lock's descriptor, so that what it leaves behind
// does not hold it, nor anything else than its own input. The lock is the
// kernel's and ends with this shell; where there is no flock it is a link that
// names its owner by pid and start time, and is taken from one that is gone.
// While it waits, the guard ends empty lines: if nobody reads them any more, its
// caller is lost, and it ends instead of acting late. The epoch need not survive
// a loss of power: no command does. It always has twenty digits and is written
// over the one before, which needs no space: a full disk keeps no host out.
//
// A Script goes on in the guard's own shell, in a child that shares nothing with
// it: that saves a host a program for each step.
//
// On its way out the guard says why, on the last line of standard error; exit
// status 74: an older command may not run now, 73: the guard cannot work.
const fenceScript = `file=$1 epoch=$2 tries=$3
shift 3
lock=$file.lock
say() { echo "ipublish-fence $1" >&2; }
newest() {
  have=0
  [ ! -s "$file" ] || IFS= read -r have <"$file"
  case $have in '' | *[!0-9]*) why="$file holds no number: remove it"; cannot ;; esac
  have=${have#"${have%%[!0]*}"}
  have=${have:-0}
  [ "$have" -le "$epoch" ] || { say "newer $have"; exit 74; }
}
born() {
  read -r stat <"/proc/$1/stat" || return
  set -- ${stat##*) }
  echo "${20}"
} 2>/dev/null
alive() { if [ -r /proc/self/stat ]; then [ "$(born "$1")" = "$2" ]; else kill -0 "$1"; fi; } 2>/dev/null
take() {
  if [ -n "$kernel" ]; then flock -n 9 </dev/null; return; fi
  ln "$lock.$$" "$lock.owner" 2>/dev/null && return
  read -r pid start <"$lock.owner" || return
  ! alive "$pid" "$start" || return
  mv -f -- "$lock.owner" "$lock.$$.gone" && read -r was then <"$lock.$$.gone" || return
  [ "$was $then" = "$pid $start" ] || ln "$lock.$$.gone" "$lock.owner"
  rm -f -- "$lock.$$.gone" "$lock.$pid"
  return 1
} 2>/dev/null
advance() { printf '%020d\n' "$epoch" 1<>"$file"; }
cannot() { say "unusable $(echo $why)"; exit 73; }
[ -f "$lock" ] && [ -w "$lock" ] || why=$({ { [ -d "${file%/*}" ] || (umask 027; mkdir -p -- "${file%/*}"); } && (: >>"$lock"); } 2>&1) || cannot
if command -v flock >/dev/null; then
  kernel=yes
  exec 9>>"$lock"
else
  kernel=
  trap 'rm -f -- "$lock.$$" "$mine"' EXIT
  trap 'exit 129' HUP INT TERM
  printf '%s %s\n' "$$" "$(born $$)" >"$lock.$$"
fi
mine=
while newest; ! take; do
  holder=
  [ ! -s "$lock" ] || read -r holder <"$lock"
  [ "$tries" -gt 0 ] || { say "held ${holder:-unknown}"; exit 74; }
  tries=$((tries - 1))
  echo >&2 || exit 74
  sleep 0.2 2>/dev/null || sleep 1
done
[ -n "$kernel" ] || mine=$lock.owner
newest
[ "$have" = "$epoch" ] || advance 2>/dev/null || why=$(advance 2>&1) || cannot
{ printf '%s\n' "$$" >"$lock"; } 2>/dev/null
if [ "$#" -ge 4 ] && [ "$1 $2 $4" = 'sh -c ` + scriptName + `' ]; then
  (
    exec 9>&-
    text=$3
    shift 4
    unset -f say newest born alive take advance cannot
    eval "$text"
  )
else
  (exec "$@" 9>&-)
fi
exit $?
`

// The exit statuses of fenceScript that are not the command's, if its mark follows.
const (
	exitFenced   = 74
	exitUnusable = 73
	fenceMark    = "ipublish-fence "
)

// fence makes commands on a host wait for each other, and refuses those of an
// older epoch than the newest that was there: a command whose caller was lost
// can still run, or begin late. file, an absolute path on the host, holds the
// newest epoch; its folder is made. Put and Dial pass through.
//
// Run keeps the command's input, output, complaint and exit status; ended by a
// signal, it is 128 and the signal's number as in every shell. Its further errors are
// deploy.CodeConflict when a newer epoch was there and nothing was run,
// deploy.CodeTimeout when an older command still ran as ctx's deadline came near, and
// deploy.CodeFailed when the file cannot be kept; then nothing was run either.
func fence(h Host, file string, epoch uint64) Host {
	return &fenced{Host: h, file: file, epoch: epoch}
}

type fenced struct {
	Host
	file  string
	epoch uint64
}

// Run implements Host.
func (f *fenced) Run(ctx context.Context, argv []string, in io.Reader) ([]byte, error) {
	if len(argv) == 0 || !path.IsAbs(f.file) {
		return nil, &deploy.Error{Code: deploy.CodeInternal, Op: "run", Subject: f.file, Message: "a guarded command needs a program and an absolute path"}
	}
	args := append([]string{f.file, strconv.FormatUint(f.epoch, 10), strconv.Itoa(looks(ctx))}, argv...)
	out, err := f.Host.Run(ctx, script(fenceScript, args...), in)
	return out, f.judge(err)
}

// looks is how often the lock may be looked at again, so that the last time is
// well before ctx's deadline: a look takes a moment itself.
func looks(ctx context.Context) int {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 1 << 30
	}
	return int(max(0, time.Until(deadline)*3/4/fencePause))
}

// judge tells the guard's own ends from the command's.
func (f *fenced) judge(err error) error {
	var exit *ExitError
	if !errors.As(err, &exit) {
		return err
	}
	verdict, ok := verdict(exit)
	if !ok {
		return err
	}
	fault := &deploy.Error{Code: deploy.CodeFailed, Op: "run", Subject: f.file, Err: err}
	kind, what, _ := strings.Cut(verdict, " ")
	switch kind {
	case "newer":
		fault.Code = deploy.CodeConflict
		fault.Message = fmt.Sprintf("a newer command of ipublish was on this host (%s holds %s, this one is %d): stop the other ipublish that manages it; where there is none, as after a lost state folder, remove that file", f.file, what, f.epoch)
	case "held":
		fault.Code = deploy.CodeTimeout
		fault.Message = fmt.Sprintf("an older command of ipublish still runs on this host (process %s): wait for its end, or end it there", what)
	default:
		fault.Message = fmt.Sprintf("%s, which keeps commands of ipublish apart on this host, cannot be used: %s", f.file, what)
	}
	return fault
}

// verdict is what the guard said last, if it was the guard that ended.
func verdict(exit *ExitError) (string, bool) {
	at := strings.LastIndex(exit.Stderr, fenceMark)
	if at < 0 || exit.Code != exitFenced && exit.Code != exitUnusable {
		return "", false
	}
	first, more, _ := strings.Cut(exit.Stderr[at+len(fenceMark):], "\n")
	return first, more == ""
}
