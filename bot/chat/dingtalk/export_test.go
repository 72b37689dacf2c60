package dingtalk

import "time"

// Pace are the times of a stream; see pace.
type Pace struct{ Ping, Pong, Overlap, First, Most, Stable time.Duration }

// SetPace shortens a stream's times, before Listen.
func (c *Chat) SetPace(p Pace) {
	c.pace = pace{ping: p.Ping, pong: p.Pong, write: steady().write, overlap: p.Overlap, first: p.First, most: p.Most, stable: p.Stable}
}

// MaxHandlers is how many messages are handled at once.
const MaxHandlers = maxHandlers
