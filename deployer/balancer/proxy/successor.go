package proxy

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"

	"ipublish/deploy"
)

const (
	// successionTimeout is shorter than callTimeout, so that who asks is told.
	successionTimeout  = 8 * time.Second
	successionInterval = 5 * time.Millisecond
)

// succession starts a successor for whoever asks, and tells its process.
func (p *process) succession(w http.ResponseWriter, _ *http.Request) {
	err := p.succeed()
	if err != nil {
		p.o.Log.Error("the proxy serves on as it is", "error", err)
	}
	reply(w, ping{PID: int(p.heir.Load())}, err)
}

// succeed starts this program anew, which takes over, and returns when it has.
// deploy.CodeRefused when there is none to start, deploy.CodeFailed when it
// ended or did not take over in time: then this one serves on.
func (p *process) succeed() error {
	if len(p.o.Successor) == 0 {
		return &deploy.Error{Code: deploy.CodeRefused, Op: "start successor", Subject: p.o.Socket,
			Message: "this proxy cannot start its successor: its systemd unit has to be Type=notify with ExecReload, as packaging/ipublish-proxy.service is"}
	}
	if !p.succeeding.TryLock() {
		return &deploy.Error{Code: deploy.CodeRefused, Op: "start successor", Subject: p.o.Socket, Message: "a successor of this proxy is starting already"}
	}
	defer p.succeeding.Unlock()
	process, err := p.startSuccessor()
	if err != nil {
		return notSucceeded(p.o.Successor[0], err)
	}
	if err := p.awaitSuccessor(process); err != nil {
		return notSucceeded(p.o.Successor[0], err)
	}
	return process.Release()
}

func (p *process) startSuccessor() (*os.Process, error) {
	p.born.Lock()
	defer p.born.Unlock()
	cmd := exec.CommandContext(context.Background(), p.o.Successor[0], p.o.Successor[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.child = cmd.Process.Pid
	return cmd.Process, nil
}

// ours reports whether a process is the successor that this one started.
func (p *process) ours(pid int) bool {
	p.born.Lock()
	defer p.born.Unlock()
	return p.child == pid
}

// awaitSuccessor blocks until it serves; one that does not in time is ended.
func (p *process) awaitSuccessor(process *os.Process) error {
	tick := time.NewTicker(successionInterval)
	defer tick.Stop()
	limit := time.NewTimer(successionTimeout)
	defer limit.Stop()
	for {
		select {
		case <-p.registry.gone:
			return nil
		case <-tick.C:
			if reap(process) {
				return fmt.Errorf("process %d ended", process.Pid)
			}
		case <-limit.C:
			return p.giveUp(process)
		}
	}
}

// giveUp ends a successor that took too long, but never one that is taking over:
// of that the outcome is awaited, which a handover's own limit bounds, and nobody
// can begin to take over meanwhile.
func (p *process) giveUp(process *os.Process) error {
	tick := time.NewTicker(successionInterval)
	defer tick.Stop()
	for {
		err := p.registry.freeze()
		if err == nil {
			defer p.registry.thaw()
			return dismiss(process)
		}
		select {
		case <-p.registry.gone:
			return nil
		case <-tick.C:
			if deploy.CodeOf(err) != deploy.CodeRefused { // this one is ending
				return dismiss(process)
			}
		}
	}
}

func dismiss(process *os.Process) error {
	_ = process.Kill() // it may have ended just now
	if _, err := process.Wait(); err != nil {
		return err
	}
	return fmt.Errorf("process %d did not take over within %s", process.Pid, successionTimeout)
}

func notSucceeded(program string, err error) error {
	return &deploy.Error{Code: deploy.CodeFailed, Op: "start successor", Subject: program, Err: err,
		Message: "the proxy was not replaced and serves on as it is: " + err.Error() + "; the proxy's log tells why"}
}
