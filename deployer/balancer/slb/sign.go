package slb

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the API's signature method is HMAC-SHA1
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// signature is the parameter Signature of a call: page "Request signatures",
// SignatureMethod HMAC-SHA1, SignatureVersion 1.0. The key is the access key
// secret with an ampersand behind it.
func signature(method, secret string, params map[string]string) string {
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(stringToSign(method, params)))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func stringToSign(method string, params map[string]string) string {
	return method + "&" + percentEncode("/") + "&" + percentEncode(canonical(params))
}

// canonical is the query of all parameters but the signature, sorted by name.
func canonical(params map[string]string) string {
	pairs := make([]string, 0, len(params))
	for _, name := range slices.Sorted(maps.Keys(params)) {
		pairs = append(pairs, percentEncode(name)+"="+percentEncode(params[name]))
	}
	return strings.Join(pairs, "&")
}

// percentEncode leaves letters, digits and - _ . ~ as they are, and writes every
// other byte as %XY: a blank is %20, never a plus sign.
func percentEncode(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
