package config

import (
	"encoding/json"
	"net/url"
	"strings"

	"ipublish/deploy"
)

// hosts reads the entries, of which one may stand for several hosts.
func (b *building) hosts(key string, entries []hostFile) []deploy.Host {
	var out []deploy.Host
	from := map[deploy.HostID]int{}
	for i, entry := range entries {
		for _, f := range b.expanded(key+".hosts", i+1, entry) {
			h := b.host(key, i+1, f)
			if first, taken := from[h.ID]; taken {
				b.twice(key+".hosts", h.ID, first, i+1, entry)
			}
			from[h.ID] = i + 1
			out = append(out, h)
		}
	}
	if len(out) == 0 {
		b.fail(key+".hosts", "it is missing: `hosts: [local]`, or ssh://user@host")
	}
	return out
}

// twice says which entries call two hosts the same.
func (b *building) twice(key string, id deploy.HostID, first, second int, f hostFile) {
	switch {
	case first == second:
		b.fail(key, "entry %d, %s, has several hosts with the name %s: write a range into `name` too", second, f.standsFor(), id)
	case f.standsFor() != "":
		b.fail(key, "two hosts have the same name %s: entry %d, and one of entry %d, %s: give each its own `name`", id, first, second, f.standsFor())
	default:
		b.fail(key, "two hosts have the same name %s, entries %d and %d: give each its own `name`", id, first, second)
	}
}

// host reads one entry: this machine, or one over SSH.
func (b *building) host(key string, entry int, f hostFile) deploy.Host {
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
		b.fail(key+".hosts", "entry %d: %q is no name for a host: letters, digits, dots, - and _", entry, h.ID)
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
		b.fail(key+".hosts", "%q is not ssh://user@host:port; several hosts are written as user@web-[01-20].internal", f.SSH)
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
