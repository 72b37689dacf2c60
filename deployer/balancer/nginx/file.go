package nginx

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"ipublish/deploy"
	"ipublish/deployer"
)

// file is a file on nginx's host as it stands.
type file struct {
	Present bool
	Content []byte
}

// sum is what a step calls Known: the sha256, empty for an absent file.
func (f file) sum() string {
	if !f.Present {
		return ""
	}
	return sum(f.Content)
}

func (f file) is(content []byte) bool { return f.Present && bytes.Equal(f.Content, content) }

// readScript prints, for each file of its arguments, "absent", "other" or its
// size, a line feed and its bytes.
const readScript = `
for f; do
	if [ ! -L "$f" ] && [ ! -e "$f" ]; then
		echo absent
	elif [ -L "$f" ] || [ ! -f "$f" ]; then
		echo other
	else
		wc -c <"$f" && cat <"$f" || exit 1
	fi
done
`

// readFiles reads plain files; deploy.CodeRefused for a link or a folder.
func readFiles(ctx context.Context, h deployer.Host, paths ...string) ([]file, error) {
	out, err := h.Run(ctx, append([]string{"sh", "-c", readScript, "ipublish"}, paths...), nil)
	if err != nil {
		return nil, err
	}
	files := make([]file, len(paths))
	for i, path := range paths {
		if files[i], out, err = cutFile(path, out); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// cutFile takes the first file off what readScript printed.
func cutFile(path string, out []byte) (f file, rest []byte, err error) {
	head, rest, _ := bytes.Cut(out, []byte("\n"))
	kind := string(bytes.TrimSpace(head))
	if kind == "absent" {
		return file{}, rest, nil
	}
	if kind == "other" {
		return file{}, nil, &deploy.Error{
			Code: deploy.CodeRefused, Op: "read", Subject: path,
			Message: fmt.Sprintf("%s is not a plain file; give the key include the path of the file itself, not of a link to it", path),
		}
	}
	size, err := strconv.Atoi(kind)
	if err != nil || size < 0 || size > len(rest) {
		return file{}, nil, &deploy.Error{
			Code: deploy.CodeUnavailable, Op: "read", Subject: path,
			Message: fmt.Sprintf("%s changed while it was read, or is too large", path),
		}
	}
	return file{Present: true, Content: rest[:size:size]}, rest[size:], nil
}

// replace makes the file at path be f: its bytes, or its absence.
func (f file) replace(ctx context.Context, h deployer.Host, path string) error {
	if !f.Present {
		return remove(ctx, h, path)
	}
	return h.Put(ctx, path, 0o644, bytes.NewReader(f.Content))
}

func remove(ctx context.Context, h deployer.Host, path string) error {
	_, err := h.Run(ctx, []string{"rm", "-f", "--", path}, nil)
	return err
}

// stand is the include file with the bytes that the last switch replaced, which
// stay beside it: a switch whose end nobody recorded can be told from an edit.
type stand struct {
	Now      file
	Replaced file // what stood before the last switch, absent for nothing
	Switched bool // Replaced is known
}

func readStand(ctx context.Context, h deployer.Host, s settings) (stand, error) {
	files, err := readFiles(ctx, h, s.Include, s.sidecar())
	if err != nil {
		return stand{}, err
	}
	now, side := files[0], files[1]
	st := stand{Now: now, Switched: side.Present}
	if len(side.Content) > 0 {
		st.Replaced = side
	}
	return st, nil
}

// ours reports whether the file is as ipublish left it: the known version, or
// the one that an unrecorded switch from the known version wrote.
func (st stand) ours(known string) bool {
	return st.Now.sum() == known || st.unrecorded(known)
}

func (st stand) unrecorded(known string) bool {
	return st.Switched && st.Replaced.sum() == known && st.Now.Present && genuine(st.Now.Content)
}

// undo is what a failed switch puts back.
func (st stand) undo(known string) file {
	if st.unrecorded(known) {
		return st.Replaced
	}
	return st.Now
}

// remember writes f beside the include file, before that changes. An absent
// file is remembered as an empty one.
func (f file) remember(ctx context.Context, h deployer.Host, s settings) error {
	return h.Put(ctx, s.sidecar(), 0o644, bytes.NewReader(f.Content))
}
