package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The users: together about 100 orders a second.
const (
	regulars = 12 // keep their connection, and pause between orders
	visitors = 8  // open a new connection for each order
	answerIn = 10 * time.Second
)

// users order all the time, until stopped. They speak HTTP over their own
// connections and repeat nothing: every failure is counted.
type users struct {
	door  string // host:port of the proxy
	tally *tally
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// startUsers begins to order at door.
func startUsers(ctx context.Context, door string) *users {
	ctx, stop := context.WithCancel(ctx)
	u := &users{door: door, tally: newTally(), stop: stop}
	for range regulars {
		u.done.Go(func() { u.regular(ctx) })
	}
	for range visitors {
		u.done.Go(func() { u.visitor(ctx) })
	}
	return u
}

// close ends them; orders in flight are finished.
func (u *users) close() {
	u.stop()
	u.done.Wait()
}

// regular orders over one connection, after short and now and then long pauses.
func (u *users) regular(ctx context.Context) {
	var c *connection
	for pause(ctx, gap()) {
		if c == nil {
			if c = u.connect(); c == nil {
				continue
			}
		}
		if !u.order(c, "keep-alive") {
			c.close()
			c = nil
		}
	}
	if c != nil {
		c.close()
	}
}

// visitor orders once a connection.
func (u *users) visitor(ctx context.Context) {
	for pause(ctx, gap()) {
		if c := u.connect(); c != nil {
			u.order(c, "close")
			c.close()
		}
	}
}

// gap is 120 to 220 ms, and every thirtieth time a second and a half.
func gap() time.Duration {
	if rand.IntN(30) == 0 {
		return 1500 * time.Millisecond
	}
	return time.Duration(120+rand.IntN(100)) * time.Millisecond
}

// pause waits; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

type connection struct {
	net.Conn
	answers *bufio.Reader
}

func (c *connection) close() { _ = c.Close() } // nothing more is expected of it

func (u *users) connect() *connection {
	c, err := net.DialTimeout("tcp", u.door, answerIn)
	if err != nil {
		u.tally.failed("no connection" + late(err))
		return nil
	}
	return &connection{Conn: c, answers: bufio.NewReader(c)}
}

// order sends one order and counts what came back; false if the connection is
// of no more use.
func (u *users) order(c *connection, connection string) bool {
	version, more, kind := u.exchange(c, connection)
	if kind != "" {
		u.tally.failed(kind)
		return false
	}
	u.tally.answered(version)
	return more
}

// exchange gives the version that answered and whether the connection takes
// more, or the kind of the failure.
func (u *users) exchange(c *connection, connection string) (version string, more bool, kind string) {
	if err := c.SetDeadline(time.Now().Add(answerIn)); err != nil {
		return "", false, "connection lost"
	}
	const body = `{"cup": 1}`
	_, err := fmt.Fprintf(c, "POST /orders HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		u.door, connection, len(body), body)
	if err != nil {
		return "", false, "connection lost" + late(err)
	}
	res, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return "", false, "no answer" + late(err)
	}
	text, err := io.ReadAll(res.Body)
	version = res.Header.Get("X-Version")
	switch {
	case err != nil:
		return "", false, "answer cut" + late(err)
	case res.StatusCode != http.StatusOK:
		return "", false, fmt.Sprintf("status %d", res.StatusCode)
	case !strings.HasSuffix(string(text), "version "+version+"\n"):
		return "", false, "garbled answer"
	}
	return version, !res.Close, ""
}

// late tells a timeout apart.
func late(err error) string {
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		return " in time"
	}
	return ""
}
