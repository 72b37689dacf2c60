package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"ipublish/cmd/config"
	"ipublish/cmd/demo"
	"ipublish/deploy"
)

type demoCommand struct {
	Once bool   `help:"End after the show; exit 0 only if all of it held."`
	Dir  string `help:"Keep the installation in this folder." type:"path"`
}

// Run shows the product. A terminal that goes away ends it like a ^C, so that
// nothing is left running.
func (d *demoCommand) Run(ctx context.Context, m *Main) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return demo.Run(ctx, demo.Options{
		Dir: d.Dir, Once: d.Once, Stdin: m.Stdin, Out: m.Stdout, Program: self, Typed: typed(self, os.Args[0]),
		Socket:  func(state string) string { return layout(state).control() },
		StopAll: stopAll,
	})
}

// typed is how a person runs this program again: by its name only where that
// finds this very program.
func typed(self, as string) string {
	if strings.Contains(self, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/ipublish"
	}
	if found, err := exec.LookPath(filepath.Base(self)); err == nil && same(found, self) {
		return filepath.Base(self)
	}
	return as
}

// same reports whether two paths are one file.
func same(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// stopAll ends every app on this machine and the proxy of a configuration whose
// server has ended, and waits for them.
func stopAll(ctx context.Context, path string) error {
	d := newDrivers("")
	cfg, err := config.Load(path, d)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range cfg.Apps {
		for _, e := range a.Environments {
			errs = append(errs, stopSlots(ctx, d, a, e))
		}
	}
	errs = append(errs, stopProxy(ctx, layout(cfg.StateDir).proxySocket()), d.Close())
	return errors.Join(errs...)
}

func stopSlots(ctx context.Context, d *drivers, a deploy.App, e deploy.Environment) error {
	rt, err := d.Runtime(a.Runtime)
	if err != nil {
		return err
	}
	slots, _ := deploy.ObserveSteps(a, e, deploy.Live{})
	var errs []error
	for _, h := range e.Hosts {
		host, err := d.Host(h)
		errs = append(errs, err)
		for _, step := range slots {
			if err == nil {
				errs = append(errs, rt.Stop(ctx, host, step))
			}
		}
	}
	return errors.Join(errs...)
}
