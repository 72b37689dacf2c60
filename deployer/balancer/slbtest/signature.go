package slbtest

import (
	"crypto/hmac"
	"crypto/sha1" // the API's signature method is HMAC-SHA1
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"
)

// clockLimit is how far a call's Timestamp may be off.
const clockLimit = 15 * time.Minute

// admit verifies a call by the documented rules; nil: it is who it says. c.mu is held.
func (c *Cloud) admit(method string, p url.Values) *Fault {
	for _, name := range []string{"Action", "Version", "AccessKeyId", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp", "Signature"} {
		if p.Get(name) == "" {
			return refusal("MissingParameter", "The input parameter "+name+" that is mandatory for processing this request is not supplied.")
		}
		if len(p[name]) > 1 {
			return refusal("InvalidParameter", name+" is given twice.")
		}
	}
	switch {
	case p.Get("Version") != "2014-05-15":
		return refusal("InvalidVersion", "Specified parameter Version is not valid.")
	case p.Get("SignatureMethod") != "HMAC-SHA1" || p.Get("SignatureVersion") != "1.0":
		return refusal("IncompleteSignature", "The request signature does not conform to Aliyun standards.")
	case p.Get("AccessKeyId") != KeyID:
		return &Fault{Status: http.StatusNotFound, Code: "InvalidAccessKeyId.NotFound", Message: "Specified access key is not found."}
	}
	toSign := stringToSign(method, p)
	if p.Get("Signature") != sign(KeySecret, toSign) {
		return refusal("SignatureDoesNotMatch", "Specified signature is not matched with our calculation. server string to sign is:"+toSign)
	}
	at, err := time.Parse("2006-01-02T15:04:05Z", p.Get("Timestamp"))
	if err != nil || time.Since(at).Abs() > clockLimit {
		return refusal("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
	}
	if c.nonces[p.Get("SignatureNonce")] {
		return refusal("SignatureNonceUsed", "Specified signature nonce was used already.")
	}
	c.nonces[p.Get("SignatureNonce")] = true
	return nil
}

func refusal(code, message string) *Fault {
	return &Fault{Status: http.StatusBadRequest, Code: code, Message: message}
}

func sign(secret, toSign string) string {
	h := hmac.New(sha1.New, []byte(secret+"&"))
	h.Write([]byte(toSign))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func stringToSign(method string, p url.Values) string {
	var pairs []string
	for name, values := range p {
		if name != "Signature" {
			pairs = append(pairs, encode(name)+"="+encode(values[0]))
		}
	}
	sort.Strings(pairs)
	return method + "&%2F&" + encode(strings.Join(pairs, "&"))
}

// encode keeps letters, digits, hyphen, underscore, point and tilde, and writes
// every other byte as a percent sign and two capital hex digits.
func encode(s string) string {
	const kept = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(kept, s[i]) >= 0 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}
