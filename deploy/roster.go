package deploy

import (
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

// shards is how many parts a Roster has: a change clones one of them.
const shards = 64

// Roster is what is known of each host. It is a value: a change gives a new one
// and costs the same however many hosts there are.
type Roster struct {
	parts *[shards]map[HostID]HostState
}

// Get returns the state of a host; the zero HostState of an unknown one.
func (r Roster) Get(id HostID) HostState {
	if r.parts == nil {
		return HostState{}
	}
	return r.parts[shard(id)][id]
}

// Has reports whether the roster holds the host.
func (r Roster) Has(id HostID) bool {
	if r.parts == nil {
		return false
	}
	_, ok := r.parts[shard(id)][id]
	return ok
}

// With returns the roster with one host's state changed.
func (r Roster) With(id HostID, s HostState) Roster {
	return r.change(id, func(part map[HostID]HostState) { part[id] = s })
}

// Without returns the roster without the host.
func (r Roster) Without(id HostID) Roster {
	return r.change(id, func(part map[HostID]HostState) { delete(part, id) })
}

func (r Roster) change(id HostID, how func(map[HostID]HostState)) Roster {
	var parts [shards]map[HostID]HostState
	if r.parts != nil {
		parts = *r.parts
	}
	part := maps.Clone(parts[shard(id)])
	if part == nil {
		part = map[HostID]HostState{}
	}
	how(part)
	parts[shard(id)] = part
	return Roster{&parts}
}

func shard(id HostID) int {
	h := fnv.New32a()
	h.Write([]byte(id))
	return int(h.Sum32() % shards)
}

// Len is the number of known hosts.
func (r Roster) Len() int {
	n := 0
	if r.parts != nil {
		for _, part := range r.parts {
			n += len(part)
		}
	}
	return n
}

// IsZero reports whether no host is known.
func (r Roster) IsZero() bool {
	return r.Len() == 0
}

// IDs returns the known hosts, sorted.
func (r Roster) IDs() []HostID {
	var ids []HostID
	for id := range r.All() {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// All yields every host, in no order.
func (r Roster) All() iter.Seq2[HostID, HostState] {
	return func(yield func(HostID, HostState) bool) {
		if r.parts == nil {
			return
		}
		for _, part := range r.parts {
			for id, s := range part {
				if !yield(id, s) {
					return
				}
			}
		}
	}
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
