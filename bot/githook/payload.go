package githook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"

	"ipublish/bot/hostile"
)

// MaxBody is the largest body that is read, in bytes: GitHub's cap on a payload.
const MaxBody = 25 << 20

// Decode reads a verified payload into v; deploy.CodeInvalid if it is not such
// an object or larger than MaxBody. Unknown fields are let through: git hosts
// add some.
func Decode(provider string, payload []byte, v any) error {
	if len(payload) > MaxBody {
		return Invalid(provider, "the payload is larger than 25 MiB", nil)
	}
	if err := json.Unmarshal(payload, v); err != nil {
		return Invalid(provider, "the payload is not the JSON of a push", errors.New(hostile.Line(err.Error(), 200)))
	}
	return nil
}

// DecodeBut is Decode without looking into the list or object of one member,
// which v must not have: what stands there is passed over unread.
func DecodeBut(provider, member string, payload []byte, v any) error {
	return Decode(provider, without(payload, member), v)
}

// Payload returns the JSON of a delivery: the body, or the one form field
// "payload" if the content type says form. ok is false for a malformed form.
func Payload(r *http.Request, body []byte) (payload []byte, ok bool) {
	if !isForm(r) {
		return body, true
	}
	if len(body) > MaxBody {
		return nil, false
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form["payload"]) != 1 {
		return nil, false
	}
	return []byte(form.Get("payload")), true
}

func isForm(r *http.Request) bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind == "application/x-www-form-urlencoded"
}

// Delivery returns id if it is usable as a delivery id, else one made of the
// body, which is the same on redelivery.
func Delivery(id string, body []byte) string {
	if id != "" && len(id) <= MaxDelivery && isPrintable(id) {
		return id
	}
	return "sha256-" + Fingerprint(body)
}

// Fingerprint returns 32 hex digits that name a body.
func Fingerprint(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:16])
}
