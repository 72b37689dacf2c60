package slb

import (
	"context"
	"encoding/json"
	"sync"

	"ipublish/deployer"
)

// Turns opens drivers whose changes of the same load balancer happen one after
// another: the API refuses a second one while the first is pending. The zero
// Turns is ready; it must not be copied, and may be used by several goroutines.
type Turns struct {
	mu sync.Mutex
	of map[string]chan struct{} // full while somebody changes that load balancer
}

// New opens the balancer of a section balancer.slb; it does no I/O. host is not
// called: the load balancer is Aliyun's. deploy.CodeInvalid for a section that
// cannot be right, with what to write.
func (t *Turns) New(section json.RawMessage, _ func(name string) (deployer.Host, error)) (deployer.Balancer, error) {
	s, err := readSettings(section)
	if err != nil {
		return nil, err
	}
	return &balancer{settings: s, api: newClient(s), turns: t}, nil
}

// take waits until nobody else changes the load balancer; release ends the turn.
func (t *Turns) take(ctx context.Context, balancer string) (release func(), err error) {
	turn := t.turn(balancer)
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (t *Turns) turn(balancer string) chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[string]chan struct{}{}
	}
	if t.of[balancer] == nil {
		t.of[balancer] = make(chan struct{}, 1)
	}
	return t.of[balancer]
}
