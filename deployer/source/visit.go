package source

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"ipublish/deploy"
)

// remote is one conversation with a repository. Its errors are go-git's or the
// network's; explain gives them codes.
type remote interface {
	// list asks what the repository advertises.
	list(ctx context.Context) (*refs, error)
	// bring makes the mirror hold what the wants point at.
	bring(ctx context.Context, m *mirror, wants []found, far reach, tell func(string)) error
	// matching gives the commits whose hash starts with prefix.
	matching(ctx context.Context, m *mirror, prefix string) ([]plumbing.Hash, error)
	close()
}

// reach is how much history is brought.
type reach int

const (
	missing reach = iota // what lies between the mirror's commits and the wanted ones
	single               // the wanted commits alone, without their history
	whole                // all history, also that which the mirror left out so far
)

// visit is one conversation with the mirror at hand.
type visit struct {
	address address
	remote  remote
	has     *refs
	mirror  *mirror
}

// resolve finds the commit that a person's text names.
func (v *visit) resolve(ctx context.Context, text string) (deploy.Commit, error) {
	if f, ok := v.has.find(text); ok {
		return v.land(ctx, f, func(string) {})
	}
	prefix, ok := hexPrefix(text)
	if !ok {
		return deploy.Commit{}, v.has.unknown(text)
	}
	if len(prefix) == 40 {
		return v.obtain(ctx, plumbing.NewHash(prefix), func(string) {})
	}
	return v.lengthen(ctx, text, prefix)
}

// land brings a ref's commit and reads it.
func (v *visit) land(ctx context.Context, f found, tell func(string)) (deploy.Commit, error) {
	c, err := v.mirror.commit(v.has.commitOf(f.name))
	if err != nil {
		if err := v.remote.bring(ctx, v.mirror, []found{f}, v.mirror.reach(), tell); err != nil {
			return deploy.Commit{}, err
		}
		if c, err = v.mirror.commit(f.hash); err != nil {
			return deploy.Commit{}, noCommit(f.show, err)
		}
	}
	c.Ref = f.show
	return c, v.mirror.forget(v.has)
}

func noCommit(ref string, err error) error {
	return fault(deploy.CodeInvalid, "resolve", clip(ref, 80), fmt.Sprintf("%q does not point at a commit", clip(ref, 80)), err)
}

// lengthen finds the only commit whose hash starts with prefix.
func (v *visit) lengthen(ctx context.Context, text, prefix string) (deploy.Commit, error) {
	hits, err := v.remote.matching(ctx, v.mirror, prefix)
	if err != nil {
		return deploy.Commit{}, err
	}
	switch len(hits) {
	case 0:
		return deploy.Commit{}, v.has.unknown(text)
	case 1:
		return v.obtain(ctx, hits[0], func(string) {})
	}
	return deploy.Commit{}, ambiguous(text, hits)
}

func ambiguous(text string, hits []plumbing.Hash) error {
	var names []string
	for _, h := range hits[:min(len(hits), 5)] {
		names = append(names, h.String())
	}
	return fault(deploy.CodeInvalid, "resolve", text,
		fmt.Sprintf("%s shortens %d commits, give more digits of one: %s", text, len(hits), strings.Join(names, ", ")), nil)
}

// obtain brings a commit that is known by its full hash: by a ref that is it,
// by its hash where the server allows that, else with all branches and tags.
func (v *visit) obtain(ctx context.Context, h plumbing.Hash, tell func(string)) (deploy.Commit, error) {
	if c, err := v.mirror.commit(h); err == nil {
		return c, nil
	}
	if f, ok := v.has.holding(h); ok {
		c, err := v.land(ctx, f, tell)
		c.Ref = ""
		return c, err
	}
	if v.has.exact {
		return v.byHash(ctx, h, tell)
	}
	if err := bringAll(ctx, v.remote, v.mirror, v.has, tell); err != nil {
		return deploy.Commit{}, err
	}
	c, err := v.mirror.commit(h)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return deploy.Commit{}, absent(h, err)
	}
	return c, err
}

// byHash asks the server for a commit that no ref points at.
func (v *visit) byHash(ctx context.Context, h plumbing.Hash, tell func(string)) (deploy.Commit, error) {
	f := found{hash: h, show: h.String()}
	err := v.remote.bring(ctx, v.mirror, []found{f}, v.mirror.reach(), tell)
	if err != nil && saysUnknown(err) {
		return deploy.Commit{}, absent(h, err)
	}
	if err != nil {
		return deploy.Commit{}, err
	}
	return v.mirror.commit(h)
}

// saysUnknown reports whether the server answered that it does not have the wanted commit.
func saysUnknown(err error) bool {
	return strings.Contains(err.Error(), "not our ref") || errors.Is(err, plumbing.ErrObjectNotFound)
}

func absent(h plumbing.Hash, err error) error {
	return fault(deploy.CodeNotFound, "fetch", h.String(),
		fmt.Sprintf("the repository does not have the commit %s: it may have been force-pushed away", deploy.Short(h.String())), err)
}

// bringAll brings every branch and tag with its whole history.
func bringAll(ctx context.Context, r remote, m *mirror, has *refs, tell func(string)) error {
	var wants []found
	for _, name := range has.names() {
		wants = append(wants, found{name: name, hash: has.hash[name], show: shortName(name)})
	}
	if err := r.bring(ctx, m, wants, whole, tell); err != nil {
		return err
	}
	return m.forget(has)
}
