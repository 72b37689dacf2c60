package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
)

// flaw is what goes wrong with the answers of a version while its health check
// goes on to pass.
type flaw struct {
	Every uint64 // every so many of its answers is one of 500; 0: none
	While string // … while a file of this name is in the rig's folder; empty: always
}

// flawed has the flaw in front of the pages.
func (b behaviour) flawed(pages http.Handler) http.Handler {
	var asked atomic.Uint64
	f, file := b.Flaw, filepath.Join(os.Getenv("E2E_RIG"), b.Flaw.While)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" || f.Every == 0 || !there(file) || asked.Add(1)%f.Every != 0 {
			pages.ServeHTTP(w, r)
			return
		}
		http.Error(w, b.Version+" "+lastWords, http.StatusInternalServerError)
	})
}

func there(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
