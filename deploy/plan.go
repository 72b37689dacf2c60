package deploy

// Plan is the ordered list of truths that a deploy makes so. It is data:
// printable, diffable, golden-tested, and carries its resolved settings, so
// that a reload of the configuration affects later plans only.
type Plan struct {
	Target   Target        `json:"target"`
	Want     Want          `json:"want"`
	Release  Release       `json:"release,omitzero"` // what will serve; zero for a retire or accept
	Slot     Slot          `json:"slot,omitempty"`   // where
	Old      Release       `json:"old,omitzero"`     // what serves now; zero: nothing
	OldSlot  Slot          `json:"old_slot,omitempty"`
	Steps    []Step        `json:"steps"`
	Commit   int           `json:"commit"` // index of the step after which the deploy goes forward; -1: none
	Baked    int           `json:"baked"`  // index of the step after which only clean-up is left; -1: none
	Settings Settings      `json:"settings"`
	Notes    []string      `json:"notes,omitempty"`  // told with the plan
	Fleet    []Member      `json:"fleet,omitempty"`  // rolling: the hosts in their turn
	Behind   []HostFailure `json:"behind,omitempty"` // rolling: hosts that could not be looked at, so that the plan leaves them out
}

// Rolls reports whether the plan works through hosts one after another.
func (p Plan) Rolls() bool { return p.Settings.Rolling != nil }

// Member is one host of a rolling plan, as it was before.
type Member struct {
	Host   HostID  `json:"host"`
	Old    Release `json:"old,omitzero"`     // what it ran as far as ipublish knows; zero: nobody knows
	Served bool    `json:"served,omitempty"` // it was healthy and in traffic: it counts for the floor
	Kept   bool    `json:"kept,omitempty"`   // it stays out of traffic, by a person's word or the plan's end
	Batch  int     `json:"batch"`
}

// Settings are the parts of the configuration that executing a plan needs.
// Secrets are ${…} references.
type Settings struct {
	Repository       string            `json:"repository"`
	Credential       Credential        `json:"credentials,omitzero"`
	Build            Build             `json:"build,omitzero"`
	Runtime          Section           `json:"runtime"`
	Env              map[string]string `json:"env,omitempty"`
	EnvFile          string            `json:"env_file,omitempty"`
	Shared           []Shared          `json:"shared,omitempty"`
	Hooks            Hooks             `json:"hooks,omitzero"`
	Health           Health            `json:"health"`
	Verify           *Verify           `json:"verify,omitempty"`
	Hosts            []Host            `json:"hosts"`
	Gone             []Host            `json:"gone,omitempty"` // hosts that left the configuration, to be taken out of traffic and stopped
	Balancer         Section           `json:"balancer"`
	ReleaseDir       string            `json:"release_dir"`
	BlueGreen        BlueGreen         `json:"blue_green,omitzero"`
	Rolling          *Rolling          `json:"rolling,omitempty"`
	IdleAfter        Duration          `json:"idle_after"`
	DrainTimeout     Duration          `json:"drain_timeout,omitempty"`
	ProgressDeadline Duration          `json:"progress_deadline,omitempty"`
	StopTimeout      Duration          `json:"stop_timeout"`
	AutoRevert       bool              `json:"auto_revert"`
}

// Host finds a host of the plan.
func (s Settings) Host(id HostID) (Host, bool) {
	for _, list := range [][]Host{s.Hosts, s.Gone} {
		for _, h := range list {
			if h.ID == id {
				return h, true
			}
		}
	}
	return Host{}, false
}

// Port returns the port of a slot under the plan's strategy, 0 for an unknown one.
func (s Settings) Port(slot Slot) int {
	return Environment{BlueGreen: s.BlueGreen, Rolling: s.Rolling}.Port(slot)
}

// Observation is what the deployer saw before it planned.
type Observation struct {
	Slots   map[Slot][]Instance `json:"slots"` // per slot, sorted by host
	Traffic Traffic             `json:"traffic"`
	Hosts   map[HostID]Sight    `json:"hosts,omitempty"` // of a rolling environment
}

// Sight is how one host of a rolling environment was found.
type Sight struct {
	Instance Instance `json:"instance"`
	Healthy  bool     `json:"healthy,omitempty"` // it passes the check, as whatever release
	Up       bool     `json:"up,omitempty"`      // the balancer sends it new requests
	Err      *Error   `json:"err,omitempty"`     // it could not be looked at
}

// Serving reports whether the host counts for the floor: healthy and in traffic.
func (s Sight) Serving() bool { return s.Err == nil && s.Healthy && s.Up }
