// Package haproxyapi speaks HAProxy's Runtime API over its stats socket, for
// every driver that asks HAProxy something.
//
// The one idea: the socket has no status codes. A lone newline is success, any
// text is the error, and a connection that ends without either has said nothing.
//
// Guarantees: the socket is dialled on HAProxy's host through deployer.Host, so
// that a remote one needs no socat. Each call is one connection with a deadline:
// a peer that accepts and stays silent is deploy.CodeUnavailable after 5 s, or
// deploy.CodeTimeout when the caller's own deadline is earlier. Nothing but
// names of letters, digits and _ . : - enters a command.
//
// Reading asks for the level user, SetState for the level admin. HAProxy 1.8 and
// newer; known from 2.6.
package haproxyapi
