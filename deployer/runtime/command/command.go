package command

import (
	"context"
	"encoding/json"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/process"
)

// New returns the runtime of a section. deploy.CodeInvalid names the key that
// is wrong.
func New(settings json.RawMessage) (deployer.Runtime, error) {
	var s struct {
		Run        []string           `json:"run"`
		RunAs      string             `json:"run_as"`
		Supervisor process.Supervisor `json:"supervisor"`
	}
	if err := process.Decode("command", settings, &s); err != nil {
		return nil, err
	}
	if err := process.CheckUser("command", s.RunAs); err != nil {
		return nil, err
	}
	under, err := process.CheckSupervisor("command", s.Supervisor)
	if err != nil {
		return nil, err
	}
	if len(s.Run) == 0 || s.Run[0] == "" {
		return nil, process.Invalid("command", "run", "it has to name a program and its arguments, such as [./server, --port, \"{port}\"]")
	}
	for _, word := range s.Run {
		if strings.ContainsRune(word, 0) {
			return nil, process.Invalid("command", "run", "an argument holds a NUL byte, which no program can receive")
		}
	}
	return driver{run: s.Run, user: s.RunAs, under: under}, nil
}

type driver struct {
	run   []string
	user  string
	under process.Supervisor
}

// Start implements deployer.Runtime; see process.Start.
func (d driver) Start(ctx context.Context, h deployer.Host, s deploy.Step) error {
	return process.Start(ctx, h, s, process.Program{Argv: process.ExpandAll(d.run, s), Env: process.Env(s), User: d.user, Under: d.under})
}

// Stop implements deployer.Runtime; see process.Stop.
func (driver) Stop(ctx context.Context, h deployer.Host, s deploy.Step) error {
	return process.Stop(ctx, h, s)
}

// Observe implements deployer.Runtime; see process.Observe.
func (driver) Observe(ctx context.Context, h deployer.Host, s deploy.Step) (deploy.Evidence, error) {
	return process.Observe(ctx, h, s)
}

// Enable implements deployer.Enabler; see process.Enable.
func (driver) Enable(ctx context.Context, h deployer.Host, s deploy.Step) error {
	return process.Enable(ctx, h, s)
}

// Advise implements deployer.Adviser; see process.Advise.
func (d driver) Advise(ctx context.Context, h deployer.Host, s deploy.Step) []string {
	return process.Advise(ctx, h, s, d.under)
}
