package bot

import (
	"context"
	"net/http"

	"ipublish/deploy"
)

// apiChart tells what a deploy's users saw, as far as it is journaled.
func (s *Server) apiChart(w http.ResponseWriter, r *http.Request) {
	st, err := s.deployOf(r)
	if err != nil {
		s.apiError(w, err)
		return
	}
	// What stands there is read: nothing newer is waited for.
	events, err := s.Handler.Journal.Events(context.WithoutCancel(r.Context()), st.ID, 0)
	if err != nil {
		s.apiError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, deploy.NewChart(events))
}
