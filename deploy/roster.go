package deploy

import (
	"cmp"
	"encoding/json"
	"hash/fnv"
	"iter"
	"maps"
	"slices"
	"time"
)

// HostState is what an environment remembers of one host of a rolling strategy.
type HostState struct {
	Release  Release  `json:"release,omitzero"`  // what ipublish put there last
	Instance Instance `json:"instance,omitzero"` // with the gate's pass record
	Out      *Outage  `json:"out,omitempty"`     // nil: in traffic by ipublish's doing
	Host     Host     `json:"host,omitzero"`     // how it was reached: it may leave the configuration
}

// Outage is an entry of the traffic ledger: why a host is out of traffic. It is
// durable before the host leaves.
type Outage struct {
	Deploy ID        `json:"deploy"`
	By     Actor     `json:"by"`
	At     time.Time `json:"at"`
	Person bool      `json:"person,omitempty"` // asked for by name: it stays until online
	// Unproven: it was not seen to leave, or was about to come back, so it may
	// have traffic.
	Unproven bool `json:"unproven,omitempty"`
	Weight   int  `json:"weight,omitempty"` // what the balancer gave it before; 0: not known
}

// depth is how many levels of fan branches lie above the hosts of a Roster: it
// is made for thousands of them.
const depth = 3

// Roster is what is known of each host. It is a value: a change gives a new one
// and costs the same however many hosts there are.
type Roster struct {
	root *bough
	n    int
}

// bough is a part of the roster: hosts at its lowest level, else further boughs.
// A part without hosts is nil.
type bough struct {
	hosts  []known // sorted by id
	boughs *[fan]*bough
}

type known struct {
	id    HostID
	state HostState
}

// Get returns the state of a host; the zero HostState of an unknown one.
func (r Roster) Get(id HostID) HostState {
	h, _ := r.find(id)
	return h
}

// Has reports whether the roster holds the host.
func (r Roster) Has(id HostID) bool {
	_, ok := r.find(id)
	return ok
}

func (r Roster) find(id HostID) (HostState, bool) {
	b, at := r.root, hash(id)
	for level := 0; b != nil && level < depth; level, at = level+1, at/fan {
		b = b.boughs[at%fan]
	}
	if b == nil {
		return HostState{}, false
	}
	i, ok := slices.BinarySearchFunc(b.hosts, id, byID)
	if !ok {
		return HostState{}, false
	}
	return b.hosts[i].state, true
}

func byID(k known, id HostID) int { return cmp.Compare(k.id, id) }

// With returns the roster with one host's state changed.
func (r Roster) With(id HostID, s HostState) Roster {
	n := r.n
	if !r.Has(id) {
		n++
	}
	return Roster{root: r.root.change(hash(id), 0, func(hosts []known) []known {
		i, ok := slices.BinarySearchFunc(hosts, id, byID)
		if !ok {
			return slices.Insert(hosts, i, known{id, s})
		}
		hosts[i].state = s
		return hosts
	}), n: n}
}

// Without returns the roster without the host.
func (r Roster) Without(id HostID) Roster {
	if !r.Has(id) {
		return r
	}
	return Roster{root: r.root.change(hash(id), 0, func(hosts []known) []known {
		return slices.DeleteFunc(hosts, func(k known) bool { return k.id == id })
	}), n: r.n - 1}
}

// change returns the bough with a clone of the hosts at a place changed; nil
// where none are left.
func (b *bough) change(at uint32, level int, how func([]known) []known) *bough {
	if b == nil {
		b = &bough{}
	}
	if level == depth {
		if hosts := how(slices.Clone(b.hosts)); len(hosts) > 0 {
			return &bough{hosts: hosts}
		}
		return nil
	}
	var boughs [fan]*bough
	if b.boughs != nil {
		boughs = *b.boughs
	}
	boughs[at%fan] = boughs[at%fan].change(at/fan, level+1, how)
	if boughs == [fan]*bough{} {
		return nil
	}
	return &bough{boughs: &boughs}
}

func hash(id HostID) uint32 {
	h := fnv.New32a()
	h.Write([]byte(id))
	return h.Sum32()
}

// Len is the number of known hosts.
func (r Roster) Len() int { return r.n }

// IsZero reports whether no host is known.
func (r Roster) IsZero() bool { return r.n == 0 }

// IDs returns the known hosts, sorted.
func (r Roster) IDs() []HostID {
	var ids []HostID
	for id := range r.All() {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// All yields every host, in no order that means anything.
func (r Roster) All() iter.Seq2[HostID, HostState] {
	return func(yield func(HostID, HostState) bool) { r.root.all(yield) }
}

// all reports whether more hosts are wanted.
func (b *bough) all(yield func(HostID, HostState) bool) bool {
	if b == nil {
		return true
	}
	for _, k := range b.hosts {
		if !yield(k.id, k.state) {
			return false
		}
	}
	if b.boughs == nil {
		return true
	}
	for _, below := range b.boughs {
		if !below.all(yield) {
			return false
		}
	}
	return true
}

// MarshalJSON writes the roster as a mapping of hosts.
func (r Roster) MarshalJSON() ([]byte, error) {
	return json.Marshal(maps.Collect(r.All()))
}

// UnmarshalJSON restores what MarshalJSON wrote.
func (r *Roster) UnmarshalJSON(b []byte) error {
	var hosts map[HostID]HostState
	if err := json.Unmarshal(b, &hosts); err != nil {
		return err
	}
	*r = Roster{}
	for id, s := range hosts {
		*r = r.With(id, s)
	}
	return nil
}
