package slb

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ipublish/deploy"
)

const (
	apiVersion  = "2014-05-15"
	answerLimit = 8 << 20
	firstPause  = 200 * time.Millisecond
	longPause   = 5 * time.Second
)

// client makes signed calls. Parameters travel in the body, so that neither the
// key nor the signature is in a URL, and net/http repeats none by itself: the API
// refuses a nonce that it has seen.
type client struct {
	settings settings
	http     *http.Client
}

func newClient(s settings) *client {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{settings: s, http: &http.Client{CheckRedirect: stay}}
}

// call makes one call and decodes its answer. What the API is too busy for is
// asked again with growing pauses until ctx ends.
func (c *client) call(ctx context.Context, action string, params map[string]string, into any) error {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := c.once(ctx, action, params, into)
		var f *fault
		if !errors.As(err, &f) {
			return err
		}
		if !f.passing() {
			return c.verdict(action, f)
		}
		if !wait(ctx, pause) {
			return c.late(ctx, f)
		}
	}
}

// once makes one call within the key timeout: a *fault is what the API answered,
// every other error a *deploy.Error.
func (c *client) once(ctx context.Context, action string, params map[string]string, into any) error {
	limited, cancel := context.WithTimeout(ctx, c.settings.Timeout.D())
	defer cancel()
	req, err := c.request(limited, action, params)
	if err != nil {
		return &deploy.Error{Code: deploy.CodeInternal, Op: action, Err: bare(err)}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.unreached(ctx, limited, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	if err != nil {
		return c.unreached(ctx, limited, err)
	}
	if res.StatusCode != http.StatusOK {
		return readFault(res.StatusCode, body, c.settings.AccessKeySecret)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &deploy.Error{Code: deploy.CodeFailed, Op: action, Err: err,
			Message: fmt.Sprintf("what %s answers is not Aliyun's API: is the endpoint of balancer.slb right?", c.settings.Endpoint)}
	}
	return nil
}

func (c *client) request(ctx context.Context, action string, params map[string]string) (*http.Request, error) {
	all := map[string]string{
		"Action": action, "Version": apiVersion, "Format": "JSON", "RegionId": c.settings.Region, "AccessKeyId": c.settings.AccessKeyID,
		"SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureNonce": rand.Text(),
		"Timestamp": time.Now().UTC().Format("2006-01-02T15:04:05Z"),
	}
	maps.Copy(all, params)
	all["Signature"] = signature(http.MethodPost, c.settings.AccessKeySecret, all)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.settings.Endpoint+"/", strings.NewReader(canonical(all)))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req, err
}

// unreached judges a call that got no answer: the caller's context, the key
// timeout, or the network ended it.
func (c *client) unreached(ctx, limited context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return &deploy.Error{Code: deploy.CodeOf(ctx.Err()), Err: ctx.Err(),
			Message: fmt.Sprintf("Aliyun's API at %s had not answered when the time was up", c.settings.Endpoint)}
	case limited.Err() != nil:
		return &deploy.Error{Code: deploy.CodeUnavailable, Err: limited.Err(),
			Message: fmt.Sprintf("Aliyun's API at %s did not answer within %s", c.settings.Endpoint, c.settings.Timeout)}
	}
	return &deploy.Error{Code: deploy.CodeUnavailable, Err: bare(err),
		Message: fmt.Sprintf("Aliyun's API at %s cannot be reached from here", c.settings.Endpoint)}
}

// late is the error of a call that the API was too busy for until ctx ended.
func (c *client) late(ctx context.Context, f *fault) error {
	return &deploy.Error{Code: deploy.CodeOf(ctx.Err()), Err: f,
		Message: fmt.Sprintf("Aliyun's API was still too busy when the time was up (%s): is something else changing %s, or using up the account's calls?", f.cause(), c.settings.LoadBalancerID)}
}

// bare takes the URL out of an error of net/http.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// wait reports whether the pause passed before ctx ended.
func wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
