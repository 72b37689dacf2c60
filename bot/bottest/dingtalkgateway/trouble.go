package dingtalkgateway

import (
	"time"

	"github.com/gorilla/websocket"
)

// Disconnect tells every connection that may get messages to disconnect. It gets
// nothing more and is closed after the quiet time; its acknowledgements are
// still read. WaitAck takes the messageIds returned, though DingTalk demands no
// answer to them.
func (g *Gateway) Disconnect() (messageIDs []string) {
	var told []*connection
	g.locked(func() {
		told = g.usable("")
		for _, c := range told {
			c.leaving = true
			select {
			case <-g.end:
			default:
				g.serving.Go(func() { g.closeLater(c) })
			}
		}
	})
	for _, c := range told {
		id, _ := g.pushTo(c, Frame{Type: "SYSTEM", Topic: "disconnect", Data: `{"reason":"persistent connection is timeout"}`}, "")
		messageIDs = append(messageIDs, id)
	}
	return messageIDs
}

func (g *Gateway) closeLater(c *connection) {
	t := time.NewTimer(g.quiet)
	defer t.Stop()
	select {
	case <-t.C:
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		_ = c.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(writeLimit))
		_ = c.ws.Close()
	case <-c.gone:
	case <-g.end:
	}
}

// Reset ends every open connection by a TCP reset; none of them gets a message
// any more.
func (g *Gateway) Reset() {
	g.locked(func() {
		for c := range g.conns {
			c.leaving = true
			c.reset()
		}
	})
}

// GoSilent makes every open connection silent: it stays open, but no ping is
// answered, nothing comes any more and nothing is heard. Connections that are
// opened later work.
func (g *Gateway) GoSilent() {
	g.locked(func() {
		for c := range g.conns {
			c.silent = true
		}
	})
}

// ExpireTickets makes every ticket that was handed out, and the next one that
// is, too old.
func (g *Gateway) ExpireTickets() {
	g.locked(func() {
		for _, t := range g.tickets {
			t.born = t.born.Add(-ticketLife - time.Second)
		}
		g.next = append(g.next, opening{stale: true})
	})
}

// SpendTicket makes the next ticket that is handed out one that was used before.
func (g *Gateway) SpendTicket() { g.answerNext(opening{spent: true}) }

// Endpoint makes the next call of open name another server to connect to.
func (g *Gateway) Endpoint(address string) { g.answerNext(opening{endpoint: address}) }

// Refuse makes the next call of open be answered with this status and JSON.
func (g *Gateway) Refuse(status int, body any) { g.answerNext(opening{status: status, body: body}) }

func (g *Gateway) answerNext(how opening) {
	g.locked(func() { g.next = append(g.next, how) })
}
