// Package proxy is the built-in reverse proxy: the process that `ipublish proxy`
// runs (Serve), and the balancer driver that tells it who receives traffic (New).
//
// The one idea: who receives traffic is one immutable table a route, swapped by
// one atomic store. A request takes its address from the table in force when it
// arrives and keeps it; the count of requests in flight to an address is true
// from that moment, so that "no longer up and nothing in flight" means that the
// process behind the address may be stopped.
//
// Guarantees:
//   - A change is on disk before it is acknowledged, and in force when it is.
//   - A route is never without an address that is up.
//   - Nothing that changes something is sent twice: only a request of which not a
//     byte was sent goes over another connection or, when the connect was refused
//     or the new connection ended first, to another address. What the client
//     declared repeatable (GET, HEAD, OPTIONS, TRACE, an Idempotency-Key) net/http
//     repeats on a connection that it reused.
//   - Connections that a request left idle are closed as soon as their address
//     is no longer up, so that no request meets a stopping process on one, and
//     no stopping process waits for one.
//   - Host, X-Real-IP, REMOTE-HOST, Forwarded, path, query and Location pass
//     unchanged; X-Forwarded-For gets the peer appended.
//   - Of two changes of a route the one begun later wins, whenever they arrive; one
//     that was given up changes nothing any more once Route has returned, but where
//     the proxy answered nobody for half a second.
//   - A drain ends: what has no end of its own (a WebSocket, server-sent events,
//     any answer of which nobody said how long it is) is closed when the drain
//     step's time is over, and how many were is told. What else is in flight then
//     is left to the application's own graceful end.
//   - The proxy outlives the bot: none of them is the other's child.
//   - It is replaced, by the same or by another version, without refusing or
//     cutting a connection. The new process (Options.Replace) gets the locks, the
//     control socket and the listening sockets of the old one over the control
//     socket; both listen until the new one says that it serves, and whatever goes
//     wrong before leaves the old one as it is. The old one, the elder, then serves
//     whoever is still connected, asks them with each answer to connect anew,
//     follows every change of its routes, and leaves its counts to the new one,
//     which meanwhile adds what the elder has in flight to its own. Who asks
//     for it: `ipublish proxy --replace`, SIGHUP (systemctl reload), or Ensure
//     where a proxy of another version answers.
//   - Failures are told while they happen, to whoever watches (Watch), and of every
//     answer that ends by itself how long it took.
package proxy
