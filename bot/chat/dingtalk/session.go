package dingtalk

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"ipublish/bot/hostile"
)

// maxFrame is the largest frame that is read; what is larger is skipped.
const maxFrame = 1 << 20

// robot works on one robot message and says how to acknowledge it: an HTTP
// status. afterwards, where set, is called when that was sent.
type robot func(ctx context.Context, data string) (status int, afterwards func())

// session is one connection of the stream. Only its reader reads; whoever has
// something to say takes turns at writing.
type session struct {
	conn  *websocket.Conn
	pace  pace
	slots chan struct{} // shared by all sessions: one for each message being handled
	robot robot
	log   *slog.Logger

	leaving  chan struct{} // closed when DingTalk announced to close the connection
	lost     chan struct{} // closed when nothing is read any more; then err is set
	err      error
	handlers sync.WaitGroup
	writing  sync.Mutex

	mu    sync.Mutex // for what follows, and the reader's deadline
	phase phase
	owed  bool // a pong
}

// phase is where a session is on its way; it never goes back.
type phase int

const (
	phaseOpen    phase = iota
	phaseLeaving       // announced to be closed: still read, no longer probed
	phaseOver          // not read any more
)

func newSession(conn *websocket.Conn, p pace, slots chan struct{}, r robot, log *slog.Logger) *session {
	s := &session{conn: conn, pace: p, slots: slots, robot: r, log: log, leaving: make(chan struct{}), lost: make(chan struct{})}
	conn.SetPongHandler(func(string) error { s.alive(); return nil })
	pong := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { s.alive(); return pong(data) })
	s.alive()
	return s
}

// run reads and answers until the connection is lost or ctx ends, and returns
// when everything it started has ended. When ctx ends, messages that are being
// handled are still acknowledged.
func (s *session) run(ctx context.Context) {
	var keeper sync.WaitGroup
	keeper.Go(func() { s.keep(ctx) })
	s.err = s.read(ctx)
	close(s.lost)
	if ctx.Err() == nil {
		_ = s.conn.Close() // at once, so that DingTalk sends nothing more this way
	}
	keeper.Wait()
	s.handlers.Wait()
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = s.conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
	_ = s.conn.Close()
}

// keep probes the connection, and ends reading when its time is over.
func (s *session) keep(ctx context.Context) {
	defer s.over()
	probe := time.NewTicker(s.pace.ping)
	defer probe.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.lost:
			return
		case <-s.leaving:
			s.overlap(ctx)
			return
		case <-probe.C:
			s.ping()
		}
	}
}

// overlap leaves it to DingTalk to close the connection, within bounds.
func (s *session) overlap(ctx context.Context) {
	bound := time.NewTimer(s.pace.overlap)
	defer bound.Stop()
	select {
	case <-ctx.Done():
	case <-s.lost:
	case <-bound.C:
	}
}

// read returns why there is nothing to read any more. It never waits for a handler.
func (s *session) read(ctx context.Context) error {
	for {
		kind, r, err := s.conn.NextReader()
		if err != nil {
			return err
		}
		raw, err := io.ReadAll(io.LimitReader(r, maxFrame+1))
		if err != nil {
			return err
		}
		s.alive()
		if kind != websocket.TextMessage || len(raw) > maxFrame {
			s.log.Warn("a frame of DingTalk's stream was skipped: it is no text, or larger than 1 MiB")
			continue
		}
		s.take(ctx, raw)
	}
}

// take answers one frame, or lets a handler do so.
func (s *session) take(ctx context.Context, raw []byte) {
	f, err := readFrame(raw)
	switch {
	case err != nil:
		s.log.Warn("a frame of DingTalk's stream was skipped", "err", err)
	case f.Type == typeSystem && f.Headers.Topic == topicPing:
		s.answer(f.ack(http.StatusOK, f.Data))
	case f.Type == typeSystem && f.Headers.Topic == topicDisconnect:
		// Without an answer DingTalk would say it again.
		s.answer(f.ack(http.StatusOK, dataNone))
		s.leave()
	case f.Type == typeCallback && f.Headers.Topic == topicRobot:
		s.serve(ctx, f)
	default:
		s.log.Debug("a frame of DingTalk's stream has a topic that nobody handles", "type", hostile.Line(f.Type, 40), "topic", hostile.Line(f.Headers.Topic, 200))
		s.answer(f.ack(http.StatusNotFound, dataNone))
	}
}

// serve starts a handler, where not too many are at work.
func (s *session) serve(ctx context.Context, f frame) {
	select {
	case s.slots <- struct{}{}:
	default:
		s.log.Warn("a message was not taken: too many are being handled at once")
		s.answer(f.ack(http.StatusInternalServerError, dataRobot))
		return
	}
	s.handlers.Go(func() {
		defer func() { <-s.slots }()
		status, afterwards := s.robot(ctx, f.Data)
		s.answer(f.ack(status, dataRobot))
		if afterwards != nil {
			afterwards()
		}
	})
}

// answer sends an acknowledgement. Where that fails the connection is of no use
// any more: closing it makes the reader say so.
func (s *session) answer(a ack) {
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.pace.write)) // always nil: it only notes the time
	if err := s.conn.WriteJSON(a); err != nil {
		_ = s.conn.Close()
	}
}

// ping asks for a sign of life, unless one is owed already; without one the
// reader's deadline passes.
func (s *session) ping() {
	if s.owe() {
		_ = s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(s.pace.pong)) // what fails has no pong
	}
}

// owe lets the reader wait for a pong, if none is owed.
func (s *session) owe() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owed || s.phase != phaseOpen {
		return false
	}
	s.owed = true
	s.wait(s.pace.pong)
	return true
}

// alive notes a sign of life: the reader waits until the next one is due.
func (s *session) alive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseOver {
		s.owed = false
		s.wait(s.pace.ping + s.pace.pong)
	}
}

// wait lets the reader wait for d from now on; with the lock held.
func (s *session) wait(d time.Duration) {
	_ = s.conn.NetConn().SetReadDeadline(time.Now().Add(d)) // fails only where the connection is closed
}

// leave notes that DingTalk is about to close the connection.
func (s *session) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseOpen {
		s.phase = phaseLeaving
		s.wait(s.pace.overlap + s.pace.pong) // a pong that is owed no longer comes
		close(s.leaving)
	}
}

// over makes the reader return.
func (s *session) over() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = phaseOver
	s.wait(-time.Second)
}
