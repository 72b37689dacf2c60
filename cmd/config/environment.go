package config

import (
	"cmp"
	"encoding/json"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"ipublish/deploy"
)

var channelForm = regexp.MustCompile(`^(slack:[A-Z0-9]+|dingtalk:(webhook/)?.+)$`)

func (b *building) environment(a deploy.App, name string, f environmentFile) deploy.Environment {
	key := "apps." + a.Name + ".environments." + name
	if !appName.MatchString(name) {
		b.fail(key, "a name has lower-case letters, digits, - and _ only")
	}
	e := deploy.Environment{
		Name: name, Branch: f.Branch, AutoDeploy: f.AutoDeploy, Channels: f.Channels,
		ReleaseDir:   cmp.Or(f.ReleaseDir, "/var/lib/ipublish-releases"),
		BlueGreen:    b.blueGreen(key+".strategy", f.Strategy),
		Balancer:     b.section(key+".balancer", f.Balancer),
		DrainTimeout: lasting(f.DrainTimeout, seconds(30)), IdleAfter: lasting(f.IdleAfter, seconds(5)), StopTimeout: lasting(f.StopTimeout, seconds(30)),
		ProgressDeadline: lasting(f.ProgressDeadline, seconds(600)), AutoRevert: given(f.AutoRevert, true),
	}
	for i, h := range f.Hosts {
		e.Hosts = append(e.Hosts, b.host(key, i, h))
	}
	if f.Verify != nil {
		e.Verify = b.verify(key+".verify", *f.Verify)
	}
	b.validEnvironment(key, a, e)
	return e
}

func (b *building) blueGreen(key string, f strategyFile) deploy.BlueGreen {
	if f.BlueGreen == nil {
		b.fail(key, "it is missing: `blue_green: { slots: { blue: 8080, green: 8081 } }`")
		return deploy.BlueGreen{}
	}
	g := f.BlueGreen
	s := deploy.BlueGreen{Blue: g.Slots.Blue, Green: g.Slots.Green, BakeTime: lasting(g.BakeTime, seconds(60)), KeepOld: lasting(g.KeepOld, seconds(600))}
	if s.Blue < 1 || s.Blue > 65535 || s.Green < 1 || s.Green > 65535 || s.Blue == s.Green {
		b.fail(key+".blue_green.slots", "blue and green are two different ports from 1 to 65535")
	}
	return s
}

// host reads one entry: this machine, or one over SSH.
func (b *building) host(key string, i int, f hostFile) deploy.Host {
	h := deploy.Host{ID: deploy.HostID(f.Name), Address: f.Address, Labels: f.Labels}
	settings := map[string]any{}
	if len(f.Become) > 0 {
		settings["become"] = f.Become
	}
	h.Driver.Driver = "local"
	if f.SSH != "" {
		h.Driver.Driver = "ssh"
		settings["address"] = f.SSH
		b.sshHost(key, f, &h, settings)
	}
	if h.Address == "" {
		h.Address = "127.0.0.1"
	}
	raw, err := json.Marshal(settings)
	if err != nil {
		b.fail(key+".hosts", "%v", err)
	}
	h.Driver.Settings = raw
	if !hostName.MatchString(string(h.ID)) {
		b.fail(key+".hosts", "entry %d: %q is no name for a host: letters, digits, dots, - and _", i+1, h.ID)
	}
	if b.err == nil {
		if err := b.check.CheckHost(h); err != nil {
			b.fail(key+".hosts", "%s: %s", h.ID, deploy.MessageOf(err))
		}
	}
	return h
}

func (b *building) sshHost(key string, f hostFile, h *deploy.Host, settings map[string]any) {
	text := f.SSH
	if !strings.Contains(text, "://") {
		text = "ssh://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "ssh" || u.Hostname() == "" {
		b.fail(key+".hosts", "%q is not ssh://user@host:port", f.SSH)
		return
	}
	for k, v := range map[string]string{"identity_file": f.IdentityFile, "known_hosts": f.KnownHosts, "proxy_jump": f.ProxyJump} {
		if v != "" {
			settings[k] = b.expand(key+".hosts."+k, v)
		}
	}
	if h.ID == "" {
		h.ID = deploy.HostID(u.Hostname())
	}
	if h.Address == "" {
		h.Address = u.Hostname()
	}
}

func (b *building) validEnvironment(key string, a deploy.App, e deploy.Environment) {
	ids := e.HostIDs()
	slices.Sort(ids)
	switch {
	case len(ids) == 0:
		b.fail(key+".hosts", "it is missing: `hosts: [local]`, or ssh://user@host")
	case len(slices.Compact(ids)) != len(e.Hosts):
		b.fail(key+".hosts", "two hosts have the same name: give each its own `name`")
	case !path.IsAbs(e.ReleaseDir):
		b.fail(key+".release_dir", "%q is not an absolute path", e.ReleaseDir)
	case a.Health.HealthyDeadline >= e.ProgressDeadline:
		b.fail(key+".progress_deadline", "%s must be more than health.healthy_deadline (%s)", e.ProgressDeadline, a.Health.HealthyDeadline)
	case max(e.DrainTimeout, e.StopTimeout)+seconds(30) >= e.ProgressDeadline:
		b.fail(key+".progress_deadline", "%s must be more than drain_timeout and stop_timeout, with half a minute to spare", e.ProgressDeadline)
	case e.AutoDeploy && e.Branch == "":
		b.fail(key+".auto_deploy", "it needs a branch")
	}
	for _, c := range e.Channels {
		if !channelForm.MatchString(c) {
			b.fail(key+".channels", "%q is not slack:C…, dingtalk:cid… or dingtalk:webhook/NAME", c)
		}
	}
	if b.err == nil {
		if err := b.check.CheckBalancer(deploy.Target{App: a.Name, Env: e.Name}, e.Balancer); err != nil {
			b.fail(key+".balancer", "%s", deploy.MessageOf(err))
		}
	}
}
