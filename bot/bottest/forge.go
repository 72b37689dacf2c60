package bottest

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// withHeaders sets each of the headers to the values; none removes them.
func withHeaders(r *http.Request, names, values []string) *http.Request {
	for _, name := range names {
		r.Header.Del(name)
		for _, v := range values {
			r.Header.Add(name, v)
		}
	}
	return r
}

// eachHeader changes the headers that are there.
func eachHeader(r *http.Request, names []string, change func(string) string) *http.Request {
	for _, name := range names {
		if v := r.Header.Get(name); v != "" {
			r.Header.Set(name, change(v))
		}
	}
	return r
}

// twice sends each of the headers a second time.
func twice(r *http.Request, names []string) *http.Request {
	for _, name := range names {
		if v := r.Header.Get(name); v != "" {
			r.Header.Add(name, v)
		}
	}
	return r
}

// respelled returns the request with every other writing of its proof: in upper
// case and, for base64 that leaves bits unused, all of its spellings, its own too.
func respelled(r *http.Request, names []string) []*http.Request {
	var out []*http.Request
	for _, name := range names {
		v := r.Header.Get(name)
		if v == "" {
			continue
		}
		for _, s := range append(spellings(v), strings.ToUpper(v)) {
			again := r.Clone(r.Context())
			again.Header.Set(name, s)
			out = append(out, again)
		}
	}
	return out
}

// spellings are the four texts that lenient base64 reads as the same 32 bytes.
func spellings(text string) []string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	head, ok := strings.CutSuffix(text, "=")
	if !ok || head == "" {
		return nil
	}
	last := strings.IndexByte(digits, head[len(head)-1]) &^ 3
	var out []string
	for i := range 4 {
		out = append(out, head[:len(head)-1]+digits[last+i:last+i+1]+"=")
	}
	return out
}

// formOf turns the request into a form with this body.
func formOf(r *http.Request, body string) *http.Request {
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return withBody(r, []byte(body))
}

func withBody(r *http.Request, body []byte) *http.Request {
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	return r
}
