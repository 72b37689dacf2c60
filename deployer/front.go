package deployer

import (
	"context"
	"net"
	"time"

	"ipublish/deploy"
)

// FrontDoor probes verify.url from this machine, with a new connection each time.
type FrontDoor struct{}

// Probe asks once. The error is deploy.CodeUnhealthy and says what was wrong
// with the answer; it blocks for at most v.Timeout.
func (FrontDoor) Probe(ctx context.Context, v deploy.Verify) error {
	ctx, cancel := context.WithTimeout(ctx, v.Timeout.D())
	defer cancel()
	d := net.Dialer{KeepAlive: -1 * time.Second}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if v.Connect != "" {
			addr = v.Connect
		}
		return d.DialContext(ctx, network, addr)
	}
	_, _, err := ask(ctx, dial, v.URL, v.Health)
	return err
}
