package deployer

import (
	"slices"
	"strings"

	"ipublish/deploy"
)

// shortestSecret is the length from which on a resolved value is masked:
// shorter ones would make holes into ordinary words.
const shortestSecret = 6

// mask replaces what references resolved to in a text that an app or a host wrote.
func (x *effects) mask(text string) string {
	for _, s := range x.secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	return text
}

// masked is the evidence without secrets in what processes logged, and without
// latencies, which are in the windows of the watch.
func (x *effects) masked(ev deploy.Evidence) deploy.Evidence {
	ev.Traffic = untimed(ev.Traffic)
	ev.Instances = slices.Clone(ev.Instances)
	for i := range ev.Instances {
		ev.Instances[i].Log = x.mask(ev.Instances[i].Log)
		ev.Instances[i].Command = x.mask(ev.Instances[i].Command)
	}
	return ev
}

func untimed(t *deploy.Traffic) *deploy.Traffic {
	if t == nil || t.Counters == nil {
		return t
	}
	out := *t
	out.Counters = make(map[string]deploy.Counter, len(t.Counters))
	for addr, c := range t.Counters {
		c.Latency = nil
		out.Counters[addr] = c
	}
	return &out
}

// maskedFailures are without secrets; their causes become text.
func (x *effects) maskedFailures(list []deploy.HostFailure) []deploy.HostFailure {
	var out []deploy.HostFailure
	for _, f := range list {
		out = append(out, deploy.HostFailure{Host: f.Host, Err: &deploy.Error{
			Code: f.Err.Code, Op: f.Err.Op, Subject: f.Err.Subject, Message: x.mask(deploy.MessageOf(f.Err)), Log: x.mask(f.Err.Log)}})
	}
	return out
}

// maskedError is err as an *deploy.Error without secrets; its cause becomes text.
func (x *effects) maskedError(err error) error {
	if err == nil || len(x.secrets) == 0 {
		return err
	}
	in := deploy.AsError(err)
	return &deploy.Error{Code: in.Code, Op: in.Op, Subject: in.Subject, Message: x.mask(deploy.MessageOf(err)), Log: x.mask(logOf(err))}
}
