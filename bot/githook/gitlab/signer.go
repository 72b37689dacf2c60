package gitlab

import (
	"crypto/hmac"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"ipublish/bot/githook"
	"ipublish/deploy"
)

const (
	window        = 5 * time.Minute // either way, as Standard Webhooks proposes
	mostSignature = 16              // signatures of one delivery that are looked at
)

// signer checks the Standard Webhooks signature.
type signer struct {
	key []byte
	now func() time.Time
}

func newSigner(encoded string, now func() time.Time) (*signer, error) {
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) < githook.MinSecret {
		return nil, &deploy.Error{Code: deploy.CodeInvalid, Op: "open", Subject: "githook gitlab",
			Message: "githooks.gitlab.secret begins with whsec_ but is no signing token: copy it from GitLab once more, whole"}
	}
	return &signer{key: key, now: now}, nil
}

// signed gives the text "id.timestamp." that begins what is signed, if the
// headers are there and the time is near; the signatures are not looked at.
func (s *signer) signed(h http.Header) (prefix string, err error) {
	id, at := githook.Header(h, "webhook-id"), githook.Header(h, "webhook-timestamp")
	switch {
	case id == "":
		return "", githook.Refuse(provider, "webhook-id is missing: the signing token demands signed deliveries")
	case !githook.Within(at, time.Second, window, s.now()):
		return "", githook.Refuse(provider, "webhook-timestamp is missing or more than five minutes off; check the clocks of both machines")
	case !strings.HasPrefix(githook.Header(h, "webhook-signature"), "v1"):
		return "", unsigned()
	}
	return id + "." + at + ".", nil
}

// verify demands one valid v1 signature over "id.timestamp.body"; the plain
// token of the same delivery is not looked at.
func (s *signer) verify(h http.Header, body []byte) error {
	prefix, err := s.signed(h)
	if err != nil {
		return err
	}
	want := githook.MAC(s.key, []byte(prefix), body)
	list := strings.SplitN(githook.Header(h, "webhook-signature"), " ", mostSignature+1)
	for _, sig := range list[:min(len(list), mostSignature)] {
		encoded, ok := strings.CutPrefix(sig, "v1,")
		got, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if ok && err == nil && hmac.Equal(got, want) {
			return nil
		}
	}
	return unsigned()
}

func unsigned() error {
	return githook.Refuse(provider, "webhook-signature is missing or does not match")
}
