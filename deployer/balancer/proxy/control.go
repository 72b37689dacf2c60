package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"ipublish/deploy"
)

const (
	maxControlBody = 1 << 20
	maxEstate      = maxFrame // what a will may be
)

// ping says who answers on the control socket.
type ping struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`          // of the binary
	Elders  []int  `json:"elders,omitempty"` // processes whose clients it still counts
}

// turn is the right to set a route; the next one of that route ends it.
type turn struct {
	Turn uint64 `json:"turn"`
}

// control answers on the control socket. Its paths begin with the version of
// their form; an answer that is no success is a deploy.Error.
func (p *process) control() http.Handler {
	g := p.registry
	routes := http.NewServeMux()
	routes.HandleFunc("POST /v1/succession", p.succession)
	routes.HandleFunc("POST /v1/handover", p.handOver)
	routes.HandleFunc("GET /v1/ping", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, ping{PID: os.Getpid(), Version: p.o.version, Elders: g.known()}, g.answers())
	})
	routes.HandleFunc("GET /v1/routes", func(w http.ResponseWriter, _ *http.Request) {
		all, err := g.list()
		reply(w, all, err)
	})
	routes.HandleFunc("GET /v1/routes/{name...}", func(w http.ResponseWriter, r *http.Request) {
		s, err := g.get(r.PathValue("name"))
		reply(w, s, err)
	})
	routes.HandleFunc("GET /v1/watch/{name...}", g.watch)
	routes.HandleFunc("PUT /v1/routes/{name...}", setting(g.put))
	routes.HandleFunc("POST /v1/turns/{name...}", func(w http.ResponseWriter, r *http.Request) {
		t, err := g.turn(r.PathValue("name"))
		reply(w, t, err)
	})
	routes.HandleFunc("DELETE /v1/routes/{name...}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, struct{}{}, g.remove(r.PathValue("name")))
	})
	routes.HandleFunc("POST /v1/estates", func(w http.ResponseWriter, r *http.Request) {
		var left estate
		err := decodeBody(w, r, &left, maxEstate)
		if err == nil {
			err = g.inherit(left)
		}
		reply(w, struct{}{}, err)
	})
	return routes
}

// lastControl answers on an elder's own socket, which only its successor knows.
func (p *process) lastControl() http.Handler {
	g := p.registry
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/routes/{name...}", func(w http.ResponseWriter, r *http.Request) {
		s, err := g.own(r.PathValue("name"))
		reply(w, s, err)
	})
	mux.HandleFunc("PUT /v1/routes/{name...}", setting(g.follow))
	mux.HandleFunc("POST /v1/end", func(w http.ResponseWriter, _ *http.Request) {
		g.hurry()
		reply(w, struct{}{}, nil)
	})
	return mux
}

func setting(put func(order) (status, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		o, err := readOrder(w, r)
		if err != nil {
			reply(w, nil, err)
			return
		}
		s, err := put(o)
		reply(w, s, err)
	}
}

// readOrder decodes a route strictly, the turn in which it is set, and the
// drain. The path names the route, the body may.
func readOrder(w http.ResponseWriter, r *http.Request) (order, error) {
	o := order{route: route{Name: r.PathValue("name")}}
	err := decodeBody(w, r, &o.route, maxControlBody)
	if err == nil {
		o.turn, err = strconv.ParseUint(r.URL.Query().Get("turn"), 10, 64)
	}
	if limit := r.URL.Query().Get("drain"); err == nil && limit != "" {
		var d time.Duration
		d, err = time.ParseDuration(limit)
		o.drain = &d
	}
	if err == nil && o.Name != r.PathValue("name") {
		err = fmt.Errorf("the body names %q", o.Name)
	}
	if err != nil {
		return o, &deploy.Error{Code: deploy.CodeInvalid, Op: "read route", Subject: r.PathValue("name"), Err: err}
	}
	return o, nil
}

func decodeBody(w http.ResponseWriter, r *http.Request, into any, limit int64) error {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err == nil {
		err = decodeStrict(data, into)
	}
	if err != nil {
		return &deploy.Error{Code: deploy.CodeInvalid, Op: "read", Subject: r.URL.Path, Err: err}
	}
	return nil
}

// reply sends who asks to the process that took over, or has it wait, where that
// is the error.
func reply(w http.ResponseWriter, value any, err error) {
	switch {
	case err == nil:
		write(w, http.StatusOK, value)
	case errors.Is(err, errMoved):
		write(w, http.StatusMisdirectedRequest, deploy.AsError(errEnding()))
	default:
		write(w, statusOf(deploy.CodeOf(err)), deploy.AsError(err))
	}
}

func write(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the caller went away: it asks again
}

func statusOf(c deploy.Code) int {
	switch c {
	case deploy.CodeInvalid:
		return http.StatusBadRequest
	case deploy.CodeNotFound:
		return http.StatusNotFound
	case deploy.CodeRefused:
		return http.StatusConflict
	case deploy.CodeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func binaryVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}
