package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"ipublish/deploy"
)

// Outlet sends to addresses that a payload named, and only to one host: the
// platform's own over https, exactly as written, or the configured base. It
// follows no redirect and, for the platform's host, connects to public
// addresses only, so that no payload makes ipublish talk to its own network.
type Outlet struct {
	host   string
	base   *url.URL
	client *http.Client
}

// outletAnswer bounds what is read of an answer.
const outletAnswer = 64 << 10

// NewOutlet returns an outlet to https://host. base, which may be empty, is a
// configured address whose scheme and host are let through as well.
func NewOutlet(host, base string) (*Outlet, error) {
	o := &Outlet{host: host}
	if base != "" {
		u, err := url.Parse(base)
		if err != nil || u.Host == "" {
			return nil, &deploy.Error{Code: deploy.CodeInvalid, Op: "read", Subject: "api_url",
				Message: fmt.Sprintf("api_url %q is not an address: write it like https://chat.example.com/", base)}
		}
		o.base = u
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = o.dial
	o.client = &http.Client{Transport: transport, Timeout: 10 * time.Second, CheckRedirect: KeepOut}
	return o, nil
}

// KeepOut is an http.Client's CheckRedirect that follows no redirect: the
// redirecting answer itself is returned, and no credential travels on.
func KeepOut(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Check reports whether raw may be sent to: nil or deploy.CodeRefused.
func (o *Outlet) Check(raw string) error {
	u, err := url.Parse(raw)
	if err == nil && u.User == nil && u.Opaque == "" {
		if u.Scheme == "https" && u.Host == o.host {
			return nil
		}
		if o.base != nil && u.Scheme == o.base.Scheme && u.Host == o.base.Host {
			return nil
		}
	}
	return &deploy.Error{Code: deploy.CodeRefused, Op: "check", Subject: "reply address",
		Message: "the reply address of this command is not at " + o.host + "; nothing was sent"}
}

// Post sends v as JSON and returns the answer's status and its first 64 KiB.
// deploy.CodeRefused for a foreign address, else deploy.CodeUnavailable,
// CodeTimeout or CodeCancelled. No error holds the address, which is a secret.
func (o *Outlet) Post(ctx context.Context, raw string, v any) (status int, answer []byte, err error) {
	if err := o.Check(raw); err != nil {
		return 0, nil, err
	}
	return PostJSON(ctx, o.client, raw, nil, v)
}

// dial guards connections to the platform's host; a configured base and a proxy
// of the machine may be private.
func (o *Outlet) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	if host, _, err := net.SplitHostPort(addr); err == nil && host == o.host {
		d.Control = publicOnly
	}
	return d.DialContext(ctx, network, addr)
}

func publicOnly(_, addr string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	ip := ap.Addr().Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || sharedRange.Contains(ip) {
		return fmt.Errorf("%s is not a public address", ip)
	}
	return nil
}

// sharedRange is the carriers' address range of RFC 6598.
var sharedRange = netip.MustParsePrefix("100.64.0.0/10")

// PostJSON sends v as JSON with the given extra headers, and returns the
// answer's status and its first 64 KiB. Errors are deploy.CodeUnavailable,
// CodeTimeout or CodeCancelled and hold neither the address nor a header.
func PostJSON(ctx context.Context, client *http.Client, to string, header http.Header, v any) (int, []byte, error) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return 0, nil, &deploy.Error{Code: deploy.CodeInternal, Op: "encode", Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, &body)
	if err != nil {
		return 0, nil, &deploy.Error{Code: deploy.CodeInvalid, Op: "post", Message: "the address to post to is malformed"}
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, Unreachable(ctx, req.URL.Host, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, outletAnswer))
	if err != nil {
		return 0, nil, Unreachable(ctx, req.URL.Host, err)
	}
	return resp.StatusCode, answer, nil
}

// Unreachable names a failed call without its address, which may hold a token:
// deploy.CodeCancelled or CodeTimeout if ctx ended, else deploy.CodeUnavailable.
func Unreachable(ctx context.Context, host string, err error) error {
	var ue *url.Error
	for errors.As(err, &ue) {
		err = ue.Err
	}
	out := &deploy.Error{Code: deploy.CodeUnavailable, Op: "call", Subject: host, Err: err,
		Message: host + " cannot be reached; check the network, the proxy and the firewall of this machine"}
	if ctx.Err() != nil {
		out.Code, out.Message = deploy.CodeOf(ctx.Err()), ""
	}
	return out
}
