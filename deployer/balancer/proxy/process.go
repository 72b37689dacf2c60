package proxy

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"ipublish/deploy"
)

const (
	reopenInterval = time.Second
	// estatePatience is how long a process that has served its last client looks
	// for somebody who takes its counts.
	estatePatience = 3 * time.Second
)

// process is a proxy that runs: its routes, its control socket, and the right to both.
type process struct {
	o        Options
	registry *registry
	held     *claimed
	listener *net.UnixListener
	last     *desk          // where it answers once it is an elder
	tasks    sync.WaitGroup // handovers and successions

	succeeding sync.Mutex
	born       sync.Mutex // guards child while it is started
	child      int        // the successor that this process started last
	heir       atomic.Int64
}

// run serves until ctx ends, or until it has handed over and its last client has gone.
func (p *process) run(ctx context.Context) error {
	p.o.Log.Info("proxy serves", "socket", p.o.Socket, "state", p.o.StateFile, "version", p.o.version)
	err := p.serveControl(ctx)
	select {
	case <-p.registry.gone:
		p.fade(ctx)
	default:
		p.end()
	}
	return err
}

// serveControl answers on the control socket until ctx ends or a successor has
// taken over, and meanwhile tries again to open what could not be opened.
func (p *process) serveControl(ctx context.Context) error {
	desk := openDesk(p.listener, p.control())
	p.o.Ready()
	retry := time.NewTicker(reopenInterval)
	defer retry.Stop()
	open := false
	for {
		select {
		case <-desk.ended:
			desk.close()
			p.tasks.Wait()
			return &deploy.Error{Code: deploy.CodeFailed, Op: "serve control socket", Err: desk.err}
		case <-retry.C:
			open = open || p.registry.reopen()
		case <-p.o.Hangups:
			p.tasks.Go(p.hangUp)
		case <-p.registry.gone:
			desk.close()
			p.tasks.Wait()
			return nil
		case <-ctx.Done():
			p.registry.hurry()
			desk.close()
			p.tasks.Wait() // a handover that is under way is either done or undone
			return nil
		}
	}
}

// hangUp is succeed for nobody in particular.
func (p *process) hangUp() {
	if err := p.succeed(); err != nil {
		p.o.Log.Error("the proxy serves on as it is", "error", err)
	}
}

// end ends the process without a successor.
func (p *process) end() {
	_ = os.Remove(p.o.Socket) // a stale one is replaced
	p.registry.close()
	p.held.release()
	p.o.Log.Info("proxy ends: requests in flight may end", "limit", p.o.Drain)
	p.registry.wait()
}

// fade serves the clients that are connected until they have gone, and leaves
// the counts to whoever is the proxy then.
func (p *process) fade(ctx context.Context) {
	p.held.release() // the right is the successor's alone, and ends with it
	p.o.Succeeded(int(p.heir.Load()))
	hurried := context.AfterFunc(ctx, p.registry.hurry)
	served := make(chan struct{})
	p.tasks.Go(func() { p.guardHeir(served) })
	p.registry.wait()
	close(served)
	p.tasks.Wait()
	hurried()
	left := p.registry.estate()
	left.PID = os.Getpid()
	limit, cancel := context.WithTimeout(context.Background(), estatePatience)
	defer cancel()
	if err := newClient(p.o.Socket).leave(limit, left); err != nil {
		p.o.Log.Warn("nobody took over what this proxy counted", "error", err)
	}
	p.last.close()
	_ = os.Remove(p.lastSocket()) // nobody asks there any more
	p.o.Log.Info("proxy has served its last client and ends")
}
