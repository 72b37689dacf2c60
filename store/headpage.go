package store

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"

	"ipublish/deploy"
)

// bbolt keeps two head pages ("meta"), written in turn; each one tells how far
// the file reaches. bbolt itself opens an empty file as a new database, panics on
// a cut one and falls back to the older head page silently, so they are read
// before bbolt opens the file.
const (
	headMagic    = 0xED0CDAED
	headVersion  = 2
	headOffset   = 16 // of the head within its page
	headChecksum = 56 // of the checksum within the head
	headSize     = headChecksum + 8
)

type headPage struct {
	pageSize int64
	pages    uint64 // pages in use
}

// inspect judges a database file before bbolt opens it: deploy.CodeDamaged.
// Accepting loss lets a single unreadable head page pass.
func inspect(f *os.File, accept acceptance) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("stat database: %w", err)
	}
	first, firstOK := readHead(f, 0)
	size := int64(os.Getpagesize())
	if firstOK {
		size = first.pageSize
	}
	second, secondOK := readHead(f, size)
	newest := max(first.pages, second.pages) * uint64(size)
	switch {
	case !firstOK && !secondOK:
		return unusable(f.Name(), "its head pages cannot be read")
	case uint64(info.Size()) < newest:
		return unusable(f.Name(), fmt.Sprintf("it is cut off: %d bytes of at least %d are left", info.Size(), newest))
	case (!firstOK || !secondOK) && accept != lossAccepted:
		return damaged("open", f.Name(), "one of the database's two head pages is damaged, so that the last commit may be lost: restore the newest backup of the state folder, or start once with --accept-loss", nil)
	}
	return nil
}

func unusable(path, why string) *deploy.Error {
	return damaged("open", path, "the database is damaged: "+why+"; restore the newest backup of the state folder, or move this file away and start once with --accept-loss", nil)
}

func readHead(f *os.File, offset int64) (headPage, bool) {
	b := make([]byte, headSize)
	if _, err := f.ReadAt(b, offset+headOffset); err != nil {
		return headPage{}, false
	}
	order := binary.NativeEndian
	sum := fnv.New64a()
	sum.Write(b[:headChecksum])
	if order.Uint32(b) != headMagic || order.Uint32(b[4:]) != headVersion || order.Uint64(b[headChecksum:]) != sum.Sum64() {
		return headPage{}, false
	}
	return headPage{pageSize: int64(order.Uint32(b[8:])), pages: order.Uint64(b[40:])}, true
}
