package gitserve

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// receive answers a push.
func (h *handler) receive(w http.ResponseWriter, r *http.Request) {
	in, err := body(w, r)
	if err != nil {
		refuse(w, err)
		return
	}
	req := packp.NewReferenceUpdateRequest()
	if err := req.Decode(in); err != nil {
		refuse(w, err)
		return
	}
	report := h.take(req)
	answer(w, transport.ReceivePackServiceName, "result")
	if req.Capabilities.Supports(capability.ReportStatus) {
		_ = report.Encode(w)
	}
}

// take stores the pack and moves the refs, one push at a time.
func (h *handler) take(req *packp.ReferenceUpdateRequest) *packp.ReportStatus {
	h.push.Lock()
	defer h.push.Unlock()
	s := h.storage()
	defer s.Close()
	report := packp.NewReportStatus()
	if err := unpack(s, req); err != nil {
		report.UnpackStatus = err.Error()
		return report
	}
	report.UnpackStatus = "ok"
	for _, c := range req.Commands {
		report.CommandStatuses = append(report.CommandStatuses, &packp.CommandStatus{ReferenceName: c.Name, Status: h.move(s, c)})
	}
	return report
}

// unpack stores the objects of a push. A push that only deletes has none.
func unpack(s *filesystem.Storage, req *packp.ReferenceUpdateRequest) error {
	brings := func(c *packp.Command) bool { return c.Action() != packp.Delete }
	if req.Packfile == nil || !slices.ContainsFunc(req.Commands, brings) {
		return nil
	}
	err := packfile.UpdateObjectStorage(s, req.Packfile)
	if errors.Is(err, packfile.ErrEmptyPackfile) {
		return nil
	}
	return err
}

// move changes one ref, announces it, and gives the command's status.
func (h *handler) move(s *filesystem.Storage, c *packp.Command) string {
	if why := objection(s, c); why != "" {
		return why
	}
	if err := set(s, c); err != nil {
		return err.Error()
	}
	h.o.Pushed(c.Name.String(), c.Old.String(), c.New.String())
	return "ok"
}

func set(s *filesystem.Storage, c *packp.Command) error {
	if c.Action() == packp.Delete {
		return s.RemoveReference(c.Name)
	}
	return s.SetReference(plumbing.NewHashReference(c.Name, c.New))
}

// objection says why a command may not be done.
func objection(s *filesystem.Storage, c *packp.Command) string {
	name := c.Name.String()
	if !strings.HasPrefix(name, "refs/heads/") && !strings.HasPrefix(name, "refs/tags/") {
		return "only branches and tags can be pushed"
	}
	if err := c.Name.Validate(); err != nil {
		return "not a valid name of a ref"
	}
	now := plumbing.ZeroHash
	if ref, err := s.Reference(c.Name); err == nil {
		now = ref.Hash()
	}
	if now != c.Old {
		return "the ref moved meanwhile: fetch first"
	}
	if c.Action() != packp.Delete && s.HasEncodedObject(c.New) != nil {
		return "the object was not sent"
	}
	return ""
}
