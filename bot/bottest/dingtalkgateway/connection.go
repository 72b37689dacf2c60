package dingtalkgateway

import (
	"encoding/json"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// writeLimit bounds how long a bot may not read.
const writeLimit = 10 * time.Second

// connection is one of the bot's connections.
type connection struct {
	ws      *websocket.Conn
	topics  []string
	gone    chan struct{} // closed when it is not read any more
	writing sync.Mutex

	// The gateway's lock is for these.
	leaving bool // told to disconnect, or reset
	silent  bool // open, but nothing comes and nothing is heard
	closed  bool
}

// connect serves one connection until it ends.
func (g *Gateway) connect(w http.ResponseWriter, r *http.Request) {
	topics, ok := g.redeem(r.URL.Query().Get("ticket"))
	if !ok {
		respond(w, http.StatusUnauthorized, failure("ticketInvalid", "the ticket is unknown, used or expired"))
		return
	}
	ws, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return // it answered
	}
	c := &connection{ws: ws, topics: topics, gone: make(chan struct{})}
	if !g.add(c) {
		_ = ws.Close()
		return
	}
	defer g.serving.Done()
	pong := ws.PingHandler()
	ws.SetPingHandler(func(data string) error {
		if !g.heard(c) {
			return nil
		}
		return pong(data)
	})
	g.listen(c)
	g.remove(c)
}

func (g *Gateway) add(c *connection) (added bool) {
	g.locked(func() {
		select {
		case <-g.end:
		default:
			added = true
			g.serving.Add(1)
			g.conns[c] = struct{}{}
			g.opened++
		}
	})
	return added
}

// remove gives up on what was not acknowledged: it is not sent again.
func (g *Gateway) remove(c *connection) {
	_ = c.ws.Close()
	close(c.gone)
	g.locked(func() {
		c.closed = true
		delete(g.conns, c)
	})
}

// heard counts a ping, unless the connection is silent.
func (g *Gateway) heard(c *connection) (heard bool) {
	g.locked(func() {
		if heard = !c.silent; heard {
			g.probes++
		}
	})
	return heard
}

// listen reads acknowledgements.
func (g *Gateway) listen(c *connection) {
	for {
		kind, raw, err := c.ws.ReadMessage()
		if err != nil {
			return
		}
		g.locked(func() {
			if !c.silent {
				g.acknowledge(c, kind == websocket.TextMessage, raw)
			}
		})
	}
}

// usable lists the connections that get messages of a topic; with the lock held.
// An empty topic is subscribed by everybody.
func (g *Gateway) usable(topic string) []*connection {
	var out []*connection
	for c := range g.conns {
		if !c.leaving && !c.silent && (topic == "" || slices.Contains(c.topics, topic)) {
			out = append(out, c)
		}
	}
	return out
}

// pick chooses at random among the connections of a topic, as DingTalk does.
func (g *Gateway) pick(topic string) *connection {
	all := g.usable(topic)
	if len(all) == 0 {
		return nil
	}
	return all[rand.IntN(len(all))]
}

// send reports whether the bytes were handed to the network.
func (c *connection) send(raw []byte) bool {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.ws.SetWriteDeadline(time.Now().Add(writeLimit))
	return c.ws.WriteMessage(websocket.TextMessage, raw) == nil
}

// reset ends the connection with a TCP reset.
func (c *connection) reset() {
	if tcp, ok := c.ws.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.ws.NetConn().Close()
}

func mustJSON(v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps and texts only
	}
	return out
}
