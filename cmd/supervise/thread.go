package supervise

import (
	"os/exec"
	"runtime"
)

// startLocked starts cmd on a thread of its own that lives as long as the
// process does: Pdeathsig is sent when the starting thread ends, not only when
// the process does.
func startLocked(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		started <- cmd.Start()
		select {} // the thread is kept; it ends with the process
	}()
	return <-started
}
