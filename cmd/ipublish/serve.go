package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"

	"ipublish/cmd/config"
	"ipublish/cmd/supervise"
	"ipublish/deploy"
	"ipublish/deployer/balancer/proxy"
)

// configFlag is shared by the commands that read the configuration.
type configFlag struct {
	Config string `help:"The configuration file." default:"ipublish.yaml" env:"IPUBLISH_CONFIG" type:"path"`
}

type serveCommand struct {
	configFlag
	Debug bool `help:"Log more."`
}

// Run is the supervisor: it owns the listeners and keeps one worker behind them.
func (s *serveCommand) Run(ctx context.Context, m *Main) error {
	cfg, err := config.Load(s.Config, newDrivers(""))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return &deploy.Error{Code: deploy.CodeInvalid, Op: "serve", Message: fmt.Sprintf("server.state_dir: %v", err), Err: err}
	}
	listeners, err := supervise.Listen(cfg.Listen, layout(cfg.StateDir).control())
	if err != nil {
		return &deploy.Error{Code: deploy.CodeRefused, Op: "serve", Message: err.Error(), Err: err}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	argv := []string{self, "worker", "--config", s.Config}
	if s.Debug {
		argv = append(argv, "--debug")
	}
	log := logger(m, s.Debug)
	log.Info("ipublish serves", "listen", cfg.Listen, "state", cfg.StateDir, "version", version())
	return supervise.Run(ctx, supervise.Options{Argv: argv, Listeners: listeners, Log: log})
}

type workerCommand struct {
	configFlag
	Debug bool
}

// Run is the worker: everything behind the listeners that serve passes on.
func (w *workerCommand) Run(ctx context.Context, m *Main) error {
	// First of all: a hangup during the start would end the process.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	listeners, err := supervise.Inherited()
	if err != nil {
		return err
	}
	if len(listeners) == 0 {
		return &deploy.Error{Code: deploy.CodeInvalid, Op: "worker", Message: "a worker is started by `ipublish serve`"}
	}
	log := logger(m, w.Debug)
	cfg, err := config.Load(w.Config, newDrivers(""))
	if err != nil {
		return refuse(m, err)
	}
	run, err := newWorker(ctx, cfg, log)
	if err != nil {
		return refuse(m, err)
	}
	stop := reloadOnHangup(ctx, run, hangups)
	defer stop()
	return run.run(ctx, listeners)
}

// refuse tells why the worker cannot start. What a person must mend ends the
// supervisor too; what may pass is tried again.
func refuse(m *Main, err error) error {
	fmt.Fprintf(m.Stderr, "ipublish: %s\n", deploy.MessageOf(err))
	switch deploy.CodeOf(err) {
	case deploy.CodeInvalid, deploy.CodeNotFound, deploy.CodeDamaged, deploy.CodeRefused:
		return exitStatus(supervise.ExitRefused)
	}
	return exitStatus(exitFailed)
}

// reloadOnHangup reloads the configuration at each hangup until stop is called.
func reloadOnHangup(ctx context.Context, w *worker, hangups <-chan os.Signal) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-hangups:
				_ = w.reload(ctx) // logged there; the old configuration stays
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

type proxyCommand struct {
	Socket  string `help:"The control socket." required:"" type:"path"`
	State   string `help:"Where the routes are remembered." required:"" type:"path"`
	Replace bool   `help:"Take over from the proxy that runs on the socket, without losing a request."`
}

// Run is the built-in proxy; it outlives the server. A hangup has it replaced by
// the program that lies in its place now.
func (p *proxyCommand) Run(ctx context.Context, m *Main) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	log := logger(m, false)
	o := proxy.Options{
		Socket: p.Socket, StateFile: p.State, Replace: p.Replace, Log: log, Hangups: hangups,
		Ready:     func() { tellSystemd(log, daemon.SdNotifyReady) },
		Succeeded: func(pid int) { tellSystemd(log, fmt.Sprintf("MAINPID=%d", pid)) },
		Guarded:   followedBySystemd(),
	}
	if !o.Guarded || os.Getenv("NOTIFY_SOCKET") != "" {
		self, err := programPath()
		if err != nil {
			return err
		}
		o.Successor = []string{self, "proxy", "--socket", p.Socket, "--state", p.State, "--replace"}
	}
	return proxy.Serve(ctx, o)
}

// programPath is the program by the name it was started with: a link stays one,
// so that what it points to at a later start is started then.
func programPath() (string, error) {
	if found, err := exec.LookPath(os.Args[0]); err == nil {
		return filepath.Abs(found)
	}
	return os.Executable()
}

// followedBySystemd reports whether this is the main process of a systemd unit:
// when it ends systemd ends the unit, unless it was told of another one.
func followedBySystemd() bool { return os.Getenv("INVOCATION_ID") != "" && os.Getppid() == 1 }

// tellSystemd does nothing where systemd does not listen.
func tellSystemd(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Error("systemd could not be told", "state", state, "err", err)
	}
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(m *Main) error {
	_, err := fmt.Fprintln(m.Stdout, "ipublish", version())
	return err
}

// version is the module's version and the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			v += " " + s.Value[:12]
		}
	}
	return v + " " + info.GoVersion
}

func logger(m *Main, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(m.Stderr, &slog.HandlerOptions{Level: level}))
}
