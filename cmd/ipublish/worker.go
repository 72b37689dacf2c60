package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ipublish/bot"
	"ipublish/cmd/config"
	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/proxy"
	"ipublish/deployer/source"
	"ipublish/store"
)

// shutdownPatience is how long requests in flight may take when the worker ends.
const shutdownPatience = 10 * time.Second

// garbagePercent is how much a worker may allocate, relative to what it holds,
// before it looks for garbage. It holds a few MiB and a push allocates dozens of
// KiB: with Go's own 100 percent it collects every few hundred pushes, which
// takes a fifth of the pushes a second. An idle worker is no larger for it, one
// under load by less than 20 MiB.
const garbagePercent = 400

// worker is everything behind the listeners: store, engine, bot. It opens the
// state folder, so only one can live at a time.
type worker struct {
	log      *slog.Logger
	where    layout
	started  *config.Config // some of it stays in force until the next start
	drivers  *drivers
	config   atomic.Pointer[config.Config]
	hooks    atomic.Pointer[map[string]bot.Githook]
	store    *store.Store
	engine   *deployer.Engine
	notifier *bot.Notifier
	server   *bot.Server
	http     *http.Server
	stop     context.CancelFunc
	done     sync.WaitGroup
	failed   chan error // the first part that ended by itself
}

// layout is where things lie in a state folder.
type layout string

func (l layout) control() string     { return filepath.Join(string(l), "ipublish.sock") }
func (l layout) proxySocket() string { return filepath.Join(string(l), "proxy.sock") }
func (l layout) proxyState() string  { return filepath.Join(string(l), "proxy.json") }
func (l layout) proxyLog() string    { return filepath.Join(string(l), "proxy.log") }
func (l layout) hooks() string       { return filepath.Join(string(l), "hooks") }
func (l layout) source() string      { return filepath.Join(string(l), "source") }

// newWorker opens the state folder and puts the parts together; nothing runs yet.
func newWorker(ctx context.Context, cfg *config.Config, log *slog.Logger) (*worker, error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	where := layout(cfg.StateDir)
	w := &worker{log: log, where: where, started: cfg, drivers: newDrivers(where.proxySocket()), failed: make(chan error, 4)}
	if err := w.adopt(cfg); err != nil {
		return nil, err
	}
	if err := w.ensureProxy(ctx, cfg); err != nil {
		return nil, err
	}
	workshop, err := source.Open(where.source(), source.Options{Resolve: config.Expand, Log: log})
	if err != nil {
		return nil, err
	}
	chats, err := openChats(cfg, log)
	if err != nil {
		return nil, err
	}
	if w.store, err = store.Open(cfg.StateDir, store.Options{Wait: shutdownPatience + 5*time.Second}); err != nil {
		return nil, err
	}
	w.engine = deployer.New(deployer.Options{
		Journal: w.store, Ledger: w.store, History: w.store, Targets: w.targets, BotDir: where.hooks(), Drivers: w.drivers, Source: workshop, Artifacts: workshop, Front: deployer.FrontDoor{},
		Config: func(t deploy.Target) (deploy.App, deploy.Environment, bool) { return w.config.Load().Environment(t) },
		Authorize: func(r deploy.Request) *deploy.Error {
			if revives(r) {
				return nil
			}
			return deploy.AsError(bot.AuthorizeRequest(w.botConfig(), r))
		},
		Log: log,
	})
	w.notifier = &bot.Notifier{Config: w.botConfig, Chats: chats, Tail: w.store, Outbox: w.store, States: w.store, Log: log}
	w.server = bot.NewServer(bot.Parts{
		Config:  w.botConfig,
		Handler: &bot.Handler{Config: w.botConfig, Intake: w.store, Records: w.store, Queue: w.store, Journal: w.store, Planner: w.engine},
		Hooks:   func(name string) (bot.Githook, bool) { h, ok := (*w.hooks.Load())[name]; return h, ok },
		Chats:   chats, Ready: w.ready, Log: log,
	})
	w.http = w.server.HTTP()
	return w, nil
}

// ready asks the store: a worker without it can take no work.
func (w *worker) ready() error {
	_, err := w.store.Cursor("ready")
	return err
}

// adopt makes a configuration the one in force.
func (w *worker) adopt(cfg *config.Config) error {
	hooks := map[string]bot.Githook{}
	old, before := w.config.Load(), w.hooks.Load()
	for name, secret := range cfg.Hooks {
		if old != nil && old.Hooks[name] == secret {
			hooks[name] = (*before)[name] // it remembers which signatures it saw
			continue
		}
		provider, _, _ := strings.Cut(name, "/")
		build, err := named(githooks, "git host", provider)
		if err != nil {
			return err
		}
		if hooks[name], err = build(secret); err != nil {
			return err
		}
	}
	w.hooks.Store(&hooks)
	w.config.Store(cfg)
	return nil
}

// reload reads the file again; a broken one keeps the configuration in force.
func (w *worker) reload(ctx context.Context) error {
	old := w.config.Load()
	cfg, err := config.Load(old.Path, w.drivers)
	if err == nil {
		err = w.keepsLive(cfg)
	}
	if err == nil {
		_, err = openChats(cfg, w.log)
	}
	if err == nil {
		err = w.ensureProxy(ctx, cfg)
	}
	if err == nil {
		err = w.adopt(cfg)
	}
	if err != nil {
		w.log.Error("configuration not reloaded, the old one stays", "file", old.Path, "err", err)
		return err
	}
	w.log.Info("configuration reloaded", "file", old.Path)
	if later := untilRestart(w.started, cfg); len(later) > 0 {
		w.log.Warn("these take effect at the next restart: "+strings.Join(later, ", "), "file", old.Path)
	}
	return nil
}

// untilRestart lists the keys that a running worker cannot change.
func untilRestart(started, cfg *config.Config) []string {
	var keys []string
	for key, same := range map[string]bool{
		"server.listen":    started.Listen == cfg.Listen,
		"server.state_dir": started.StateDir == cfg.StateDir,
		"chat.slack":       reflect.DeepEqual(started.Slack, cfg.Slack),
		"chat.dingtalk":    reflect.DeepEqual(started.DingTalk, cfg.DingTalk),
	} {
		if !same {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// keepsLive refuses a configuration that drops an environment with a live deploy.
func (w *worker) keepsLive(cfg *config.Config) error {
	lives, err := w.store.Lives()
	if err != nil {
		return err
	}
	for _, l := range lives {
		if _, _, ok := cfg.Environment(l.Target); !ok && l.Active != 0 {
			return &deploy.Error{Code: deploy.CodeRefused, Op: "reload", Subject: l.Target.String(),
				Message: l.Target.String() + " was removed while " + l.Active.String() + " is running there: wait for its end, or cancel it"}
		}
	}
	return nil
}

func (w *worker) botConfig() bot.Config {
	c := w.config.Load()
	out := bot.Config{Apps: c.Apps, Roles: c.Roles, Tokens: c.Tokens, Hooks: slices.Sorted(maps.Keys(c.Hooks)), Languages: map[string]string{}}
	if w.started.Slack != nil {
		out.Chats, out.Languages["slack"] = append(out.Chats, "slack"), w.started.Slack.Language
	}
	if w.started.DingTalk != nil {
		out.Chats, out.Languages["dingtalk"] = append(out.Chats, "dingtalk"), w.started.DingTalk.Language
	}
	return out
}

func openChats(cfg *config.Config, log *slog.Logger) (map[string]bot.Chat, error) {
	out := map[string]bot.Chat{}
	for name, build := range chats {
		c, err := build(cfg, log)
		if err != nil {
			return nil, err
		}
		if c != nil {
			out[name] = c
		}
	}
	return out, nil
}

// ensureProxy starts the built-in proxy where an environment uses it and none answers.
func (w *worker) ensureProxy(ctx context.Context, cfg *config.Config) error {
	for _, a := range cfg.Apps {
		for _, e := range a.Environments {
			if e.Balancer.Driver != "proxy" {
				continue
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			argv := []string{self, "proxy", "--socket", w.where.proxySocket(), "--state", w.where.proxyState()}
			return proxy.Ensure(ctx, w.where.proxySocket(), argv, w.where.proxyLog())
		}
	}
	return nil
}

// run serves on the listeners until ctx ends or a part fails, then ends the
// parts in order: intake first, the store last.
func (w *worker) run(ctx context.Context, listeners []net.Listener) error {
	ctx, w.stop = context.WithCancel(ctx)
	for _, l := range listeners {
		w.part("serve "+l.Addr().String(), func() error { return w.http.Serve(l) })
	}
	w.part("revival", func() error { return w.revive(ctx) })
	w.part("engine", func() error { return w.engine.Run(ctx) })
	w.part("missed pushes", func() error { return w.tellMissed(ctx) })
	w.part("notifier", func() error { return w.notifier.Run(ctx) })
	w.part("bot", func() error { return w.server.Run(ctx) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-w.failed:
	}
	w.shutDown()
	return errors.Join(err, w.store.Close(), w.drivers.Close())
}

func (w *worker) part(name string, run func() error) {
	w.done.Go(func() {
		err := run()
		if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, context.Canceled) {
			w.log.Error("part ended", "part", name, "err", err)
			select {
			case w.failed <- err:
			default:
			}
		}
	})
}

func (w *worker) shutDown() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownPatience)
	defer cancel()
	w.http.SetKeepAlivesEnabled(false)
	if err := w.http.Shutdown(ctx); err != nil {
		w.log.Warn("requests were still in flight at the end", "err", err)
	}
	w.stop()
	w.done.Wait()
}
