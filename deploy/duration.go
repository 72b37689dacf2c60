package deploy

import (
	"fmt"
	"time"
)

// Duration is a time.Duration that reads and prints as text ("30s", "10m").
type Duration time.Duration

// D returns the standard library's form.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String prints as time.Duration does.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; a bare number or a
// negative duration is an error that says how to write it.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration: write it with a unit, such as 30s, 5m or 2h", b)
	}
	if v < 0 {
		return fmt.Errorf("%q is negative: a duration here is zero or more", b)
	}
	*d = Duration(v)
	return nil
}
