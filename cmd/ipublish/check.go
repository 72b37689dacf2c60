package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ipublish/cmd/config"
	"ipublish/deploy"
	"ipublish/deployer"
)

// mayWrite is W_OK and X_OK of access(2).
const mayWrite = 2 | 1

// checkPatience bounds each single check.
const checkPatience = 20 * time.Second

type checkCommand struct {
	configFlag
	Send bool `help:"Send a test message to every channel."`
}

// Run proves the configuration and prints a line a fact; exit 1 if one does not hold.
func (c *checkCommand) Run(ctx context.Context, m *Main) error {
	d := newDrivers("")
	cfg, err := config.Load(c.Config, d)
	if err != nil {
		return err
	}
	d.socket = layout(cfg.StateDir).proxySocket()
	defer func() { _ = d.Close() }()
	k := &checking{m: m, drivers: d, cfg: cfg}
	k.fact(c.Config+" is valid", nil)
	k.machine()
	k.repositories(ctx)
	for _, a := range cfg.Apps {
		for _, e := range a.Environments {
			k.environment(ctx, a, e)
		}
	}
	k.channels(ctx, c.Send)
	if k.failed > 0 {
		fmt.Fprintf(m.Stdout, "\n%d of %d checks failed\n", k.failed, k.done)
		return exitStatus(exitFailed)
	}
	fmt.Fprintf(m.Stdout, "\nall %d checks passed\n", k.done)
	return nil
}

type checking struct {
	m            *Main
	drivers      deployer.Drivers
	cfg          *config.Config
	done, failed int
}

func (k *checking) fact(what string, err error) {
	k.done++
	if err == nil {
		fmt.Fprintf(k.m.Stdout, "ok    %s\n", what)
		return
	}
	k.failed++
	fmt.Fprintf(k.m.Stdout, "FAIL  %s: %s\n", what, deploy.MessageOf(err))
}

// note tells what is as it should be and no proof of anything yet.
func (k *checking) note(what string) { fmt.Fprintf(k.m.Stdout, "note  %s\n", what) }

// warn tells what works today and would go wrong later.
func (k *checking) warn(what string) { fmt.Fprintf(k.m.Stdout, "warn  %s\n", what) }

// machine checks the bot's own machine.
func (k *checking) machine() {
	k.fact("server.state_dir "+k.cfg.StateDir+" can be written", writable(k.cfg.StateDir))
	for _, a := range k.cfg.Apps {
		// A path is looked up in the repository, which is not here yet.
		if len(a.Build.Run) > 0 && !strings.Contains(a.Build.Run[0], "/") {
			k.fact(fmt.Sprintf("build of %s finds %s", a.Name, a.Build.Run[0]), buildable(a.Build.Run[0]))
		}
		for _, e := range a.Environments {
			if contained() && e.Balancer.Driver == "nginx" && setting(e.Balancer, "host") == "" {
				k.fact("nginx of "+a.Name+"/"+e.Name, &deploy.Error{Code: deploy.CodeInvalid,
					Message: "a container cannot drive the nginx of its machine: name its host under balancer.nginx.host and reach it over ssh"})
			}
		}
	}
}

func buildable(program string) error {
	if _, err := exec.LookPath(program); err != nil {
		return &deploy.Error{Code: deploy.CodeInvalid, Err: err,
			Message: program + " is not on the PATH of this machine, which builds: install it, or let CI build the artifact"}
	}
	return nil
}

// writable looks whether a file can be made in dir, or dir where it is absent;
// it leaves nothing behind.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".check-*")
	if errors.Is(err, fs.ErrNotExist) {
		return creatable(dir)
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// creatable looks at the nearest folder above that is there.
func creatable(dir string) error {
	above := filepath.Dir(dir)
	err := syscall.Access(above, mayWrite)
	if errors.Is(err, fs.ErrNotExist) && above != dir {
		return creatable(above)
	}
	if err != nil {
		return &deploy.Error{Code: deploy.CodeInvalid, Op: "check", Subject: dir, Err: err,
			Message: fmt.Sprintf("%s is not there and %s does not let it be made (%v): make it, and give it to the user that runs ipublish", dir, above, err)}
	}
	return nil
}

// contained reports whether this process runs in a container.
func contained() bool {
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(mark); err == nil {
			return true
		}
	}
	_, err := os.Stat("/bin/sh")
	return err != nil
}

func (k *checking) environment(ctx context.Context, a deploy.App, e deploy.Environment) {
	name := a.Name + "/" + e.Name
	k.labels(name, e)
	reached := k.hosts(ctx, name, a, e)
	if len(reached) == 0 {
		return
	}
	k.advice(ctx, name, a, e, reached)
	traffic := k.route(ctx, name, a, e, reached)
	if e.Verify != nil {
		k.frontDoor(ctx, name, *e.Verify, traffic)
	}
}

// hosts looks at every host and gives those that can be used; none where the
// rest cannot be looked at.
func (k *checking) hosts(ctx context.Context, name string, a deploy.App, e deploy.Environment) []deploy.Host {
	if e.Rolling != nil {
		return k.fleet(ctx, name, a, e)
	}
	reached := true
	for _, h := range e.Hosts {
		_, err := k.host(ctx, h, e.ReleaseDir)
		k.fact(fmt.Sprintf("%s: host %s runs commands and can write %s", name, h.ID, e.ReleaseDir), err)
		k.become(ctx, name, h, privileged(a, e, h))
		reached = reached && err == nil
	}
	if !reached {
		return nil
	}
	return e.Hosts
}

// channels checks that each channel's chat is configured, and posts to it if asked.
func (k *checking) channels(ctx context.Context, send bool) {
	open, err := openChats(k.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		k.fact("chat", err)
		return
	}
	for _, a := range k.cfg.Apps {
		for _, e := range a.Environments {
			for _, ch := range e.Channels {
				name, _, _ := strings.Cut(ch, ":")
				chat, ok := open[name]
				if !ok {
					k.fact("channel "+ch, &deploy.Error{Code: deploy.CodeInvalid, Message: "chat." + name + " is not configured"})
				} else if send {
					_, err := chat.Post(ctx, deploy.Message{Channel: ch, Title: "ipublish check: this channel will hear of " + a.Name + "/" + e.Name, Status: "test", Tone: deploy.ToneNeutral, Final: true})
					k.fact("channel "+ch+" takes a message", err)
				}
			}
		}
	}
}
