package bot

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"ipublish/deploy"
)

// minSecret is the shortest token that opens anything, in bytes.
const minSecret = 16

// tokenActor finds whose bearer token the request carries. Every configured
// token is compared in constant time, whichever matches.
func tokenActor(cfg Config, r *http.Request) (deploy.Actor, bool) {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || len(given) < minSecret {
		return deploy.Actor{}, false
	}
	sum := sha256.Sum256([]byte(given))
	found := ""
	for name, secret := range cfg.Tokens {
		want := sha256.Sum256([]byte(secret))
		if subtle.ConstantTimeCompare(sum[:], want[:]) == 1 && len(secret) >= minSecret {
			found = name
		}
	}
	return deploy.Actor{ID: "token:" + found, Name: found}, found != ""
}

// apiActor says who calls the API: the bearer of a token, else the local user.
// A token that is wrong is not made good by the socket.
func apiActor(cfg Config, r *http.Request) (deploy.Actor, bool) {
	if r.Header.Get("Authorization") != "" {
		return tokenActor(cfg, r)
	}
	return peerOf(r.Context())
}
