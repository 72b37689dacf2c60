package source

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// wire speaks git-upload-pack with a server. It drives go-git's session itself,
// since git.Remote does not tell the server which commits are shallow here, and
// then misses what lies below them.
type wire struct {
	session transport.UploadPackSession
	caps    *capability.List
	has     *refs
}

// everything is the depth by which git's protocol means "no bound".
const everything = math.MaxInt32

func (w *wire) close() { _ = w.session.Close() }

func (w *wire) list(ctx context.Context) (*refs, error) {
	ar, err := w.session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, err
	}
	w.caps = ar.Capabilities
	w.has = &refs{
		hash:   ar.References,
		peeled: ar.Peeled,
		exact:  ar.Capabilities.Supports(capability.AllowReachableSHA1InWant),
	}
	if ar.Head != nil {
		w.has.head = *ar.Head
	}
	return w.has, nil
}

func (w *wire) matching(ctx context.Context, m *mirror, prefix string) ([]plumbing.Hash, error) {
	if err := bringAll(ctx, w, m, w.has, func(string) {}); err != nil {
		return nil, err
	}
	return commitsMatching(m.Storage, prefix)
}

func (w *wire) bring(ctx context.Context, m *mirror, wants []found, far reach, tell func(string)) error {
	req, err := w.request(m, wants, far)
	if err != nil {
		return err
	}
	if len(req.Wants) > 0 {
		if err := w.receive(ctx, m, req, tell); err != nil {
			return err
		}
	}
	return m.remember(wants)
}

// request decides what to ask for; without Wants there is nothing to ask.
func (w *wire) request(m *mirror, wants []found, far reach) (*packp.UploadPackRequest, error) {
	req := packp.NewUploadPackRequestFromCapabilities(w.caps)
	shallow, err := m.Shallow()
	if err != nil {
		return nil, err
	}
	deepen := far == whole && len(shallow) > 0
	for _, f := range wants {
		if deepen || !m.has(f.hash) {
			req.Wants = append(req.Wants, f.hash)
		}
	}
	if req.Haves, err = m.haves(); err != nil {
		return nil, err
	}
	if !w.caps.Supports(capability.Shallow) {
		return req, nil
	}
	req.Shallows = shallow
	if deepen {
		req.Depth = packp.DepthCommits(everything)
	} else if far == single {
		req.Depth = packp.DepthCommits(1)
	}
	return req, req.Capabilities.Set(capability.Shallow)
}

// receive takes one pack. The shallow list is widened before the pack counts
// and narrowed after it, so that a crash leaves no commit that looks whole but is not.
func (w *wire) receive(ctx context.Context, m *mirror, req *packp.UploadPackRequest, tell func(string)) error {
	res, err := w.session.UploadPack(ctx, req)
	if errors.Is(err, transport.ErrEmptyUploadPackRequest) {
		return nil
	}
	if err != nil {
		return err
	}
	defer res.Close()
	if len(res.Shallows) > 0 {
		if err := m.setShallow(append(slices.Clone(req.Shallows), res.Shallows...)); err != nil {
			return err
		}
	}
	if err := m.install(ctx, demultiplex(req, res, tell), tell); err != nil {
		return err
	}
	return m.tidyShallow()
}

// demultiplex takes the progress text out of an answer, where the two are mixed.
func demultiplex(req *packp.UploadPackRequest, res *packp.UploadPackResponse, tell func(string)) io.Reader {
	var d *sideband.Demuxer
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		d = sideband.NewDemuxer(sideband.Sideband64k, res)
	case req.Capabilities.Supports(capability.Sideband):
		d = sideband.NewDemuxer(sideband.Sideband, res)
	default:
		return res
	}
	d.Progress = &progress{tell: tell}
	return d
}

// commitsMatching gives the commits of a storage whose hash starts with prefix, sorted.
func commitsMatching(s prefixed, prefix string) ([]plumbing.Hash, error) {
	all, err := s.HashesWithPrefix(evenBytes(prefix))
	if err != nil {
		return nil, err
	}
	var out []plumbing.Hash
	for _, h := range all {
		if !strings.HasPrefix(h.String(), prefix) {
			continue
		}
		if _, err := s.EncodedObject(plumbing.CommitObject, h); err == nil {
			out = append(out, h)
		}
	}
	plumbing.HashesSort(out)
	return slices.Compact(out), nil
}
