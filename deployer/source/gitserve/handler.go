package gitserve

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/go-git/go-billy/v5/osfs"
	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/server"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Options configure a Handler. The zero value works.
type Options struct {
	// Pushed is called for each ref that a push changed, with full hashes; all
	// zeros in before mean that the ref is new, in after that it was deleted.
	// The pusher waits for it.
	Pushed func(ref, before, after string)
}

// Init makes dir an empty bare repository whose HEAD is the branch main. A
// repository that is there already is left as it is.
func Init(dir string) error {
	_, err := git.PlainInitWithOptions(dir, &git.PlainInitOptions{
		Bare:        true,
		InitOptions: git.InitOptions{DefaultBranch: plumbing.Main},
	})
	if errors.Is(err, git.ErrRepositoryAlreadyExists) {
		return nil
	}
	return err
}

// Handler serves the bare repository in dir at the root of its URL space; mount
// it elsewhere with http.StripPrefix. It is safe for concurrent use.
func Handler(dir string, o Options) http.Handler {
	if o.Pushed == nil {
		o.Pushed = func(string, string, string) {}
	}
	h := &handler{dir: dir, o: o}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /info/refs", h.advertise)
	mux.HandleFunc("POST /"+transport.UploadPackServiceName, h.upload)
	mux.HandleFunc("POST /"+transport.ReceivePackServiceName, h.receive)
	return mux
}

type handler struct {
	dir  string
	o    Options
	push sync.Mutex // held while refs change
}

// Load implements server.Loader.
func (h *handler) Load(*transport.Endpoint) (storer.Storer, error) { return h.storage(), nil }

func (h *handler) storage() *filesystem.Storage {
	return filesystem.NewStorage(osfs.New(h.dir), cache.NewObjectLRUDefault())
}

func (h *handler) server() transport.Transport { return server.NewServer(h) }

// maxBody bounds what a client may send in one request.
const maxBody = 512 << 20

// body is what the client sent, uncompressed and bounded.
func body(w http.ResponseWriter, r *http.Request) (io.Reader, error) {
	in := http.MaxBytesReader(w, r.Body, maxBody)
	if r.Header.Get("Content-Encoding") != "gzip" {
		return in, nil
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	return io.LimitReader(z, maxBody), nil
}

// answer starts the answer of a service.
func answer(w http.ResponseWriter, service, part string) {
	w.Header().Set("Content-Type", fmt.Sprintf("application/x-%s-%s", service, part))
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
}

func refuse(w http.ResponseWriter, err error) {
	http.Error(w, err.Error(), http.StatusBadRequest)
}
