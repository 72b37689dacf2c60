// Package slacksocket is a workspace of Slack with Socket Mode on, for tests
// only: a loopback server that hands out one-time connection URLs, sends
// commands and events over them, and loses connections in every way that a
// network or Slack itself does. What the driver says goes to a bottest.Slack
// behind the same address.
//
// The one idea: as with Slack, a payload is given to any one connection, once.
// If nobody is connected, if that connection breaks, or if no ack comes over it
// within three seconds, the person sees a failure and has to type again.
//
// A fake never guesses in the driver's favour: an ack over another connection
// than the payload's counts for nothing, and an ack that is too big, repeated or
// carries a payload that was not asked for fails the test.
package slacksocket
