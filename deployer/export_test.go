package deployer

import (
	"context"

	"ipublish/deploy"
)

// What the tests of the package reach: the real hosts that they need import it.
var (
	BusyConnections = busyConnections
	CountSS         = countSS
	Fence           = fence
)

// StageOn uploads a release from these artifacts unless the host has it.
func StageOn(ctx context.Context, artifacts Artifacts, h Host, s deploy.Step) (bool, error) {
	x := &effects{engine: New(Options{Artifacts: artifacts})}
	return x.stageOn(ctx, h, s)
}
