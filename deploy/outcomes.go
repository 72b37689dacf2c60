package deploy

import (
	"encoding/json"
	"iter"
)

// leaf is how many outcomes a change clones.
const leaf = 32

// Outcomes are those of a plan's steps, by index. It is a value: a change gives
// a new one and costs the same however many steps there are.
type Outcomes struct {
	leaves [][]Outcome
	n      int
}

// NewOutcomes returns n outcomes of steps that were never started.
func NewOutcomes(n int) Outcomes {
	o := Outcomes{n: n}
	for at := 0; at < n; at += leaf {
		o.leaves = append(o.leaves, make([]Outcome, min(leaf, n-at)))
	}
	return o
}

// Len is the number of steps.
func (o Outcomes) Len() int { return o.n }

// At returns the outcome of a step; it panics beyond Len as a slice does.
func (o Outcomes) At(i int) Outcome { return o.leaves[i/leaf][i%leaf] }

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
	leaves := make([][]Outcome, len(o.leaves))
	copy(leaves, o.leaves)
	changed := make([]Outcome, len(leaves[i/leaf]))
	copy(changed, leaves[i/leaf])
	changed[i%leaf] = to
	leaves[i/leaf] = changed
	return Outcomes{leaves: leaves, n: o.n}
}

// Map returns the outcomes with each of them changed.
func (o Outcomes) Map(change func(Outcome) Outcome) Outcomes {
	out := NewOutcomes(o.n)
	for i, one := range o.All() {
		out.leaves[i/leaf][i%leaf] = change(one)
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
		o.leaves[i/leaf][i%leaf] = one
	}
	return nil
}
