package source

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"golang.org/x/sys/unix"
)

// errBadPack is what a server gets that sends something else than a pack.
var errBadPack = errors.New("the server did not send a pack")

// install takes a pack into the mirror: received whole, indexed, then made
// visible by the last rename. An empty pack is nothing.
func (m *mirror) install(ctx context.Context, from io.Reader, tell func(string)) error {
	dir := filepath.Join(m.dir, "objects", "pack")
	f, err := os.CreateTemp(dir, temporaryPrefix)
	if err != nil {
		return err
	}
	in := &meter{ctx: ctx, from: from, tell: tell}
	if _, err := io.Copy(f, in); err != nil {
		return discard(f, err)
	}
	count, err := packCount(f)
	if err != nil || count == 0 {
		return discard(f, err)
	}
	tell(fmt.Sprintf("received %d objects, %s", count, inBytes(in.n)))
	sum, err := writeIndex(ctx, f, dir)
	if err != nil {
		return discard(f, err)
	}
	if err := publish(f, filepath.Join(dir, "pack-"+sum.String()+".pack")); err != nil {
		return err
	}
	m.Reindex()
	return m.consolidate()
}

// packCount reads the number of objects in a pack's header.
func packCount(f *os.File) (uint32, error) {
	var head [12]byte
	n, err := f.ReadAt(head[:], 0)
	if n == 0 {
		return 0, nil
	}
	if n < len(head) || string(head[:4]) != "PACK" {
		return 0, errors.Join(errBadPack, err)
	}
	return binary.BigEndian.Uint32(head[8:]), nil
}

// writeIndex reads a pack through and writes its index beside it.
func writeIndex(ctx context.Context, pack *os.File, dir string) (plumbing.Hash, error) {
	if _, err := pack.Seek(0, io.SeekStart); err != nil {
		return plumbing.ZeroHash, err
	}
	w := new(idxfile.Writer)
	parser, err := packfile.NewParser(packfile.NewScanner(&endable{ctx, pack}), w)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	sum, err := parser.Parse()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	index, err := w.Index()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	f, err := os.CreateTemp(dir, temporaryPrefix)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	out := bufio.NewWriter(f)
	if _, err := idxfile.NewEncoder(out).Encode(index); err != nil {
		return plumbing.ZeroHash, discard(f, err)
	}
	if err := out.Flush(); err != nil {
		return plumbing.ZeroHash, discard(f, err)
	}
	return sum, publish(f, filepath.Join(dir, "pack-"+sum.String()+".idx"))
}

// endable is a file whose reading ends with ctx.
type endable struct {
	ctx context.Context
	*os.File
}

// Read implements io.Reader.
func (e *endable) Read(b []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.File.Read(b)
}

// Every fetch adds a pack, and each costs time in every later look-up. From
// manyPacks on, those of at most smallPack bytes are taken apart.
const (
	manyPacks = 32
	smallPack = 4 << 20
)

// consolidate keeps the number of packs bounded. The loose objects are on disk
// before their pack goes.
func (m *mirror) consolidate() error {
	packs, err := filepath.Glob(filepath.Join(m.dir, "objects", "pack", "pack-*.pack"))
	if err != nil || len(packs) <= manyPacks {
		return err
	}
	var small []string
	for _, p := range packs {
		info, err := os.Stat(p)
		if err != nil {
			return err
		}
		if info.Size() > smallPack {
			continue
		}
		if err := m.unpack(p); err != nil {
			return err
		}
		small = append(small, p)
	}
	return m.removePacks(small)
}

// unpack writes the objects of a pack as loose ones.
func (m *mirror) unpack(pack string) error {
	f, err := os.Open(strings.TrimSuffix(pack, ".pack") + ".idx")
	if err != nil {
		return err
	}
	defer f.Close()
	index := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(bufio.NewReader(f)).Decode(index); err != nil {
		return err
	}
	entries, err := index.Entries()
	if err != nil {
		return err
	}
	defer entries.Close()
	for {
		e, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := m.loosen(e.Hash); err != nil {
			return err
		}
	}
}

func (m *mirror) loosen(h plumbing.Hash) error {
	o, err := m.EncodedObject(plumbing.AnyObject, h)
	if err != nil {
		return err
	}
	_, err = m.SetEncodedObject(o)
	return err
}

func (m *mirror) removePacks(packs []string) error {
	d, err := os.Open(m.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return err
	}
	if err := m.Storage.Close(); err != nil {
		return err
	}
	m.Storage = openStorage(m.dir)
	for _, p := range packs {
		if err := errors.Join(os.Remove(p), os.Remove(strings.TrimSuffix(p, ".pack")+".idx")); err != nil {
			return err
		}
	}
	return nil
}
