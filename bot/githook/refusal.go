package githook

import (
	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// Refuse says that a delivery is not genuine: deploy.CodeRefused. why goes to
// the operator's log; the server answers one constant body.
func Refuse(provider, why string) error {
	return &deploy.Error{Code: deploy.CodeRefused, Op: "verify", Subject: provider + " delivery",
		Message: why + "; set the same secret at the git host and in githooks." + provider}
}

// Captured refuses a genuine signature that came with another body before:
// deploy.CodeRefused with hostile.ErrCaptured in the chain.
func Captured(provider string) error {
	return &deploy.Error{Code: deploy.CodeRefused, Op: "verify", Subject: provider + " delivery", Err: hostile.ErrCaptured,
		Message: "somebody may have captured a delivery: serve TLS only, and change the secret at the git host and in githooks." + provider}
}

// Ignore says that a genuine delivery asks for nothing: deploy.CodeNotFound.
func Ignore(provider, message string) error {
	return &deploy.Error{Code: deploy.CodeNotFound, Op: "read", Subject: provider + " delivery", Message: message}
}

// Invalid says that a genuine delivery is malformed: deploy.CodeInvalid.
func Invalid(provider, message string, cause error) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "read", Subject: provider + " delivery", Message: message, Err: cause}
}
