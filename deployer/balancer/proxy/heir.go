package proxy

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	heirInterval = 100 * time.Millisecond
	// orphanGrace is what requests get of an elder when nobody serves any more: as
	// long as it lives, nobody may see that the proxy has to be started again.
	orphanGrace = time.Second
)

// guardHeir watches whoever took over until left is closed. When that one ends
// without somebody in its place who knows this process, this one ends soon.
func (p *process) guardHeir(left <-chan struct{}) {
	pid := int(p.heir.Load())
	for awaitEnd(pid, left) {
		ctx, cancel := context.WithTimeout(context.Background(), estatePatience)
		next, err := newClient(p.o.Socket).ping(ctx)
		cancel()
		if err == nil && next.PID != pid && slices.Contains(next.Elders, os.Getpid()) {
			pid = next.PID
			continue
		}
		p.registry.abandon(left)
		return
	}
}

// awaitEnd blocks until the process has ended, of which it need not be the
// parent, or left is closed, and reports which.
func awaitEnd(pid int, left <-chan struct{}) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return true
	}
	if err != nil { // an old kernel: nobody can be watched
		<-left
		return false
	}
	defer unix.Close(fd)
	tick := time.NewTicker(heirInterval)
	defer tick.Stop()
	for {
		select {
		case <-left:
			return false
		case <-tick.C:
			if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0); n > 0 && err == nil {
				return true
			}
		}
	}
}
