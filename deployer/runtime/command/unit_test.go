package command_test

import (
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/runtime/systemdtest"
)

func TestCommandKeepsTheContractAsAUnit(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	drivertest.Runtime(t, drivertest.RuntimeRig{
		Runtime: open(t, `{"run": ["./app", "--port={port}", "{slot} {short}", "$(id)"], "supervisor": "systemd"}`), Host: host(t),
		Stage: stage, Ready: "/", Slow: "/slow", Stubborn: drivertest.RuntimeStubborn, Boot: 20 * time.Second, Cuts: 5,
		Extra: told,
	})
}

func TestCommandKeepsTheContractAsAUnitOfAnotherUser(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	drivertest.Runtime(t, drivertest.RuntimeRig{
		Runtime: open(t, `{"run": ["./app", "--port={port}", "{slot} {short}", "$(id)"], "run_as": "nobody"}`), Host: host(t),
		Stage: copied, Ready: "/", Slow: "/slow", Stubborn: drivertest.RuntimeStubborn, Boot: 20 * time.Second, Cuts: 2,
		Extra: func(t *testing.T, s deploy.Step) { told(t, s); isNobody(t, s) },
	})
}
