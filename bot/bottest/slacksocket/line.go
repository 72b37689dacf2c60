package slacksocket

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// warned is how long a connection stands after a disconnect with the reason
// "warning" (docs.slack.dev, Socket Mode: about ten seconds).
const warned = 10 * time.Second

// line is one connection.
type line struct {
	conn  *websocket.Conn
	write sync.Mutex
	gone  chan struct{} // closed when the connection has ended

	// Under the workspace's lock:
	greeted bool // hello was sent: payloads may come
	silent  bool // nothing gets through any more, in either direction
	retired bool // about to be closed: no payloads
}

// link serves the connection URLs; each works once.
func (s *Slack) link(w http.ResponseWriter, r *http.Request) {
	if !s.redeem(r.URL.Query().Get("ticket")) {
		http.Error(w, "this URL was used, or never handed out", http.StatusForbidden)
		return
	}
	defer s.serving.Done()
	conn, err := (&websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}).Upgrade(w, r, nil)
	if err != nil {
		return // answered by the upgrader
	}
	l := &line{conn: conn, gone: make(chan struct{})}
	if number := s.join(l); number > MostConnections {
		l.send(frame{"type": "disconnect", "reason": "too_many_websockets", "debug_info": frame{"host": "applink-7fc4fdbb64-4x5xq"}})
		conn.Close()
	} else {
		s.greet(l, number)
	}
	s.read(l)
}

func (s *Slack) redeem(ticket string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	usable := s.tickets[ticket] && !s.ended
	delete(s.tickets, ticket)
	if usable {
		s.serving.Add(1)
	}
	return usable
}

func (s *Slack) join(l *line) (number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, l)
	if s.ended {
		l.conn.Close()
	}
	return len(s.lines)
}

// greet says hello; then payloads may come.
func (s *Slack) greet(l *line, number int) {
	l.send(frame{
		"type": "hello", "num_connections": number, "connection_info": frame{"app_id": "A0IPUBLISH"},
		"debug_info": frame{"host": "applink-7fc4fdbb64-4x5xq", "build_number": 103, "approximate_connection_time": 3600},
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	l.greeted = true
	s.touch()
}

// frame is one JSON message of Slack.
type frame map[string]any

func (l *line) send(f frame) {
	b, err := json.Marshal(f)
	if err != nil {
		panic(err) // plain maps and texts only
	}
	l.sendText(b)
}

// sendText ignores failures: the peer is gone, and its reader notices.
func (l *line) sendText(b []byte) {
	l.write.Lock()
	defer l.write.Unlock()
	_ = l.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_ = l.conn.WriteMessage(websocket.TextMessage, b)
}

// read takes acks until the connection ends.
func (s *Slack) read(l *line) {
	s.serving.Add(1)
	go s.ping(l)
	answerClose := l.conn.CloseHandler()
	l.conn.SetCloseHandler(func(code int, text string) error {
		if s.mute(l) {
			return nil
		}
		return answerClose(code, text)
	})
	for {
		_, b, err := l.conn.ReadMessage()
		if err != nil {
			break
		}
		s.acknowledged(l, b)
	}
	l.conn.Close()
	close(l.gone)
	s.leave(l)
}

func (s *Slack) ping(l *line) {
	defer s.serving.Done()
	tick := time.NewTicker(s.options.PingEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.gone:
			return
		case now := <-tick.C:
			if !s.mute(l) {
				_ = l.conn.WriteControl(websocket.PingMessage, []byte("Ping from applink"), now.Add(time.Second))
			}
		}
	}
}

func (s *Slack) mute(l *line) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.silent
}

func (s *Slack) leave(l *line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = slices.DeleteFunc(s.lines, func(o *line) bool { return o == l })
	for _, e := range s.envelopes {
		if e.line == l && e.ack == nil {
			e.broken = true
		}
	}
	s.touch()
}

// Connections is how many connections Slack knows: also those that have fallen
// silent and were not closed yet.
func (s *Slack) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines)
}

// WaitConnections waits until exactly n connections stand that payloads can
// reach: greeted, not silent, not about to be closed.
func (s *Slack) WaitConnections(ctx context.Context, n int) error {
	return s.wait(ctx, fmt.Sprintf("%d connections", n), func() bool { return len(s.linesThat(reachable)) == n })
}

func reachable(l *line) bool { return l.greeted && !l.silent && !l.retired }

// known are the connections that Slack gives payloads to: it does not know which
// have fallen silent.
func known(l *line) bool { return l.greeted && !l.retired }

// linesThat lists the lines of a kind; the lock is held.
func (s *Slack) linesThat(kind func(*line) bool) []*line {
	var out []*line
	for _, l := range s.lines {
		if kind(l) {
			out = append(out, l)
		}
	}
	return out
}

func (s *Slack) all() []*line {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// Disconnect tells every connection to go, with a reason of Slack: "warning",
// "refresh_requested" or "link_disabled". After a warning it stands for another
// ten seconds, else it is closed at once. No payload comes over it any more.
func (s *Slack) Disconnect(reason string) {
	for _, l := range s.retire() {
		l.send(frame{"type": "disconnect", "reason": reason, "debug_info": frame{"host": "applink-7fc4fdbb64-4x5xq"}})
		if reason != "warning" {
			l.hangUp()
			continue
		}
		s.serving.Go(func() {
			select {
			case <-l.gone:
			case <-time.After(warned):
				l.hangUp()
			}
		})
	}
}

// HangUp closes every connection as WebSocket wants it.
func (s *Slack) HangUp() {
	for _, l := range s.retire() {
		l.hangUp()
	}
}

func (l *line) hangUp() {
	_ = l.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), time.Now().Add(time.Second))
	l.conn.Close()
}

// Drop ends every connection's TCP stream without a word of WebSocket.
func (s *Slack) Drop() {
	for _, l := range s.retire() {
		l.conn.Close()
	}
}

// Reset breaks every connection with a TCP reset.
func (s *Slack) Reset() {
	for _, l := range s.retire() {
		if tcp, ok := l.conn.NetConn().(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		l.conn.Close()
	}
}

// GoSilent makes every connection stand with nothing coming through in either
// direction, pings included, as when a firewall forgets it. Slack does not know
// and goes on giving it payloads, until the other side closes it.
func (s *Slack) GoSilent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		l.silent = true
	}
	s.touch()
}

// SendText sends any text over every connection.
func (s *Slack) SendText(text string) {
	for _, l := range s.all() {
		l.sendText([]byte(text))
	}
}

func (s *Slack) retire() []*line {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		l.retired = true
	}
	s.touch()
	return slices.Clone(s.lines)
}

// end closes everything and waits for it.
func (s *Slack) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.Drop()
	s.serving.Wait()
}
