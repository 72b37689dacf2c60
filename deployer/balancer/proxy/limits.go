package proxy

import "time"

// limits are what a client may take: time before it is heard, and room, and time
// until it takes what it asked for.
type limits struct {
	head      time.Duration // for a request's line and header
	headBytes int           // of them
	body      time.Duration // between two pieces of a request's body
	answer    time.Duration // between two pieces of an answer that it takes
	idle      time.Duration // of a connection without a request
}

// defaultLimits are those of the peers, but for idle: it is longer than the 60 s
// for which nginx and the clouds' balancers keep an unused connection to us. They
// close first, so that none of their requests meets a closing one.
func defaultLimits() limits {
	return limits{head: 30 * time.Second, headBytes: 64 << 10, body: time.Minute, answer: time.Minute, idle: 3 * time.Minute}
}
