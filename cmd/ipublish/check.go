package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ipublish/cmd/config"
	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/host/posix/sudo"
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
	drivers      *drivers
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
	reached := true
	for _, h := range e.Hosts {
		err := k.host(ctx, h, e.ReleaseDir)
		k.fact(fmt.Sprintf("%s: host %s runs commands and can write %s", name, h.ID, e.ReleaseDir), err)
		k.become(ctx, name, h, privileged(a, e, h))
		reached = reached && err == nil
	}
	if !reached {
		return
	}
	traffic := k.route(ctx, name, a, e)
	if e.Verify != nil {
		k.frontDoor(ctx, name, *e.Verify, traffic)
	}
}

// become proves that commands of a host get the rights they are to have, and
// prints what sudo lacks for that.
func (k *checking) become(ctx context.Context, name string, h deploy.Host, programs []string) {
	plain, become, err := sudo.Split(h.Driver.Settings)
	if err != nil || len(become) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	host, err := k.drivers.Host(deploy.Host{ID: h.ID, Driver: deploy.Section{Driver: h.Driver.Driver, Settings: plain}})
	var lines []string
	if err == nil {
		lines, err = sudo.Missing(ctx, host, become, programs...)
	}
	k.fact(fmt.Sprintf("%s: host %s: %s works", name, h.ID, strings.Join(become, " ")), err)
	for _, line := range lines {
		fmt.Fprintf(k.m.Stdout, "        %s\n", line)
	}
}

// privileged are the programs that ipublish runs on a host by themselves,
// besides the shell.
func privileged(a deploy.App, e deploy.Environment, h deploy.Host) []string {
	var programs []string
	if a.EnvFile != "" {
		programs = append(programs, "cat")
	}
	on := cmp.Or(setting(e.Balancer, "host"), "local")
	if e.Balancer.Driver == "nginx" && on == string(h.ID) {
		programs = append(programs, "rm", cmp.Or(firstWord(e.Balancer, "test"), "nginx"), cmp.Or(firstWord(e.Balancer, "reload"), "nginx"))
	}
	slices.Sort(programs)
	return slices.Compact(programs)
}

// firstWord is the program of an argv in a section, empty where it is absent.
func firstWord(s deploy.Section, key string) string {
	var m map[string]any
	if json.Unmarshal(s.Settings, &m) != nil {
		return ""
	}
	argv, _ := m[key].([]any)
	if len(argv) == 0 {
		return ""
	}
	word, _ := argv[0].(string)
	return word
}

// route checks the balancer and tells what it says; nil: nothing.
func (k *checking) route(ctx context.Context, name string, a deploy.App, e deploy.Environment) *deploy.Traffic {
	traffic, err := k.balancer(ctx, a, e)
	if e.Balancer.Driver == "proxy" && deploy.CodeOf(err) == deploy.CodeUnavailable && !k.served() {
		k.note(name + ": the built-in proxy does not run yet: `ipublish serve` starts it")
		return nil
	}
	k.fact(name+": balancer "+e.Balancer.Driver+" answers", err)
	return traffic
}

// served reports whether a proxy has ever run for this state folder.
func (k *checking) served() bool {
	where := layout(k.cfg.StateDir)
	for _, path := range []string{where.proxyState(), where.proxyLog()} {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return false
}

// frontDoor probes it; before the first deploy nothing answers there.
func (k *checking) frontDoor(ctx context.Context, name string, v deploy.Verify, traffic *deploy.Traffic) {
	err := deployer.FrontDoor{}.Probe(ctx, v)
	if err != nil && (traffic == nil || len(traffic.Up) == 0) {
		k.note(fmt.Sprintf("%s: front door %s: nothing is deployed yet (%s)", name, v.URL, deploy.MessageOf(err)))
		return
	}
	k.fact(name+": front door "+v.URL+" answers", err)
}

func (k *checking) host(ctx context.Context, h deploy.Host, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	host, err := k.drivers.Host(h)
	if err != nil {
		return err
	}
	const script = `mkdir -p "$1" && t=$(mktemp "$1/.check.XXXXXX") && rm "$t" && command -v tar sha256sum setsid flock`
	_, err = host.Run(ctx, []string{"sh", "-c", script, "ipublish", dir}, nil)
	return err
}

func (k *checking) balancer(ctx context.Context, a deploy.App, e deploy.Environment) (*deploy.Traffic, error) {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	b, err := k.drivers.Balancer(deploy.Target{App: a.Name, Env: e.Name}, e.Balancer, func(name string) (deployer.Host, error) {
		for _, h := range e.Hosts {
			if string(h.ID) == name {
				return k.drivers.Host(h)
			}
		}
		return k.drivers.Host(deploy.Host{ID: "local", Driver: deploy.Section{Driver: "local"}})
	})
	if err != nil {
		return nil, err
	}
	_, route := deploy.ObserveSteps(a, e, deploy.Live{})
	seen, err := b.Observe(ctx, route)
	if f, ok := b.(interface {
		Foreign(context.Context, deploy.Step) error
	}); ok && err == nil && len(seen.Traffic.Up) == 0 {
		err = f.Foreign(ctx, route) // what a team's own configuration has to hand over first
	}
	return seen.Traffic, err
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
