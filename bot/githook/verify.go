package githook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"ipublish/deploy"
)

// MinSecret is the length in bytes below which a secret is refused: a guessed
// secret is as good as none.
const MinSecret = 16

// Option changes how a driver is made. All drivers take all options.
type Option func(*Options)

// Options are the settings that are not secrets.
type Options struct {
	Now func() time.Time // the clock that timestamps are judged by
}

// Clock sets the clock; the default is time.Now.
func Clock(now func() time.Time) Option { return func(o *Options) { o.Now = now } }

// Configure applies options to the defaults.
func Configure(options []Option) Options {
	o := Options{Now: time.Now}
	for _, set := range options {
		set(&o)
	}
	return o
}

// CheckSecret refuses a secret that is empty or shorter than MinSecret with
// deploy.CodeInvalid. The secret itself is never told.
func CheckSecret(provider, secret string) error {
	if len(secret) >= MinSecret {
		return nil
	}
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "open", Subject: "githook " + provider,
		Message: fmt.Sprintf("githooks.%s.secret has %d characters: set one of at least %d, the same at the git host; `openssl rand -hex 32` makes a good one",
			provider, len(secret), MinSecret)}
}

// HexMAC reports, in constant time, whether mac is the hex HMAC-SHA256 of body.
func HexMAC(secret string, body []byte, mac string) bool {
	got, err := hex.DecodeString(mac)
	if err != nil || len(got) != sha256.Size {
		return false
	}
	return hmac.Equal(got, MAC([]byte(secret), body))
}

// IsHexMAC reports whether text has the form of a hex HMAC-SHA256.
func IsHexMAC(text string) bool {
	got, err := hex.DecodeString(text)
	return err == nil && len(got) == sha256.Size
}

// MAC returns the HMAC-SHA256 of the parts' concatenation.
func MAC(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// SameSecret compares two secrets in constant time; not even their lengths show.
func SameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return hmac.Equal(x[:], y[:])
}

// Within reports whether the time of a header, a whole number of unit since
// 1970, is at most window away from now in either direction.
func Within(header string, unit, window time.Duration, now time.Time) bool {
	n, err := strconv.ParseInt(header, 10, 64)
	if err != nil || n <= 0 || n > int64(farFuture/unit) {
		return false
	}
	return now.Sub(time.Unix(0, n*int64(unit))).Abs() <= window
}

// farFuture is early in 2116; far beyond it a time in nanoseconds overflows.
const farFuture = time.Duration(1 << 62)

// Header returns a header that occurs exactly once; "" otherwise, so that
// nobody can choose which of two is looked at.
func Header(h http.Header, name string) string {
	v := h.Values(name)
	if len(v) != 1 {
		return ""
	}
	return v[0]
}
