package haproxy

import (
	"context"
	"fmt"

	"ipublish/deploy"
	"ipublish/deployer"
)

// exampleStateFile is where Debian's unit lets HAProxy keep files.
const exampleStateFile = "/var/lib/haproxy/server-state"

// Advise tells what would go wrong later: a reload that forgets who is out,
// targets without a server, servers that somebody keeps out of traffic, sessions
// that stay at a drained server. It asks HAProxy on its own host, not on the
// given one, blocks for an exchange a socket, and tells nothing of a HAProxy that
// does not answer.
func (b *balancer) Advise(ctx context.Context, _ deployer.Host, step deploy.Step) []string {
	var out []string
	if b.settings.StateFile == "" {
		out = append(out, fmt.Sprintf("a reload of HAProxy forgets which hosts are out: add `state_file: %s` to balancer.haproxy, and to haproxy.cfg `server-state-file %s` in global and `load-server-state-from-file global` in defaults", exampleStateFile, exampleStateFile))
	}
	views, err := b.look(ctx)
	if err != nil {
		return out
	}
	sticky := map[string]bool{}
	for _, e := range step.Targets {
		for i, v := range views {
			s, err := v.find(e, b.settings.Backend)
			if err == nil {
				err = kept(move{door: v.door, server: s})
			}
			if err != nil {
				out = append(out, deploy.MessageOf(err))
				break
			}
			if i == 0 && s.Cookie != "" && !sticky[s.Backend] {
				sticky[s.Backend] = true
				out = append(out, fmt.Sprintf("HAProxy's backend %s binds sessions to a server by cookie: while a host is drained it still gets the requests of its sessions, so that each drain may last to drain_timeout", s.Backend))
			}
		}
	}
	return out
}
