package deploy

import "time"

// Chart is the data of a picture of a deploy as its users saw it.
type Chart struct {
	Deploy  ID          `json:"deploy"`
	Windows []Window    `json:"windows"`           // in order; each at most some seconds long
	Moves   []ChartMove `json:"moves,omitempty"`   // of traffic, in order
	Gaps    []Gap       `json:"gaps,omitempty"`    // nobody watched
	Silence *Silence    `json:"silence,omitempty"` // the sum; nil before the end
	Line    string      `json:"line,omitempty"`    // the report's line, as chats show it
}

// ChartMove is a moment at which users went somewhere else.
type ChartMove struct {
	At    time.Time `json:"at"`
	Slot  Slot      `json:"slot,omitempty"`
	Hosts []HostID  `json:"hosts,omitempty"` // of a rolling environment
	Op    Op        `json:"op"`              // route, out or in
	Back  bool      `json:"back,omitempty"`  // to the old release
}

// NewChart reads a deploy's whole journal, in order of N.
func NewChart(events []Event) Chart {
	c := Chart{Windows: []Window{}}
	var s State
	for _, ev := range events {
		s = s.Apply(ev)
		c.Windows = append(c.Windows, orEmpty(ev.Evidence).Watch...)
		if ev.Kind == KindDone {
			c.move(s, ev)
		}
	}
	c.Deploy, c.Gaps = s.ID, s.Watched.Gaps
	if s.Report != nil {
		c.Silence, c.Line = s.Report.Watched, s.Report.Silence()
	}
	return c
}

func (c *Chart) move(s State, ev Event) {
	step, ok := s.StepAt(ev.Step)
	if !ok || step.Op != OpRoute && step.Op != OpOut && step.Op != OpIn {
		return
	}
	m := ChartMove{At: ev.At, Op: step.Op, Slot: step.Slot, Back: s.Undo != nil}
	if s.Plan.Rolls() {
		m.Slot, m.Hosts = "", step.Hosts
	}
	c.Moves = append(c.Moves, m)
}
