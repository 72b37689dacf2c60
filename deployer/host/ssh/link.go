package ssh

import (
	"context"
	"sync"

	"ipublish/deploy"
)

// link hands out the one connection of a host. It dials when there is none,
// once for all who wait, and owns every goroutine that works on a connection.
type link struct {
	name string
	dial func(context.Context) (*connection, error)

	mu      sync.Mutex
	closed  bool
	current *connection         // what new calls use; nil: dial
	all     map[*connection]int // open ones with the number of their users
	attempt *attempt            // nil: nobody is dialling
	work    sync.WaitGroup      // every goroutine and every user; grows only while !closed or from within
}

// attempt is one try to connect. It lives on when the caller that began it goes.
type attempt struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when conn or err is set
	conn   *connection
	err    error
}

// use returns the connection, which the caller must release. It blocks while
// one is being made, at most until ctx ends.
func (l *link) use(ctx context.Context) (*connection, error) {
	c, a, err := l.join()
	if c != nil || err != nil {
		return c, err
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if a.err != nil {
		return nil, a.err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.admit(a.conn) {
		return nil, l.broken(nil)
	}
	return a.conn, nil
}

// join admits to the current connection, else names the attempt to wait for.
func (l *link) join() (*connection, *attempt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, l.over()
	}
	if l.current != nil && l.admit(l.current) {
		return l.current, nil, nil
	}
	if l.attempt == nil {
		l.attempt = l.begin()
	}
	return nil, l.attempt, nil
}

func (l *link) admit(c *connection) bool {
	if l.closed || c.broken() {
		return false
	}
	if _, ok := l.all[c]; !ok {
		return false
	}
	l.all[c]++
	l.work.Add(1)
	return true
}

func (l *link) begin() *attempt {
	ctx, cancel := context.WithCancel(context.Background())
	a := &attempt{cancel: cancel, done: make(chan struct{})}
	l.work.Go(func() {
		defer cancel()
		conn, err := l.dial(ctx)
		l.settle(a, conn, err)
	})
	return a
}

func (l *link) settle(a *attempt, c *connection, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(a.done)
	l.attempt = nil
	if err == nil && l.closed {
		c.close()
		err = l.over()
	}
	a.conn, a.err = c, err
	if err != nil {
		return
	}
	if l.all == nil {
		l.all = map[*connection]int{}
	}
	l.current, l.all[c] = c, 0
	l.work.Go(c.watch)
	l.work.Go(func() {
		c.keepAlive()
		l.forget(c)
	})
}

func (l *link) forget(c *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, c)
	if l.current == c {
		l.current = nil
	}
}

// release ends a use. The last user of a retired connection closes it.
func (l *link) release(c *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.work.Done()
	if _, ok := l.all[c]; !ok {
		return
	}
	l.all[c]--
	if l.all[c] == 0 && l.current != c {
		c.close()
	}
}

// retire keeps new calls off a connection; those on it may end.
func (l *link) retire(c *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == c {
		l.current = nil
	}
}

func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	if l.attempt != nil {
		l.attempt.cancel()
	}
	for c := range l.all {
		c.close()
	}
	l.mu.Unlock()
	l.work.Wait()
}

func (l *link) over() error {
	return &deploy.Error{
		Code: deploy.CodeUnavailable, Op: "connect", Subject: l.name, Message: "the connection to " + l.name + " was closed by ipublish itself",
	}
}

func (l *link) broken(cause error) error {
	return &deploy.Error{
		Code: deploy.CodeUnavailable, Op: "connect", Subject: l.name, Message: "the connection to " + l.name + " broke", Err: cause,
	}
}
