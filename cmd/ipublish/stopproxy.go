package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"ipublish/deploy"
)

// goneInterval is how often a process is looked for that is to end.
const goneInterval = 20 * time.Millisecond

// stopProxy ends the built-in proxy behind a control socket and waits until its
// process is gone, or ctx ends. Where none answers there is nothing to do.
func stopProxy(ctx context.Context, socket string) error {
	pid, err := listenerOf(socket)
	if err != nil {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && err != syscall.ESRCH {
		return err
	}
	tick := time.NewTicker(goneInterval)
	defer tick.Stop()
	for !gone(pid) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return &deploy.Error{Code: deploy.CodeTimeout, Op: "stop proxy", Err: ctx.Err(),
				Message: fmt.Sprintf("the proxy, process %d, was told to end and is still there", pid)}
		}
	}
	return nil
}

// listenerOf asks the kernel which process listens on a unix socket.
func listenerOf(socket string) (pid int, err error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *syscall.Ucred
	var inner error
	err = raw.Control(func(fd uintptr) {
		cred, inner = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err == nil {
		err = inner
	}
	if err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}

// gone reports whether a process has ended, be it that its parent was not told yet.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return len(state) == 0 || state[0] == 'Z' || state[0] == 'X'
}
