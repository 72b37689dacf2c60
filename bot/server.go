package bot

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/go-chi/chi/v5"

	"ipublish/deploy"
)

// The limits of the server.
const (
	maxHookBody   = 25 << 20 // bytes; GitHub's own cap
	maxSmallBody  = 1 << 20  // bytes, of chats and the API
	maxBodies     = 16 << 20 // bytes of bodies up to smallBody in memory at once, at each gate
	maxLarge      = 80 << 20 // bytes of larger bodies in memory at once
	maxPerClient  = 32       // bodies of one address being read at once, at each gate
	maxHandling   = 64       // requests being handled at once at each gate, after their bodies were read
	maxStreams    = 64       // event streams open at once
	maxWorkers    = 4        // slow answers worked on at once
	maxBacklog    = 32       // slow answers waiting for a worker
	waitForTurn   = 2 * time.Second
	slowAnswer    = 2 * time.Minute
	lastAnswers   = 5 * time.Second // for all that wait when the server stops
	answerTimeout = 30 * time.Second
	lingering     = time.Second // for the rest of a body that is not read
)

// Parts is what a Server is made of; all fields are needed.
type Parts struct {
	Config  func() Config
	Handler *Handler
	Hooks   func(name string) (Githook, bool) // "github", and "github/shop" for an app's own secret
	Chats   map[string]Chat                   // "slack" → its driver
	Ready   func() error                      // nil: this process can take work
	Log     *slog.Logger
}

// Server is the bot's front: the webhooks of git hosts, the commands of chats
// by HTTP and by socket, and the API for the command line. It keeps nothing:
// what it acknowledges is durable in the store.
type Server struct {
	Parts
	hooks   *gate // of git hosts
	chats   *gate
	api     *gate // by the network
	local   *gate // all of the unix socket
	streams *streams
	later   chan func(context.Context)

	languages translations
}

// NewServer returns a server. Slow answers and socket transports need Run.
func NewServer(p Parts) *Server {
	return &Server{
		Parts:   p,
		hooks:   newGate(maxLarge),
		chats:   newGate(0),
		api:     newGate(0),
		local:   newGate(maxLarge),
		streams: newStreams(maxStreams),
		later:   make(chan func(context.Context), maxBacklog),
	}
}

// HTTP returns an http.Server with every limit set, not yet serving. It may
// serve TCP and unix listeners at once: who connects by a unix socket is the
// local user by the kernel's word, so the socket's mode decides who may.
// Its Shutdown ends the event streams too.
func (s *Server) HTTP() *http.Server {
	srv := &http.Server{
		Handler:           s.Routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnContext:       withPeer,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	srv.RegisterOnShutdown(s.streams.end)
	return srv
}

// Routes returns every endpoint. A wrong method is 405, what is not there 404.
func (s *Server) Routes() http.Handler {
	r := chi.NewRouter()
	r.Use(s.recovered, limited)
	r.Get("/healthz", healthz)
	r.Head("/healthz", healthz)
	r.Get("/readyz", s.readyz)
	r.Head("/readyz", s.readyz)
	r.Post("/hooks/{provider}", s.hook)
	r.Post("/hooks/{provider}/{app}", s.hook)
	for name, c := range s.Chats {
		r.Post(chatPath(name), s.chat(name, c))
	}
	r.Route("/api/v1", s.apiRoutes)
	return r
}

func (s *Server) apiRoutes(r chi.Router) {
	r.Use(http.NewCrossOriginProtection().Handler, s.authenticated)
	r.Post("/commands", s.apiCommand)
	r.Get("/status", s.apiStatus)
	r.Get("/deploys/{id}", s.apiDeploy)
	r.Get("/deploys/{id}/chart", s.apiChart)
	r.Get("/deploys/{id}/events", s.apiEvents)
}

// chatPath is where a chat's commands arrive.
func chatPath(name string) string {
	if name == "slack" {
		return "/slack/commands"
	}
	return "/" + name + "/messages"
}

func healthz(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := s.Ready(); err != nil {
		s.Log.Warn("not ready", "err", err)
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ready")
}

// recovered turns a panic into a 500, so that one request cannot end the process.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			s.Log.Error("panic in a handler", "path", r.URL.Path, "panic", v, "stack", stack())
			http.Error(w, "internal error", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}

// limited gives every answer a deadline; a stream sets its own.
func limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Not every ResponseWriter has deadlines; the server's own always does.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout + 60*time.Second))
		next.ServeHTTP(w, r)
	})
}

// gate is the sender's share of the server: local users never share with the
// network, which has its own for each kind of endpoint.
func (s *Server) gate(r *http.Request, network *gate) *gate {
	if _, local := peerOf(r.Context()); local {
		return s.local
	}
	return network
}

// busy asks the sender to come again.
func busy(w http.ResponseWriter) {
	hangUp(w)
	w.Header().Set("Retry-After", "2")
	http.Error(w, "busy", http.StatusServiceUnavailable)
}

// unauthorised is the one answer to everything that was not proven.
func unauthorised(w http.ResponseWriter) {
	hangUp(w)
	http.Error(w, "unauthorized", http.StatusUnauthorized)
}

// hangUp lets the answer go out at once and the connection end with it; what is
// left of the body is waited for a moment only.
func hangUp(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	// Not every ResponseWriter has deadlines; the server's own always does.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lingering))
}

// body reads a request's whole body by the gate. If it cannot, it has
// answered, and release is nil.
func (s *Server) body(w http.ResponseWriter, r *http.Request, g *gate, limit int64) (raw []byte, release func()) {
	leave := g.crowd.enter(r)
	if leave == nil {
		busy(w)
		return nil, nil
	}
	defer leave()
	raw, release, err := g.bodies.read(w, r, limit)
	switch {
	case err == nil:
		return raw, release
	case errors.Is(err, errBodiesFull):
		busy(w)
		return nil, nil
	}
	hangUp(w)
	switch {
	case errors.Is(err, errBodyTooBig):
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
	case errors.Is(err, os.ErrDeadlineExceeded):
		http.Error(w, "the body came too slowly", http.StatusRequestTimeout)
	default:
		http.Error(w, "the body could not be read", http.StatusBadRequest)
	}
	return nil, nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The only failure is a gone client.
	_ = json.NewEncoder(w).Encode(v)
}

// statusOf maps a code to HTTP.
func statusOf(code deploy.Code) int {
	switch code {
	case "":
		return http.StatusOK
	case deploy.CodeInvalid:
		return http.StatusBadRequest
	case deploy.CodeNotFound:
		return http.StatusNotFound
	case deploy.CodeRefused:
		return http.StatusForbidden
	case deploy.CodeUnavailable, deploy.CodeTimeout, deploy.CodeCancelled:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
