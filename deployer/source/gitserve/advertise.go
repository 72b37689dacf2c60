package gitserve

import (
	"context"
	"net/http"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// noThin asks pushers for packs that stand by themselves.
const noThin capability.Capability = "no-thin"

func (h *handler) advertise(w http.ResponseWriter, r *http.Request) {
	service := r.URL.Query().Get("service")
	ar, err := h.advertisement(r.Context(), service)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if ar == nil {
		http.Error(w, "only git's smart protocol is served", http.StatusForbidden)
		return
	}
	answer(w, service, "advertisement")
	ar.Prefix = [][]byte{[]byte("# service=" + service), pktline.Flush}
	_ = ar.Encode(w)
}

// advertisement is what a service offers; nil for an unknown one.
func (h *handler) advertisement(ctx context.Context, service string) (*packp.AdvRefs, error) {
	switch service {
	case transport.UploadPackServiceName:
		s, err := h.server().NewUploadPackSession(nil, nil)
		if err != nil {
			return nil, err
		}
		ar, err := s.AdvertisedReferencesContext(ctx)
		if err != nil {
			return nil, err
		}
		h.peel(ar)
		return ar, ar.Capabilities.Set(capability.AllowReachableSHA1InWant)
	case transport.ReceivePackServiceName:
		s, err := h.server().NewReceivePackSession(nil, nil)
		if err != nil {
			return nil, err
		}
		ar, err := s.AdvertisedReferencesContext(ctx)
		if err != nil {
			return nil, err
		}
		return ar, ar.Capabilities.Set(noThin)
	}
	return nil, nil
}

// peel tells the commits of annotated tags.
func (h *handler) peel(ar *packp.AdvRefs) {
	s := h.storage()
	for name, hash := range ar.References {
		if !strings.HasPrefix(name, "refs/tags/") {
			continue
		}
		if tag, err := object.GetTag(s, hash); err == nil && tag.TargetType == plumbing.CommitObject {
			ar.Peeled[name] = tag.Target
		}
	}
}
