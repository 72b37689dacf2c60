package slbtest

import (
	"context"
	"net"
	"net/http"
	"time"
)

func (k Check) filledIn() Check {
	orTime := func(v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		}
	}
	orTime(&k.Interval, 50*time.Millisecond)
	orTime(&k.Timeout, time.Second)
	if k.Rise == 0 {
		k.Rise = 2
	}
	if k.Fall == 0 {
		k.Fall = 2
	}
	return k
}

// startChecks judges every server of the group until the cloud ends.
func (g *Group) startChecks() {
	if g.Check == nil {
		return
	}
	k := g.Check.filledIn()
	for i, s := range g.Servers {
		g.cloud.checks.Go(func() { g.watch(k, i, s.Addr) })
	}
}

func (g *Group) watch(k Check, i int, addr string) {
	ticker := time.NewTicker(k.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-g.cloud.done:
			return
		case <-ticker.C:
			g.judge(k, i, k.passes(addr))
		}
	}
}

func (g *Group) judge(k Check, i int, good bool) {
	g.cloud.mu.Lock()
	defer g.cloud.mu.Unlock()
	st := g.states[i]
	if good {
		st.good = max(st.good, 0) + 1
	} else {
		st.good = min(st.good, 0) - 1
	}
	switch {
	case st.good >= k.Rise:
		st.health = "normal"
	case -st.good >= k.Fall:
		st.health = "abnormal"
	}
}

func (k Check) passes(addr string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), k.Timeout)
	defer cancel()
	if k.Path == "" {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+k.Path, nil)
	if err != nil {
		return false
	}
	req.Close = true
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode < http.StatusBadRequest
}
