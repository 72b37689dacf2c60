package gitserve

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// upload answers a fetch. Every request carries the whole negotiation so far;
// the pack follows once the client says done.
func (h *handler) upload(w http.ResponseWriter, r *http.Request) {
	in, err := body(w, r)
	if err != nil {
		refuse(w, err)
		return
	}
	req := packp.NewUploadPackRequest()
	if err := req.UploadRequest.Decode(in); err != nil {
		refuse(w, err)
		return
	}
	s := h.storage()
	defer s.Close()
	haves, done, err := readHaves(in)
	if err != nil {
		refuse(w, err)
		return
	}
	req.Haves = here(s, haves)
	answer(w, transport.UploadPackServiceName, "result")
	if unknown, ok := firstUnknown(s, req.Wants); ok {
		_ = pktline.NewEncoder(w).Encodef("ERR upload-pack: not our ref %s\n", unknown)
		return
	}
	if err := acknowledge(w, req.Haves); err != nil || !done {
		return
	}
	h.sendPack(w, r, req)
}

// readHaves reads the commits that the client has, and whether it wants the pack now.
func readHaves(in io.Reader) (haves []plumbing.Hash, done bool, err error) {
	lines := pktline.NewScanner(in)
	for lines.Scan() {
		line := string(bytes.TrimSpace(lines.Bytes()))
		if line == "done" {
			return haves, true, nil
		}
		if h, ok := strings.CutPrefix(line, "have "); ok {
			haves = append(haves, plumbing.NewHash(h))
		} else if line != "" {
			return nil, false, errors.New("unexpected line in the negotiation")
		}
	}
	return haves, false, lines.Err()
}

func here(s storer.EncodedObjectStorer, all []plumbing.Hash) []plumbing.Hash {
	var out []plumbing.Hash
	for _, h := range all {
		if s.HasEncodedObject(h) == nil {
			out = append(out, h)
		}
	}
	return out
}

func firstUnknown(s storer.EncodedObjectStorer, wants []plumbing.Hash) (plumbing.Hash, bool) {
	for _, h := range wants {
		if s.HasEncodedObject(h) != nil {
			return h, true
		}
	}
	return plumbing.ZeroHash, false
}

// acknowledge answers the negotiation as a server without multi_ack does.
func acknowledge(w io.Writer, common []plumbing.Hash) error {
	e := pktline.NewEncoder(w)
	if len(common) == 0 {
		return e.Encodef("NAK\n")
	}
	return e.Encodef("ACK %s\n", common[0])
}

// sendPack streams the pack. The answer has begun: a failure cuts the
// connection, which the client notices by the missing checksum.
func (h *handler) sendPack(w http.ResponseWriter, r *http.Request, req *packp.UploadPackRequest) {
	s, err := h.server().NewUploadPackSession(nil, nil)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	res, err := s.UploadPack(r.Context(), req)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer res.Close()
	if _, err := io.Copy(w, res); err != nil {
		panic(http.ErrAbortHandler)
	}
}
