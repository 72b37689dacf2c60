package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"

	"ipublish/deploy"
)

const maxControlBody = 1 << 20

// ping says who answers on the control socket.
type ping struct {
	PID     int    `json:"pid"`
	Version string `json:"version"` // of the binary
}

// turn is the right to set a route; the next one of that route ends it.
type turn struct {
	Turn uint64 `json:"turn"`
}

// control answers on the control socket. Its paths begin with the version of
// their form; an answer that is no success is a deploy.Error.
func control(g *registry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/ping", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, ping{PID: os.Getpid(), Version: binaryVersion()}, nil)
	})
	mux.HandleFunc("GET /v1/routes", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, g.list(), nil)
	})
	mux.HandleFunc("GET /v1/routes/{name...}", func(w http.ResponseWriter, r *http.Request) {
		s, err := g.get(r.PathValue("name"))
		reply(w, s, err)
	})
	mux.HandleFunc("PUT /v1/routes/{name...}", func(w http.ResponseWriter, r *http.Request) {
		wanted, t, err := readRoute(w, r)
		if err != nil {
			reply(w, nil, err)
			return
		}
		s, err := g.put(wanted, t)
		reply(w, s, err)
	})
	mux.HandleFunc("POST /v1/turns/{name...}", func(w http.ResponseWriter, r *http.Request) {
		t, err := g.turn(r.PathValue("name"))
		reply(w, t, err)
	})
	mux.HandleFunc("DELETE /v1/routes/{name...}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, struct{}{}, g.remove(r.PathValue("name")))
	})
	return mux
}

// readRoute decodes a route strictly, and the turn in which it is set. The path
// names the route, the body may.
func readRoute(w http.ResponseWriter, r *http.Request) (route, turn, error) {
	wanted := route{Name: r.PathValue("name")}
	var t turn
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBody))
	if err == nil {
		err = decodeStrict(data, &wanted)
	}
	if err == nil {
		t.Turn, err = strconv.ParseUint(r.URL.Query().Get("turn"), 10, 64)
	}
	if err == nil && wanted.Name != r.PathValue("name") {
		err = fmt.Errorf("the body names %q", wanted.Name)
	}
	if err != nil {
		return wanted, t, &deploy.Error{Code: deploy.CodeInvalid, Op: "read route", Subject: r.PathValue("name"), Err: err}
	}
	return wanted, t, nil
}

func reply(w http.ResponseWriter, value any, err error) {
	code := http.StatusOK
	if err != nil {
		e := deploy.AsError(err)
		value, code = e, statusOf(e.Code)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
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
