package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"ipublish/deploy"
)

// What build.timeout and build.silence_timeout are if they are not configured.
const (
	DefaultTimeout        = 15 * time.Minute
	DefaultSilenceTimeout = 300 * time.Second
)

// Build makes the artifact of the release exist and returns the release with
// SHA256, Kind, Name and Size. It blocks until the build ends; two calls for
// the same commit and recipe build once. tell receives what the build prints,
// line by line, with the values of references replaced by ***, and may be nil.
// When it returns, no process and no temporary file of the build is left.
//
// With build.artifact_url nothing is built and the mirror is not touched: the
// file is downloaded, and waited for at most build.wait long, with lines that
// say "waiting for CI". A name that ends with .tar, .tar.gz or .tgz is unpacked
// to a tree, any other is the artifact as it is. deploy.CodeTimeout then is the
// end of the waiting, deploy.CodeRefused credentials, a certificate or a
// redirect that is not accepted, and deploy.CodeFailed what is downloaded: too
// large, another sha256, or no archive.
//
// deploy.CodeFailed: the build failed, with its last output in Log;
// deploy.CodeInvalid: the commit or the build section (CheckBuild) cannot be built;
// deploy.CodeTimeout: build.timeout, build.silence_timeout or ctx's deadline
// passed; deploy.CodeCancelled: ctx ended. If the mirror does not have the
// commit it is fetched, with Fetch's codes.
func (w *Workshop) Build(ctx context.Context, p deploy.Settings, r deploy.Release, tell func(string)) (deploy.Release, error) {
	tell = quietly(tell)
	h, err := fullHash(r.Commit.SHA)
	if err != nil {
		return r, err
	}
	if err := CheckBuild(p.Build); err != nil {
		return r, err
	}
	leave, err := w.turns.enter(ctx, w.recordPath(r))
	if err != nil {
		return r, ended(ctx, "build", r.App)
	}
	defer leave()
	if done, ok := w.known(r); ok {
		tell("the artifact of " + r.Commit.Short() + " is there already")
		return done, nil
	}
	if p.Build.ArtifactURL != "" {
		r, err = w.deliver(ctx, p.Build, r, tell)
	} else {
		r, err = w.produce(ctx, p, r, h, tell)
	}
	return r, buildFault(ctx, r.App, err)
}

// buildFault gives what has no code yet one: the end of ctx, or this machine's trouble.
func buildFault(ctx context.Context, app string, err error) error {
	var said *deploy.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ended(ctx, "build", app)
	case errors.As(err, &said):
		return err
	}
	return fault(deploy.CodeFailed, "build", app, "the build could not be done on the bot's machine: "+clip(err.Error(), 300), err)
}

// site is the folder of one build, gone after it.
type site struct {
	dir, tree, tmp, home string
	at                   time.Time // of the commit
}

// The folders of a site.
const (
	treeDir = "tree"
	tmpDir  = "tmp"
	homeDir = "home"
)

func newSite(dir string) (site, error) {
	s := site{dir: dir, tree: filepath.Join(dir, treeDir), tmp: filepath.Join(dir, tmpDir), home: filepath.Join(dir, homeDir)}
	for _, d := range []string{s.tmp, s.home} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return s, err
		}
	}
	return s, nil
}

// produce exports, builds, stores and records one release.
func (w *Workshop) produce(ctx context.Context, p deploy.Settings, r deploy.Release, h plumbing.Hash, tell func(string)) (deploy.Release, error) {
	dir, err := os.MkdirTemp(w.path(exportsDir), "")
	if err != nil {
		return r, err
	}
	defer removeTree(dir)
	place, err := newSite(dir)
	if err != nil {
		return r, err
	}
	if place.at, err = w.export(ctx, p, h, place.tree, tell); err != nil {
		return r, err
	}
	folders, err := w.cachedFolders(p, r.App)
	if err != nil {
		return r, err
	}
	if len(p.Build.Run) > 0 {
		if err := w.fill(ctx, place, folders, tell); err != nil {
			return r, err
		}
		if err := w.run(ctx, p, r, place, tell); err != nil {
			return r, err
		}
	}
	if r, err = w.collect(ctx, p.Build.Artifact, place, r); err != nil {
		return r, err
	}
	if err := w.note(r); err != nil {
		return r, err
	}
	w.preserve(ctx, place, folders, tell)
	return r, nil
}

// removeTree removes a folder even if a build took the rights from parts of it.
// Links are removed, not followed.
func removeTree(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}

// export writes the commit's files to dir. A damaged mirror is thrown away and
// fetched anew, once.
func (w *Workshop) export(ctx context.Context, p deploy.Settings, h plumbing.Hash, dir string, tell func(string)) (at time.Time, err error) {
	err = w.mending(ctx, p, func() error {
		removeTree(dir)
		at, err = w.exportOnce(ctx, p, h, dir, tell)
		return err
	})
	return at, err
}

func (w *Workshop) exportOnce(ctx context.Context, p deploy.Settings, h plumbing.Hash, dir string, tell func(string)) (at time.Time, err error) {
	if _, err := w.Fetch(ctx, p, h.String(), tell); err != nil {
		return at, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return at, err
	}
	return at, w.withMirror(ctx, p, func(m *mirror) error {
		c, err := peel(m.Storage, h)
		if err != nil {
			return damaged(err)
		}
		at = c.Committer.When
		return m.export(ctx, h, dir, w.o, tell)
	})
}

// run runs the build's command in the export.
func (w *Workshop) run(ctx context.Context, p deploy.Settings, r deploy.Release, place site, tell func(string)) error {
	env, secrets, err := w.environ(p, r.Commit.SHA, place)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(w.path(logsDir, r.Commit.SHA+".log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	out := newOutput(tell, log, secrets)
	c := command{
		argv: p.Build.Run, dir: place.tree, env: env, out: out,
		limit:   orDefault(p.Build.Timeout, DefaultTimeout),
		silence: orDefault(p.Build.SilenceTimeout, DefaultSilenceTimeout),
	}
	if err := c.run(ctx); err != nil && ctx.Err() == nil {
		return failedBuild(r.App, p.Build.Run, err, out.tail.String())
	} else if err != nil {
		return err
	}
	return nil
}

func orDefault(d deploy.Duration, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d.D()
}

func failedBuild(app string, argv []string, err error, log string) error {
	code := deploy.CodeFailed
	if errors.Is(err, errTooLong) || errors.Is(err, errSilent) {
		code = deploy.CodeTimeout
	}
	e := fault(code, "build", app, fmt.Sprintf("the build failed: %s (%s)", outcome(err), clip(strings.Join(argv, " "), 200)), err)
	e.Log = log
	return e
}

// collect stores what the build made.
func (w *Workshop) collect(ctx context.Context, artifact string, place site, r deploy.Release) (deploy.Release, error) {
	root, err := os.OpenRoot(place.tree)
	if err != nil {
		return r, err
	}
	defer root.Close()
	if artifact == "" {
		artifact = "."
	}
	info, err := root.Stat(artifact)
	if err != nil {
		return r, fault(deploy.CodeFailed, "build", r.App, fmt.Sprintf("the build made no %s: check build.artifact", clip(artifact, 200)), err)
	}
	switch {
	case info.IsDir():
		return w.collectTree(ctx, root, artifact, place.at, r)
	case info.Mode().IsRegular():
		return w.collectFile(ctx, root, artifact, info.Size(), r)
	}
	return r, fault(deploy.CodeFailed, "build", r.App, clip(artifact, 200)+" is neither a file nor a folder", nil)
}

func (w *Workshop) collectTree(ctx context.Context, root *os.Root, artifact string, at time.Time, r deploy.Release) (deploy.Release, error) {
	sub, err := root.OpenRoot(artifact)
	if err != nil {
		return r, err
	}
	defer sub.Close()
	r.Kind, r.Name = deploy.ArtifactTree, ""
	r.SHA256, r.Size, err = w.keep(func(out io.Writer) error { return writeTree(ctx, out, sub, at, w.o) })
	return r, err
}

func (w *Workshop) collectFile(ctx context.Context, root *os.Root, artifact string, size int64, r deploy.Release) (deploy.Release, error) {
	if size > w.o.MaxBytes {
		return r, tooMuch("the artifact holds more than " + inBytes(w.o.MaxBytes))
	}
	f, err := root.Open(artifact)
	if err != nil {
		return r, err
	}
	defer f.Close()
	r.Kind, r.Name = deploy.ArtifactFile, path.Base(filepath.ToSlash(artifact))
	r.SHA256, r.Size, err = w.keep(func(out io.Writer) error {
		_, err := io.Copy(out, struct{ io.Reader }{&endable{ctx, f}}) // a file's own WriteTo would not end with ctx
		return err
	})
	return r, err
}
