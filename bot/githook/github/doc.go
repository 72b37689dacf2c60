// Package github reads GitHub's push deliveries (X-Hub-Signature-256).
//
// Guarantees: the HMAC covers the whole raw body, JSON or form; a manual
// redelivery carries the same X-GitHub-Delivery, hence the same
// deploy.Push.Delivery; ping and all other events are deploy.CodeNotFound.
package github
