package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ipublish/deploy"
)

// A cached folder has one kept copy per app, repository and entry. A build gets
// a copy of that, and its own becomes the kept one only when the build has
// succeeded and its artifact is stored, by one rename. So a build that fails or
// is killed changes nothing, and builds at the same time do not see each other:
// the last one to succeed is kept.

// homePrefix marks an entry of build.cache that lies below the build's home.
const homePrefix = "~/"

// cacheAge is how long a kept folder that no build uses is left.
const cacheAge = 30 * 24 * time.Hour

// cached is one entry of build.cache in one build.
type cached struct {
	entry string // as configured
	at    string // slash path within the build's site
	name  string // of the kept copy
	own   bool   // the commit holds it itself: neither filled nor kept
}

// cachedFolders are the entries of a build. The kept copies' names are made of
// hashes, for entries and apps are no paths.
func (w *Workshop) cachedFolders(p deploy.Settings, app string) ([]cached, error) {
	if len(p.Build.Cache) == 0 {
		return nil, nil
	}
	a, err := w.address(p)
	if err != nil {
		return nil, err
	}
	var out []cached
	for _, entry := range p.Build.Cache {
		below, home := strings.CutPrefix(entry, homePrefix)
		clean := path.Clean(below)
		c := cached{entry: entry, at: path.Join(treeDir, clean)}
		if home {
			c.at = path.Join(homeDir, clean)
		}
		sum := sha256.Sum256([]byte(app + "\n" + a.folder() + "\n" + c.at))
		c.name = slug(clean) + "-" + hex.EncodeToString(sum[:16])
		out = append(out, c)
	}
	return out, nil
}

// belowHome reports whether a build has folders of its home kept, and so a home
// of its own.
func belowHome(entries []string) bool {
	for _, e := range entries {
		if strings.HasPrefix(e, homePrefix) {
			return true
		}
	}
	return false
}

// fill puts the kept folders into a site. A folder that cannot be copied is
// left out: the build goes on without it. deploy.CodeInvalid if the commit has a
// link in an entry's way.
func (w *Workshop) fill(ctx context.Context, place site, folders []cached, tell func(string)) error {
	if len(folders) == 0 {
		return nil
	}
	root, err := os.OpenRoot(place.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for i := range folders {
		c := &folders[i]
		there, ok, err := firm(root, c.at)
		switch {
		case err != nil:
			return err
		case !ok:
			return unsound("build.cache: %q leads through %s, which is no folder in this commit: take it out of build.cache", clip(c.entry, 200), clip(strings.TrimPrefix(there, treeDir+"/"), 200))
		case there == c.at:
			c.own = true
			tell(fmt.Sprintf("the cached folder %s is part of the commit: it is neither filled nor kept", clip(c.entry, 200)))
			continue
		}
		if err := w.fillOne(ctx, root, *c); ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil {
			tell(fmt.Sprintf("the cached folder %s cannot be used, the build starts without it: %s", clip(c.entry, 200), clip(err.Error(), 200)))
		}
	}
	return nil
}

// fillOne copies a kept folder to its place, whole or not at all.
func (w *Workshop) fillOne(ctx context.Context, root *os.Root, c cached) error {
	leave, err := w.turns.enter(ctx, c.name)
	if err != nil {
		return err
	}
	defer leave()
	kept := w.path(cachesDir, c.name)
	from, err := os.OpenRoot(kept)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	now := time.Now()
	_ = os.Chtimes(kept, now, now) // in use: see pruneCaches
	if err := root.MkdirAll(c.at, 0o755); err != nil {
		return err
	}
	to, err := root.OpenRoot(c.at)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := clone(ctx, from, to, w.o); err != nil {
		removeTree(filepath.Join(root.Name(), filepath.FromSlash(c.at)))
		return err
	}
	return nil
}

// preserve makes the folders of a successful build the kept ones: it takes them
// out of the build's reach, has them on disk, and changes each for the kept one,
// which goes with the site. What cannot be kept is told; it is no failure of
// the build.
func (w *Workshop) preserve(ctx context.Context, place site, folders []cached, tell func(string)) {
	lost := func(c cached, err error) {
		tell(fmt.Sprintf("the cached folder %s is not kept: %s", clip(c.entry, 200), clip(err.Error(), 200)))
	}
	fresh := map[int]string{}
	for i, c := range folders {
		path, err := takeOut(place, c, "fresh"+strconv.Itoa(i))
		if err != nil {
			lost(c, err)
		} else if path != "" {
			fresh[i] = path
		}
	}
	if len(fresh) == 0 {
		return
	}
	unsynced := syncFilesystem(place.dir)
	for i, path := range fresh {
		if err := errors.Join(unsynced, ctx.Err()); err != nil {
			lost(folders[i], err)
		} else if err := w.swap(ctx, path, folders[i].name, path+"-stale"); err != nil {
			lost(folders[i], err)
		}
	}
}

// swap makes the folder at fresh the kept one, and moves that to stale. A crash
// in between loses the cache, and no more.
func (w *Workshop) swap(ctx context.Context, fresh, name, stale string) error {
	leave, err := w.turns.enter(ctx, name)
	if err != nil {
		return err
	}
	defer leave()
	kept := w.path(cachesDir, name)
	if err := os.Rename(kept, stale); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, kept); err != nil {
		return err
	}
	now := time.Now()
	_ = os.Chtimes(kept, now, now)
	return syncDir(w.path(cachesDir))
}

// takeOut moves a folder of the build to the top of its site, whatever links
// the build has made: they do not lead out of the site. It gives the new path,
// or nothing if the build left no such folder.
func takeOut(place site, c cached, name string) (string, error) {
	if c.own {
		return "", nil
	}
	root, err := os.OpenRoot(place.dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	there, ok, err := firm(root, c.at)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", fmt.Errorf("%s is no folder", clip(strings.TrimPrefix(there, treeDir+"/"), 200))
	}
	if there != c.at {
		return "", nil
	}
	// A folder can be moved to another one only by who may write to it.
	if err := root.Chmod(c.at, 0o755); err != nil {
		return "", err
	}
	if err := root.Rename(c.at, name); err != nil {
		return "", err
	}
	if info, err := root.Lstat(name); err != nil || !info.IsDir() {
		return "", errors.Join(err, errors.New("it is no folder"))
	}
	return filepath.Join(place.dir, name), nil
}

// syncFilesystem has everything that was written on disk: without it, a power
// loss after the rename could leave empty files in a kept folder.
func syncFilesystem(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// pruneCaches removes the kept folders that no build used for cacheAge.
func (w *Workshop) pruneCaches() error {
	entries, err := os.ReadDir(w.path(cachesDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := w.pruneCache(e.Name()); err != nil {
			return err
		}
	}
	return nil
}

func (w *Workshop) pruneCache(name string) error {
	leave, err := w.turns.enter(context.Background(), name)
	if err != nil {
		return err
	}
	defer leave()
	info, err := os.Lstat(w.path(cachesDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || time.Since(info.ModTime()) < cacheAge {
		return err
	}
	dir, err := os.MkdirTemp(w.path(exportsDir), "")
	if err != nil {
		return err
	}
	defer removeTree(dir)
	return os.Rename(w.path(cachesDir, name), filepath.Join(dir, name))
}
