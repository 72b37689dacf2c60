package posix

import (
	"crypto/rand"
	"fmt"
	"io"
	"strings"

	"ipublish/deploy"
)

// Put returns the command and the standard input that write r to path, whole
// or not at all: a temporary file beside it, mode, fsync, rename; an absent
// parent folder is made with 0755. The command succeeds only after it read an
// end mark that follows r's last byte: a connection or a reader that breaks
// half-way leaves the old file and removes the temporary one. path must be
// absolute and name a file, mode at most 07777: otherwise deploy.CodeInvalid.
func Put(path string, mode uint32, r io.Reader) (argv []string, in io.Reader, err error) {
	if message := refusePath(path, mode); message != "" {
		return nil, nil, &deploy.Error{Code: deploy.CodeInvalid, Op: "put", Subject: path, Message: message}
	}
	mark := "ipublish-end-" + rand.Text()
	argv = []string{"/bin/sh", "-c", putScript, "put", path, fmt.Sprintf("%04o", mode), mark}
	return argv, io.MultiReader(r, strings.NewReader(mark)), nil
}

func refusePath(path string, mode uint32) string {
	switch {
	case !strings.HasPrefix(path, "/"):
		return "the path is not absolute: files on hosts are named from /"
	case strings.HasSuffix(path, "/"), strings.HasSuffix(path, "/."), strings.HasSuffix(path, "/.."):
		return "the path names a folder: give the name of the file"
	case strings.ContainsRune(path, 0):
		return "the path holds a NUL byte"
	case mode > 0o7777:
		return fmt.Sprintf("%#o is not a file mode", mode)
	}
	return ""
}

// putScript takes path, mode and end mark. The temporary file is created
// exclusively and written through that one descriptor. dd cuts the end mark
// off in place: seek without notrunc truncates by POSIX. A sync that takes no
// file gives way to one of everything. SIGPIPE is ignored, because the complaint
// about a broken connection goes into that connection and must not be the last
// thing the script does.
const putScript = `set -eu
umask 077
path=$1 mode=$2 mark=$3
dir=${path%/*}
[ -n "$dir" ] || dir=/
[ -d "$dir" ] || (umask 022; mkdir -p -- "$dir")
if [ -d "$path" ]; then echo "$path is a folder" >&2; exit 1; fi
temp=$dir/.ipublish-put-${mark##*-}
trap 'rm -f -- "$temp"' EXIT
trap 'exit 1' HUP INT TERM
trap '' PIPE
set -C
exec 3> "$temp"
set +C
cat >&3
exec 3>&-
if [ "$(tail -c ${#mark} "$temp" | tr -d '\000')" != "$mark" ]; then
	echo "the data ended early; nothing was changed" >&2
	exit 1
fi
size=$(wc -c < "$temp")
dd if=/dev/null of="$temp" bs=1 seek=$((size - ${#mark})) 2>/dev/null
chmod "$mode" "$temp"
sync "$temp" 2>/dev/null || sync
mv -f -- "$temp" "$path"
sync "$dir" 2>/dev/null || sync
`
