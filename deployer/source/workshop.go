package source

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"ipublish/deploy"
)

// Options configure a Workshop. The zero value works for repositories and
// builds without secrets.
type Options struct {
	// Resolve replaces ${…} references in one value of the credentials, of
	// build.env or of build.headers. Nil: values are taken as they are.
	Resolve func(string) (string, error)
	// Log receives what an operator may want to know; nil: nothing is logged.
	Log *slog.Logger
	// Roots are the authorities trusted for https; nil: the system's.
	Roots *x509.CertPool
	// MaxFiles and MaxBytes bound an export, a tree artifact, a download and a
	// cached folder; zero:
	// DefaultMaxFiles and DefaultMaxBytes.
	MaxFiles int
	MaxBytes int64
}

// The bounds of an export and of a tree artifact, against archive bombs.
const (
	DefaultMaxFiles = 500_000
	DefaultMaxBytes = 16 << 30
)

// Workshop implements deployer.Source and deployer.Artifacts over one folder.
// It is safe for concurrent use; one process may have the folder open at a time.
type Workshop struct {
	dir   string
	o     Options
	web   *modest
	turns turnstile
}

// Open prepares the folder and sweeps what a crash left behind: unfinished
// exports and half-written artifacts. deploy.CodeInvalid if the folder cannot
// be used.
func Open(dir string, o Options) (*Workshop, error) {
	w := &Workshop{dir: dir, o: o.filled(), web: newWeb(o.Roots)}
	removeTree(w.path(exportsDir))
	if err := os.RemoveAll(w.path(exportsDir)); err != nil {
		return nil, unusable(dir, err)
	}
	for _, d := range []string{mirrorsDir, artifactsDir, recordsDir, exportsDir, logsDir, cachesDir} {
		if err := os.MkdirAll(w.path(d), 0o700); err != nil {
			return nil, unusable(dir, err)
		}
	}
	if err := sweepTemporary(w.path(artifactsDir)); err != nil {
		return nil, unusable(dir, err)
	}
	if err := sweepTemporary(w.path(recordsDir)); err != nil {
		return nil, unusable(dir, err)
	}
	return w, nil
}

// Close closes idle connections. Calls that run are not touched.
func (w *Workshop) Close() { w.web.CloseIdleConnections() }

// The folders of a Workshop.
const (
	mirrorsDir   = "mirrors"
	artifactsDir = "artifacts"
	recordsDir   = "artifacts/index"
	exportsDir   = "exports"
	logsDir      = "logs"
	cachesDir    = "caches"
)

func (w *Workshop) path(elem ...string) string {
	return filepath.Join(append([]string{w.dir}, elem...)...)
}

func (o Options) filled() Options {
	if o.Resolve == nil {
		o.Resolve = func(s string) (string, error) { return s, nil }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = DefaultMaxFiles
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	return o
}

func unusable(dir string, err error) error {
	return fault(deploy.CodeInvalid, "open", dir, "the folder for sources and artifacts cannot be used", err)
}

// Resolve asks the remote for the commit that ref names and brings that commit
// into the mirror, so that Title and Author are known. ref is a branch, a tag
// (peeled to its commit), a full refs/… name, HEAD, or at least 7 digits of a
// commit's hash. A branch wins over a tag of the same name; the answer's Ref is
// then the full "refs/heads/NAME". It blocks on the network.
//
// deploy.CodeInvalid: ref is empty, is not a ref, or shortens several commits;
// deploy.CodeNotFound: nothing is named so, with the nearest names in the message;
// deploy.CodeRefused: credentials or host key were not accepted;
// deploy.CodeUnavailable, deploy.CodeTimeout, deploy.CodeCancelled: no answer.
func (w *Workshop) Resolve(ctx context.Context, p deploy.Settings, ref string) (deploy.Commit, error) {
	if err := checkRef(ref); err != nil {
		return deploy.Commit{}, err
	}
	var c deploy.Commit
	err := w.converse(ctx, p, "resolve", func(v *visit) (err error) {
		c, err = v.resolve(ctx, ref)
		return err
	})
	return c, err
}

// Fetch makes the mirror hold the commit, given as its full hash. It does not
// touch the network if the mirror has it. tell receives progress lines and may
// be nil. Codes as Resolve; deploy.CodeNotFound if the repository does not have
// the commit (any more).
func (w *Workshop) Fetch(ctx context.Context, p deploy.Settings, commit string, tell func(string)) (deploy.Commit, error) {
	h, err := fullHash(commit)
	if err != nil {
		return deploy.Commit{}, err
	}
	if c, err := w.recall(ctx, p, h); err == nil {
		return c, nil
	} else if isEnd(err) || deploy.CodeOf(err) == deploy.CodeInvalid {
		return deploy.Commit{}, err
	}
	var c deploy.Commit
	err = w.converse(ctx, p, "fetch", func(v *visit) (err error) {
		c, err = v.obtain(ctx, h, quietly(tell))
		return err
	})
	return c, err
}

// recall reads a commit from the mirror alone.
func (w *Workshop) recall(ctx context.Context, p deploy.Settings, h plumbing.Hash) (deploy.Commit, error) {
	var c deploy.Commit
	err := w.withMirror(ctx, p, func(m *mirror) (err error) {
		c, err = m.commit(h)
		return err
	})
	return c, err
}

// converse asks the repository what it has, and then runs do with the mirror.
// The mirror is held only for do: a silent remote keeps nobody from reading it.
func (w *Workshop) converse(ctx context.Context, p deploy.Settings, op string, do func(*visit) error) error {
	return w.mending(ctx, p, func() error { return w.converseOnce(ctx, p, op, do) })
}

// mending runs do, and once more with a new mirror if the mirror is damaged.
func (w *Workshop) mending(ctx context.Context, p deploy.Settings, do func() error) error {
	err := do()
	if !errors.Is(err, errDamaged) || ctx.Err() != nil {
		return err
	}
	w.o.Log.Warn("the mirror is damaged and fetched anew", "repository", withoutPassword(p.Repository), "error", err)
	drop := func(m *mirror) error { return os.RemoveAll(m.dir) }
	if err := w.withMirror(ctx, p, drop); err != nil {
		return err
	}
	return do()
}

// address is the plan's repository with its references resolved.
func (w *Workshop) address(p deploy.Settings) (address, error) {
	if !strings.Contains(p.Repository, "${") {
		return parseAddress(p.Repository)
	}
	repository, err := w.o.Resolve(p.Repository)
	if err != nil {
		return address{}, fault(deploy.CodeInvalid, "resolve", "repository", err.Error(), err)
	}
	return parseAddress(repository)
}

func (w *Workshop) converseOnce(ctx context.Context, p deploy.Settings, op string, do func(*visit) error) error {
	a, err := w.address(p)
	if err != nil {
		return err
	}
	cred, err := w.credential(p.Credential)
	if err != nil {
		return err
	}
	r, err := w.dial(ctx, a, cred)
	if err != nil {
		return explain(ctx, op, a, err)
	}
	defer r.close()
	has, err := r.list(ctx)
	if err != nil {
		return explain(ctx, op, a, err)
	}
	err = w.withMirror(ctx, p, func(m *mirror) error {
		return do(&visit{address: a, remote: r, has: has, mirror: m})
	})
	return explain(ctx, op, a, err)
}

// withMirror runs do with the repository's mirror to itself.
func (w *Workshop) withMirror(ctx context.Context, p deploy.Settings, do func(*mirror) error) error {
	a, err := w.address(p)
	if err != nil {
		return err
	}
	leave, err := w.turns.enter(ctx, a.folder())
	if err != nil {
		return explain(ctx, "wait", a, err)
	}
	defer leave()
	m, err := openMirror(w.path(mirrorsDir, a.folder()))
	if err != nil {
		return fault(deploy.CodeFailed, "open mirror", a.shown(), localTrouble(a), err)
	}
	defer m.close()
	return do(m)
}

func fullHash(commit string) (plumbing.Hash, error) {
	if len(commit) != 40 || strings.Trim(commit, "0123456789abcdef") != "" {
		return plumbing.ZeroHash, fault(deploy.CodeInvalid, "fetch", "",
			fmt.Sprintf("%q is not the full hash of a commit: give all 40 hex digits", clip(commit, 60)), nil)
	}
	return plumbing.NewHash(commit), nil
}

func quietly(tell func(string)) func(string) {
	if tell == nil {
		return func(string) {}
	}
	return tell
}
