// Package gitlab reads GitLab's push deliveries: Push Hook, Tag Push Hook, and
// System Hook of a push.
//
// The form of the configured secret says how they are verified. A signing token
// ("whsec_…") demands the Standard Webhooks signature over id, time and body, at
// most five minutes old; the plain token is then not accepted. Any other secret
// is compared with X-Gitlab-Token: such a delivery does NOT bind the body to the
// token. Whoever learns the token can send any body; use a signing token where
// GitLab offers it, and TLS always.
package gitlab
