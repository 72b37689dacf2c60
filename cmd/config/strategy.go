package config

import (
	"ipublish/deploy"
)

// strategy reads how an environment changes from one release to the next. The
// hosts are known by then.
func (b *building) strategy(key string, a deploy.App, e *deploy.Environment, f strategyFile) {
	switch {
	case f.BlueGreen == nil && f.Rolling == nil:
		b.fail(key+".strategy", "it is missing: `blue_green: { slots: { blue: 8080, green: 8081 } }`, or, where a host runs the app once, `rolling: { port: 9001 }`")
	case f.BlueGreen != nil && f.Rolling != nil:
		b.fail(key+".strategy", "blue_green and rolling exclude each other: keep one of them")
	case f.Rolling != nil:
		r := b.rolling(key+".strategy.rolling", len(e.Hosts), *f.Rolling)
		e.Rolling = &r
	default:
		e.BlueGreen = b.blueGreen(key+".strategy.blue_green", *f.BlueGreen)
	}
	if b.err == nil {
		b.pairs(key, a, *e)
	}
}

func (b *building) blueGreen(key string, f blueGreenFile) deploy.BlueGreen {
	s := deploy.BlueGreen{Blue: f.Slots.Blue, Green: f.Slots.Green, BakeTime: lasting(f.BakeTime, seconds(60)), KeepOld: lasting(f.KeepOld, seconds(600))}
	if !port(s.Blue) || !port(s.Green) || s.Blue == s.Green {
		b.fail(key+".slots", "blue and green are two different ports from 1 to 65535")
	}
	return s
}

func port(n int) bool { return n >= 1 && n <= 65535 }
