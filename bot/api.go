package bot

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"ipublish/deploy"
)

// CommandRequest is the body of POST /api/v1/commands.
type CommandRequest struct {
	Text string `json:"text"`          // one line of the grammar of Parse
	Key  string `json:"key,omitempty"` // chosen by the caller: the same key is the same command
}

// CommandAnswer is what POST /api/v1/commands answers, with status 200 for
// whatever was understood, refusals included.
type CommandAnswer struct {
	Text   string      `json:"text"`
	Deploy deploy.ID   `json:"deploy,omitempty"`
	Code   deploy.Code `json:"code,omitempty"` // empty: done
	Exit   int         `json:"exit"`           // of the command line: 0 done, 1 failed, 2 usage, 3 refused
}

// StatusAnswer is what GET /api/v1/status answers.
type StatusAnswer struct {
	Text         string     `json:"text"`
	Environments []Overview `json:"environments"`
}

// ExitOf maps a code to the exit status of the command line.
func ExitOf(code deploy.Code) int {
	switch code {
	case "":
		return 0
	case deploy.CodeInvalid, deploy.CodeNotFound:
		return 2
	case deploy.CodeRefused, deploy.CodeHold, deploy.CodeDrift, deploy.CodeForeign:
		return 3
	}
	return 1
}

type actorKey struct{}

// authenticated lets in who has a token or is on the unix socket; the handlers
// find the actor with actorOf.
func (s *Server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cfg := s.Config()
		by, ok := apiActor(cfg, r)
		if !ok || Authorize(cfg, by, string(VerbStatus)) != nil {
			unauthorised(w)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), actorKey{}, by)))
	})
}

func actorOf(r *http.Request) deploy.Actor {
	a, _ := r.Context().Value(actorKey{}).(deploy.Actor)
	return a
}

// apiCommand carries out one command, slow answers included.
func (s *Server) apiCommand(w http.ResponseWriter, r *http.Request) {
	raw, release := s.body(w, r, s.gate(r, s.api), maxSmallBody)
	if release == nil {
		return
	}
	defer release()
	var in CommandRequest
	if err := json.Unmarshal(raw, &in); err != nil {
		writeJSON(w, http.StatusBadRequest, CommandAnswer{Text: `send JSON like {"text": "deploy main", "key": "…"}`, Code: deploy.CodeInvalid, Exit: 2})
		return
	}
	by := actorOf(r)
	cmd := deploy.Command{Chat: "api", User: by, Text: in.Text, Key: apiKey(by, in.Key)}
	a := s.Handler.Handle(r.Context(), cmd)
	s.note(cmd, a)
	if a.Later != nil {
		a = s.laterNow(w, r, a)
	}
	writeJSON(w, http.StatusOK, CommandAnswer{Text: a.Text, Deploy: a.Deploy, Code: a.Code, Exit: ExitOf(a.Code)})
}

// apiKey keeps the keys of callers apart, and apart from those of platforms.
func apiKey(by deploy.Actor, key string) string {
	if key == "" {
		key = rand.Text()
	}
	sum := sha256.Sum256([]byte(key))
	return "api:" + by.ID + ":" + hex.EncodeToString(sum[:16])
}

// laterNow waits for a slow answer, in its turn.
func (s *Server) laterNow(w http.ResponseWriter, r *http.Request, a Answer) Answer {
	turn := s.gate(r, s.api).turn(r.Context())
	if turn == nil {
		return Answer{Text: "too much is being worked on just now: try again", Code: deploy.CodeUnavailable}
	}
	defer turn()
	ctx, cancel := context.WithTimeout(r.Context(), slowAnswer)
	defer cancel()
	unhurried(w, slowAnswer+answerTimeout)
	return a.Later(ctx)
}

// unhurried moves a response's deadlines; 0 takes them away.
func unhurried(w http.ResponseWriter, d time.Duration) {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	rc := http.NewResponseController(w)
	// Not every ResponseWriter has deadlines; the server's own always does. The
	// read deadline matters because its passing would end the request's context.
	_ = rc.SetReadDeadline(time.Time{})
	_ = rc.SetWriteDeadline(at)
}

func (s *Server) apiStatus(w http.ResponseWriter, _ *http.Request) {
	cfg := s.Config()
	all, err := s.Handler.overviews(cfg, Scope{Apps: cfg.Apps}.all())
	if err != nil {
		s.apiError(w, err)
		return
	}
	out := StatusAnswer{Text: overviewsText(all, time.Now()), Environments: make([]Overview, len(all))}
	for i, o := range all {
		out.Environments[i] = published(o)
	}
	writeJSON(w, http.StatusOK, out)
}

func (s *Server) apiDeploy(w http.ResponseWriter, r *http.Request) {
	st, err := s.deployOf(r)
	if err != nil {
		s.apiError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, publishedState(st))
}

func (s *Server) deployOf(r *http.Request) (deploy.State, error) {
	id, err := deploy.ParseID(chi.URLParam(r, "id"))
	if err != nil {
		return deploy.State{}, err
	}
	return s.Handler.Records.State(id)
}

func (s *Server) apiError(w http.ResponseWriter, err error) {
	a := answerError(err)
	status := statusOf(a.Code)
	if status >= http.StatusInternalServerError {
		s.Log.Error("an API call went wrong", "err", err)
	}
	writeJSON(w, status, CommandAnswer{Text: a.Text, Code: a.Code, Exit: ExitOf(a.Code)})
}
