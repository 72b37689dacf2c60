package slack

import (
	"cmp"
	"time"
)

// Pace is how patient the socket transport is; see pace. A zero field stays as
// it is.
type Pace struct{ Silence, First, Most time.Duration }

// SetPace shortens the socket transport's times, before Listen.
func (c *Chat) SetPace(p Pace) {
	c.pace = pace{
		silence: cmp.Or(p.Silence, c.pace.silence), first: cmp.Or(p.First, c.pace.first),
		most: cmp.Or(p.Most, c.pace.most), stable: c.pace.stable,
	}
}
