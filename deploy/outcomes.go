package deploy

import (
	"encoding/json"
	"iter"
)

// leaf is how many outcomes a change clones; fan is how many branches the tree
// above them has at each level.
const (
	leaf = 8
	fan  = 16
)

// Outcomes are those of a plan's steps, by index. It is a value: a change gives
// a new one and costs the same however many steps there are.
type Outcomes struct {
	root *limb
	n    int
}

// limb is a part of the tree: outcomes at its lowest level, else further limbs.
// A part in which no step was started is nil.
type limb struct {
	outcomes *[leaf]Outcome
	limbs    *[fan]*limb
}

// NewOutcomes returns n outcomes of steps that were never started.
func NewOutcomes(n int) Outcomes { return Outcomes{n: n} }

// Len is the number of steps.
func (o Outcomes) Len() int { return o.n }

// At returns the outcome of a step; it panics beyond Len as a slice does.
func (o Outcomes) At(i int) Outcome {
	_ = make([]struct{}, o.n)[i]
	l := o.root
	for span := o.span(); l != nil && span > leaf; span /= fan {
		l = l.limbs[i*fan/span%fan]
	}
	if l == nil {
		return Outcome{}
	}
	return l.outcomes[i%leaf]
}

// span is how many outcomes the tree has room for.
func (o Outcomes) span() int {
	span := leaf
	for span < o.n {
		span *= fan
	}
	return span
}

// All yields every outcome in the order of the steps.
func (o Outcomes) All() iter.Seq2[int, Outcome] {
	return func(yield func(int, Outcome) bool) {
		for i := range o.n {
			if !yield(i, o.At(i)) {
				return
			}
		}
	}
}

// IsZero reports whether there is no step.
func (o Outcomes) IsZero() bool { return o.n == 0 }

// with returns the outcomes with one of them changed.
func (o Outcomes) with(i int, to Outcome) Outcomes {
	return Outcomes{root: o.root.with(i, o.span(), to), n: o.n}
}

// with returns the limb, which has room for span outcomes, with one of them changed.
func (l *limb) with(i, span int, to Outcome) *limb {
	if span == leaf {
		var outcomes [leaf]Outcome
		if l != nil {
			outcomes = *l.outcomes
		}
		outcomes[i%leaf] = to
		return &limb{outcomes: &outcomes}
	}
	var limbs [fan]*limb
	if l != nil {
		limbs = *l.limbs
	}
	at := i * fan / span % fan
	limbs[at] = limbs[at].with(i, span/fan, to)
	return &limb{limbs: &limbs}
}

// Map returns the outcomes with each of them changed.
func (o Outcomes) Map(change func(Outcome) Outcome) Outcomes {
	out := NewOutcomes(o.n)
	for i, one := range o.All() {
		out = out.with(i, change(one))
	}
	return out
}

// MarshalJSON writes the outcomes as a list.
func (o Outcomes) MarshalJSON() ([]byte, error) {
	list := make([]Outcome, 0, o.n)
	for _, one := range o.All() {
		list = append(list, one)
	}
	return json.Marshal(list)
}

// UnmarshalJSON restores what MarshalJSON wrote.
func (o *Outcomes) UnmarshalJSON(b []byte) error {
	var list []Outcome
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*o = NewOutcomes(len(list))
	for i, one := range list {
		*o = o.with(i, one)
	}
	return nil
}
