package ssh

import (
	"net"
	"sync/atomic"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// maxMissed is how many questions in a row may stay unanswered.
const maxMissed = 3

// connection is one authenticated connection with the jump hosts it leads through.
type connection struct {
	client   *gossh.Client
	wire     *wire
	jumps    []*gossh.Client // nearest first
	interval time.Duration   // of keepalives
	dead     chan struct{}   // closed when the connection ended
}

// broken reports whether the connection is known to have ended.
func (c *connection) broken() bool {
	select {
	case <-c.dead:
		return true
	default:
		return c.wire.cut.Load()
	}
}

// close ends the connection and, with it, every channel; it does not wait. The
// jump hosts go first: saying goodbye through one that fell silent would block.
func (c *connection) close() {
	c.wire.cut.Store(true)
	closeAll(c.jumps)
	_ = c.wire.Close()
}

// watch blocks until the connection ended.
func (c *connection) watch() {
	_ = c.client.Wait()
	close(c.dead)
	c.close()
}

// keepAlive asks the peer in intervals whether it is there, and closes the
// connection after maxMissed unanswered ones. It blocks until the connection ended.
func (c *connection) keepAlive() {
	tick := time.NewTicker(c.interval)
	defer tick.Stop()
	answers := make(chan error, 1)
	missed, asked := 0, false
	for {
		select {
		case <-c.dead:
			if asked {
				<-answers
			}
			return
		case err := <-answers:
			missed, asked = 0, false
			if err != nil {
				c.close()
			}
		case <-tick.C:
			if !asked {
				asked = true
				go func() { answers <- c.ask() }()
			} else if missed++; missed == maxMissed {
				c.close()
			}
		}
	}
}

// ask is answered by every server, with a refusal too; err: the connection broke.
func (c *connection) ask() error {
	_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
	return err
}

// wire is the transport under a connection. It knows that it was cut before
// the calls on the connection do: they cannot tell a cut stream from an ended one.
type wire struct {
	net.Conn
	cut atomic.Bool
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.cut.Store(true)
	}
	return n, err
}

// Close implements net.Conn.
func (w *wire) Close() error {
	w.cut.Store(true)
	return w.Conn.Close()
}

func closeAll(clients []*gossh.Client) {
	for _, c := range clients {
		_ = c.Close()
	}
}
