package proxy

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	"ipublish/deploy"
)

const (
	// watchPause lets what goes wrong at once be told at once, and what goes wrong
	// a thousand times a second a hundred times a second.
	watchPause = 10 * time.Millisecond
	// watchBeat is how often a watcher hears when all is well.
	watchBeat = time.Second
	// watchElders is how often it is looked whether an elder saw a failure.
	watchElders = 50 * time.Millisecond
	// watchSilence is after how long without a word nobody speaks any more.
	watchSilence = 5 * watchBeat
)

// watch tells of a route, a line each time: at once, as soon as a connect was
// refused, a request failed or was answered 5xx, or the table changed, and at
// every beat. It ends when a successor takes over.
func (g *registry) watch(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	lines := json.NewEncoder(w)
	for told := 0; ; told++ {
		rung, beat := g.listen(name)
		s, err := g.get(name)
		if err != nil && told == 0 {
			reply(w, nil, err)
		}
		if err != nil || lines.Encode(s) != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		if !g.pause(r.Context(), nil, watchPause) || !g.pause(r.Context(), rung, beat) {
			return
		}
	}
}

// listen returns what the next failure rings, and when to look without one.
func (g *registry) listen(name string) (<-chan struct{}, time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	beat := watchBeat
	if len(g.elders.living) > 0 {
		beat = watchElders
	}
	if l, ok := g.lanes[name]; ok {
		return l.bell.listen(), beat
	}
	return nil, beat
}

// pause blocks until rung is closed or d has passed, and reports whether to go on.
func (g *registry) pause(ctx context.Context, rung <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-rung:
		return true
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-g.gone:
	case <-g.calm.Done():
	}
	return false
}

// Watch blocks until ctx ends (deploy.CodeCancelled, deploy.CodeTimeout) or
// nobody answers any more (deploy.CodeUnavailable), and calls told with the
// proxy's own view: at once, within some 10 ms of every refused connect, failed
// request, answer of 5xx and change of the table, and every second. A connect
// to an up address that was refused shows as a request of the spare that took
// it, else as a failure of the up address. It goes on through a replacement of
// the proxy, and so do the counts. deploy.CodeNotFound when there is no route yet.
func (b *balancer) Watch(ctx context.Context, s deploy.Step, told func(deploy.Traffic)) error {
	for {
		lines, err := b.client.watch(ctx, b.target.String(), func(st status) { told(traffic(st, s.Targets)) })
		switch {
		case ctx.Err() != nil:
			return b.wrap("watch route", &deploy.Error{Code: deploy.CodeOf(ctx.Err()), Err: ctx.Err()})
		case err != nil && lines == 0:
			return b.wrap("watch route", err)
		}
	}
}

// watch calls told for each line until the proxy ends them, and counts them.
func (c client) watch(ctx context.Context, name string, told func(status)) (lines int, err error) {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	deaf := time.AfterFunc(watchSilence, cancel)
	defer deaf.Stop()
	res, err := c.await(within, "/v1/watch/"+url.PathEscape(name))
	if err != nil {
		return 0, c.unanswered(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		data, err := io.ReadAll(io.LimitReader(res.Body, maxCallAnswer))
		if err != nil {
			return 0, c.unanswered(ctx, err)
		}
		return 0, c.decode(res.StatusCode, data, nil)
	}
	stream := json.NewDecoder(res.Body)
	for {
		var st status
		if err := stream.Decode(&st); err != nil {
			return lines, c.unanswered(ctx, err)
		}
		lines++
		deaf.Reset(watchSilence)
		told(st)
	}
}

// await asks until the answer is that of the proxy in charge.
func (c client) await(ctx context.Context, path string) (*http.Response, error) {
	tick := time.NewTicker(movedInterval)
	defer tick.Stop()
	for {
		res, err := c.send(ctx, http.MethodGet, path, nil)
		if err != nil || res.StatusCode != http.StatusMisdirectedRequest {
			return res, err
		}
		_ = res.Body.Close() // it says nothing more
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
