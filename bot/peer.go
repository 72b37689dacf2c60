package bot

import (
	"context"
	"net"
	"os/user"
	"strconv"

	"ipublish/deploy"
)

// peerKey is where a connection's context holds the local user at its other end.
type peerKey struct{}

// withPeer marks connections of the unix socket with their user, as the kernel
// names it. A connection by network has none.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	unix, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	uid, err := peerUID(unix)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, localActor(uid))
}

func peerOf(ctx context.Context) (deploy.Actor, bool) {
	a, ok := ctx.Value(peerKey{}).(deploy.Actor)
	return a, ok
}

func localActor(uid uint32) deploy.Actor {
	name := "uid-" + strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil && u.Username != "" {
		name = u.Username
	}
	return deploy.Actor{ID: localPrefix + name, Name: name}
}
