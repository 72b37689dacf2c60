package deployer

import (
	"context"
	"io"
	"net"

	"ipublish/deploy"
)

// Journal is what the engine needs of a store.
type Journal interface {
	// Claim blocks until admit takes a request of an idle environment, and
	// returns its ID with the claim durable; or until admit wants something
	// looked up first (deploy.CodeLookup, with the ID of the request, which
	// stays queued); or until ctx ends.
	Claim(ctx context.Context, admit deploy.Admit) (deploy.ID, error)
	// Events returns the events of a deploy with N > afterN; it blocks while
	// there is none and ctx lives.
	Events(ctx context.Context, id deploy.ID, afterN uint64) ([]deploy.Event, error)
	// Append makes ev the event afterN+1 of the deploy; durable when it
	// returns. deploy.CodeConflict if the deploy moved on: fold again.
	Append(id deploy.ID, afterN uint64, ev deploy.Event) error
}

// Ledger is what the engine reads of environments, and where housekeeping is queued.
type Ledger interface {
	// Live returns the folded state of an environment; the zero Live for an unknown one.
	Live(t deploy.Target) (deploy.Live, error)
	// Lives returns every environment that has a record, sorted.
	Lives() ([]deploy.Live, error)
	// Submit queues a request, exactly once by its Key.
	Submit(ctx context.Context, r deploy.Request) (id deploy.ID, fresh bool, err error)
}

// Host is one machine. Every call honours ctx's deadline and end, returns
// promptly after it, and gives a *deploy.Error:
// deploy.CodeUnavailable when the host cannot be reached or the connection
// broke, deploy.CodeTimeout when the deadline passed, deploy.CodeFailed when
// the command ran and ended with another code than 0 (then Err holds *ExitError),
// deploy.CodeRefused when the host's key or our credentials were not accepted.
type Host interface {
	// Run runs argv without a shell of ours in between and returns its standard
	// output, at most 8 MiB. in may be nil.
	Run(ctx context.Context, argv []string, in io.Reader) ([]byte, error)
	// Put writes a file whole: temporary file beside it, mode, fsync, rename.
	// The parent folder is made (0755) if it is absent.
	Put(ctx context.Context, path string, mode uint32, r io.Reader) error
	// Dial connects from the host to addr ("tcp", "127.0.0.1:8080" or "unix", path).
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// ExitError is the cause of a command that ran and ended with another code than 0.
type ExitError struct {
	Code   int    // exit status; -1: ended by a signal
	Stderr string // its last 4 KiB
}

// Error gives the status and what the command said.
func (e *ExitError) Error() string {
	return exitText(e.Code, e.Stderr)
}

// Runtime makes a release a running process. Each call does one thing once, on
// one host; the engine waits, retries and keeps the deadlines.
type Runtime interface {
	// Start makes the step's slot run the step's release, detached from this
	// process; when it already does, it does nothing. It returns once the
	// process exists: that it answers is the engine's to find out.
	// deploy.CodeForeign when another process holds the port.
	Start(ctx context.Context, h Host, s deploy.Step) error
	// Stop makes the slot run nothing of ours: SIGTERM, then SIGKILL after
	// s.Stop. It returns when the process is gone; nothing running is success.
	// A foreign process is never touched; where it may be the app itself, started
	// by somebody else, it is deploy.CodeForeign with its pid.
	Stop(ctx context.Context, h Host, s deploy.Step) error
	// Observe says truthfully what runs in the slot; exactly one Instance.
	Observe(ctx context.Context, h Host, s deploy.Step) (deploy.Evidence, error)
}

// Enabler is a Runtime whose processes something else starts after a reboot.
type Enabler interface {
	// Enable makes the step's slot the one of the environment's slots that starts
	// by itself when the host does, and no other. Twice is once.
	Enable(ctx context.Context, h Host, s deploy.Step) error
}

// Adviser is a driver that finds, for `check`, what would go wrong later.
type Adviser interface {
	// Advise returns a sentence for each thing to mend, which says how; none
	// when all is well or the host cannot be asked. It changes nothing.
	Advise(ctx context.Context, h Host, s deploy.Step) []string
}

// Balancer says who receives traffic.
//
// In a blue/green plan a step's targets are the whole table, and after Route
// exactly the Up ones receive new requests. In a rolling plan (Op out, in and
// drain) they are some hosts of many: Route makes those that are Up receive new
// requests and the others not, and touches no host that is not named. There
// Observe tells of the named ones only, and is asked for many at once before a
// host is taken out; Route is called for one host at a time, for several at once.
type Balancer interface {
	// Route makes the targets of s receive new requests, or not, as said above.
	// On an error what was in force before is in force again. deploy.CodeDrift
	// when the managed file is not as ipublish left it. It does not wait for a
	// balancer that follows later: that is told by Observe.
	Route(ctx context.Context, s deploy.Step) error
	// Observe fills Evidence.Traffic from the balancer's own evidence. s.Targets
	// and s.Known tell what to look at; s.Targets may be empty. A target that
	// receives new requests is in Up, one that does not in Down; one that cannot
	// be told is in neither, and the reason in Evidence.Note.
	Observe(ctx context.Context, s deploy.Step) (deploy.Evidence, error)
}

// Watcher is a Balancer that tells at once what becomes of real traffic.
type Watcher interface {
	// Watch blocks until ctx ends (deploy.CodeCancelled, deploy.CodeTimeout) or
	// nobody answers any more (deploy.CodeUnavailable), and calls told with the
	// balancer's own view: within some 10 ms of every refused connect, failed
	// request, answer of 5xx and change of the table, and every second.
	// deploy.CodeNotFound when there is nothing to watch yet.
	Watch(ctx context.Context, s deploy.Step, told func(deploy.Traffic)) error
}

// Reacher is a Balancer that can dial from the machine it runs on. Where it is
// one, the engine proves before the switch that the balancer itself reaches
// the instances at their addresses.
type Reacher interface {
	// Dial connects from the balancer's machine, as Host.Dial does.
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// Source turns refs into commits and commits into artifacts, for one repository.
type Source interface {
	// Resolve asks the remote for the newest commit of a branch, tag or commit
	// (≥ 7 hex digits). deploy.CodeNotFound with the nearest names in the message.
	Resolve(ctx context.Context, p deploy.Settings, ref string) (deploy.Commit, error)
	// Fetch makes the mirror hold the commit; tell receives progress lines.
	Fetch(ctx context.Context, p deploy.Settings, commit string, tell func(string)) (deploy.Commit, error)
	// Build makes the artifact of the release exist and returns the release
	// with SHA256, Kind, Name and Size. An artifact of the same commit and
	// recipe is not built again.
	Build(ctx context.Context, p deploy.Settings, r deploy.Release, tell func(string)) (deploy.Release, error)
}

// Artifacts keeps built artifacts by their sha256.
type Artifacts interface {
	// Open opens an artifact: a file's bytes, or a tar of a tree.
	// deploy.CodeNotFound if it is not kept any more.
	Open(sha256 string) (io.ReadCloser, error)
}

// Drivers opens the drivers that a plan names. References in a section are
// resolved here, so that secrets never enter a plan.
type Drivers interface {
	Host(h deploy.Host) (Host, error)
	Runtime(s deploy.Section) (Runtime, error)
	// Balancer opens a balancer; host opens the machine it runs on by the name
	// its section gives ("local" or a host of the environment).
	Balancer(t deploy.Target, s deploy.Section, host func(name string) (Host, error)) (Balancer, error)
	// Resolve replaces ${NAME} and ${file:…} in every value.
	Resolve(values map[string]string) (map[string]string, error)
}

// Front opens the way that users take, through the balancer.
type Front interface {
	// Open gives the door of v; it does no I/O. The caller closes it.
	Open(v deploy.Verify) Door
}

// Door asks as users do, and never asks twice for what was asked once: what is
// lost is told. The errors are *deploy.Error with deploy.CodeUnhealthy, what was
// wrong in Message and its kind in Subject: refused, cut, timeout, 5xx, status,
// body, or other. A call blocks for at most the timeout of the deploy.Verify.
type Door interface {
	// Once asks over a connection of its own. Several calls may run at once.
	Once(ctx context.Context) error
	// Kept asks over a connection that is kept from call to call; one call at a
	// time. A connection that was closed since the last call is opened anew, as
	// every client does.
	Kept(ctx context.Context) error
	io.Closer
}
