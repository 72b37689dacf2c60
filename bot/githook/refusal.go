package githook

import "ipublish/deploy"

// Refuse says that a delivery is not genuine: deploy.CodeRefused. why goes to
// the operator's log; the server answers one constant body.
func Refuse(provider, why string) error {
	return &deploy.Error{Code: deploy.CodeRefused, Op: "verify", Subject: provider + " delivery",
		Message: why + "; set the same secret at the git host and in githooks." + provider}
}

// Ignore says that a genuine delivery asks for nothing: deploy.CodeNotFound.
func Ignore(provider, message string) error {
	return &deploy.Error{Code: deploy.CodeNotFound, Op: "read", Subject: provider + " delivery", Message: message}
}

// Invalid says that a genuine delivery is malformed: deploy.CodeInvalid.
func Invalid(provider, message string, cause error) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "read", Subject: provider + " delivery", Message: message, Err: cause}
}
