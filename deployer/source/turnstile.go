package source

import (
	"context"
	"sync"
)

// turnstile lets one caller at a time hold a name. The zero value works.
type turnstile struct {
	mu   sync.Mutex
	gate map[string]*gate
}

type gate struct {
	free  chan struct{} // holds one token while nobody is inside
	users int
}

// enter waits until nobody holds name or ctx ends; leave gives it back.
func (t *turnstile) enter(ctx context.Context, name string) (leave func(), err error) {
	g := t.join(name)
	select {
	case <-g.free:
		return func() { g.free <- struct{}{}; t.part(name, g) }, nil
	case <-ctx.Done():
		t.part(name, g)
		return nil, ctx.Err()
	}
}

func (t *turnstile) join(name string) *gate {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gate == nil {
		t.gate = map[string]*gate{}
	}
	g := t.gate[name]
	if g == nil {
		g = &gate{free: make(chan struct{}, 1)}
		g.free <- struct{}{}
		t.gate[name] = g
	}
	g.users++
	return g
}

func (t *turnstile) part(name string, g *gate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g.users--; g.users == 0 {
		delete(t.gate, name)
	}
}
