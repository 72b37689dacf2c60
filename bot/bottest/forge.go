package bottest

import (
	"bytes"
	"io"
	"net/http"
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
