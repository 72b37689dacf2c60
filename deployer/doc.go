// Package deployer is the engine: it claims a request, plans it, and makes the
// plan's steps true one at a time.
//
// The one idea: a loop of fold → decide → at most one effect → append. The
// decision is deploy.Decide, a pure function; this package only does what it
// says and journals what it saw. There is no other state: a restart, a crash
// and kill -9 are the same path, fold and go on.
//
// Guarantees: an effect begins only after its started event is durable; every
// effect has a deadline; one goroutine drives a deploy and appends for it, host
// work inside a step joins before that append, with results sorted by host; a
// driver's error code alone decides whether to retry, undo or hold.
package deployer
