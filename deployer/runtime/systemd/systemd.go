package systemd

import (
	"encoding/json"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/process"
)

// New returns the runtime of a section. deploy.CodeInvalid names the key that is
// wrong. It is a deployer.Enabler and a deployer.Adviser too.
func New(raw json.RawMessage) (deployer.Runtime, error) {
	s, err := decode(raw)
	if err != nil {
		return nil, err
	}
	return driver{s}, nil
}

type driver struct{ settings }

// args are the first arguments of every script.
func (d driver) args(s deploy.Step) []string {
	rolling := ""
	if s.Slot == deploy.Main {
		rolling = "rolling"
	}
	return []string{s.Home, process.Hex(s.Port), d.unit(s), d.manager(), rolling}
}
