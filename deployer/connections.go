package deployer

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Connections are the TCP connections of the clients of one port of a host.
type Connections struct {
	Established int    // open in both directions
	Busy        int    // of them, and of those that the client half closed, with work that may be in flight
	How         string // what told Busy, for people
}

// The answers to what told Busy.
const (
	toldBySS    = "told by ss on the host"
	toldByTable = "told by /proc/net/tcp on the host, where idle connections count as busy: install iproute2"
)

// connectionsScript lists the connections of a port: $1 its number, $2 the same
// as four hexadecimal digits. A session has no login profile, so the folders of
// the system's tools are added. The first line says which list follows.
const connectionsScript = `PATH=$PATH:/usr/sbin:/sbin
if list=$(ss -tin state established state close-wait sport = ":$1" 2>/dev/null); then
  printf 'ss\n%s\n' "$list"
  exit 0
fi
[ -r /proc/net/tcp ] || { echo 'neither ss nor /proc/net/tcp is there' >&2; exit 1; }
echo table
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -i "^ *[0-9]*: [0-9A-F]*:$2 [0-9A-F]*:[0-9A-F]* 01 " || :`

// busyConnections counts the connections whose port on the host is port, of
// IPv4 and IPv6, with one command. A connection is idle when the host sent on it
// last, all of that arrived, and nothing moved for idleAfter. So these are busy:
//
//   - one with bytes that the app did not read, or the client did not take yet;
//   - one on which the client sent last, however long ago: a server of requests
//     owes an answer. WebSockets and streams, where it does not, and HTTP/2, whose
//     clients acknowledge last, are busy until they end or the caller's patience does;
//   - one on which the host never sent: its first request is under way;
//   - one that the kernel tells too little of.
//
// What looks idle and is not: an answer that pauses in its midst for longer than
// idleAfter, and a request that came in the same tick of the kernel's clock (at
// most 10 ms) as the answer before it left. TLS moves none of this: its records
// are bytes, and its servers end the handshake. Connections that ipublish itself
// closed are not established, and so not counted.
//
// The errors are those of Host.Run; deploy.CodeFailed where neither ss nor /proc is.
func busyConnections(ctx context.Context, h Host, port int, idleAfter time.Duration) (Connections, error) {
	number := strconv.Itoa(port)
	hex := strings.ToUpper(strconv.FormatInt(int64(port)|1<<16, 16)[1:])
	out, err := h.Run(ctx, script(connectionsScript, number, hex), nil)
	if err != nil {
		return Connections{}, err
	}
	which, list, _ := strings.Cut(string(out), "\n")
	if which == "ss" {
		return countSS(list, idleAfter), nil
	}
	n := strings.Count(list, "\n")
	return Connections{Established: n, Busy: n, How: toldByTable}, nil
}

// countSS reads ss -tin: one line a connection, its details on it or on the next.
func countSS(list string, idleAfter time.Duration) Connections {
	found := Connections{How: toldBySS}
	for _, s := range readSS(list) {
		if s.open {
			found.Established++
		}
		if s.busy(idleAfter) {
			found.Busy++
		}
	}
	return found
}

// socket is what ss tells of one connection.
type socket struct {
	open         bool // else the client sends no more
	queued       bool // bytes wait in the kernel
	told         bool // the details are there
	sent         bool // the host sent bytes, ever
	received     bool // the client did
	lastSent     time.Duration
	lastReceived time.Duration
}

func (s socket) busy(idleAfter time.Duration) bool {
	switch {
	case s.queued, !s.told:
		return true
	case !s.sent:
		return s.open || s.received
	case s.lastReceived < s.lastSent:
		return true
	}
	return s.open && s.lastSent < idleAfter
}

func readSS(list string) []socket {
	var found []socket
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 5 && (fields[0] == "ESTAB" || fields[0] == "CLOSE-WAIT"):
			found = append(found, newSocket(fields[0], fields[1], fields[2]))
			fields = fields[5:]
		case len(found) == 0 || line[0] != '\t' && line[0] != ' ':
			continue
		}
		found[len(found)-1].read(fields)
	}
	return found
}

// newSocket knows that the client's unread end counts as one byte.
func newSocket(state, unread, unsent string) socket {
	open := state == "ESTAB"
	return socket{open: open, queued: unsent != "0" || unread != "0" && (open || unread != "1")}
}

// read takes the details. ss leaves out what is 0.
func (s *socket) read(details []string) {
	for _, d := range details {
		key, value, _ := strings.Cut(d, ":")
		switch key {
		case "rto":
			s.told = true
		case "bytes_sent", "bytes_acked", "data_segs_out":
			s.sent = true
		case "bytes_received", "data_segs_in":
			s.received = true
		case "lastsnd":
			s.lastSent = milliseconds(value)
		case "lastrcv":
			s.lastReceived = milliseconds(value)
		}
	}
}

// milliseconds of what is no number are 0: just now.
func milliseconds(text string) time.Duration {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Millisecond
}
