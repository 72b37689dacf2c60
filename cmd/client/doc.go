// Package client speaks to a running server: over its unix socket as the local
// user, or over HTTP with a token.
//
// The one idea: the command line has no rules of its own; a command is the same
// text as in a chat, and the server answers it.
//
// Guarantees: a command carries a key, so that it can be repeated; a server
// that is not there, or accepts and stays mute, is ErrUnreachable after seconds,
// never a wait without end; a stream that is cut is taken up where it ended.
package client
