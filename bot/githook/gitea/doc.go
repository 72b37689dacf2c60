// Package gitea reads the push deliveries of Gitea, Forgejo and Gogs
// (X-Forgejo-Signature, X-Gitea-Signature or X-Gogs-Signature, bare hex).
//
// Guarantees: the HMAC covers the JSON, which is the raw body of a JSON delivery
// and the field payload of a form delivery. These hosts also send GitHub's
// headers; they are not looked at, which is why each provider has its own path.
package gitea
