package config

import (
	"cmp"
	"path"
	"regexp"

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
		Balancer:     b.section(key+".balancer", f.Balancer),
		DrainTimeout: lasting(f.DrainTimeout, seconds(30)), IdleAfter: lasting(f.IdleAfter, seconds(5)), StopTimeout: lasting(f.StopTimeout, seconds(30)),
		ProgressDeadline: lasting(f.ProgressDeadline, seconds(600)), AutoRevert: given(f.AutoRevert, true),
	}
	e.Hosts = b.hosts(key, f.Hosts)
	b.strategy(key, a, &e, f.Strategy)
	if f.Verify != nil {
		e.Verify = b.verify(key+".verify", *f.Verify)
	}
	b.validEnvironment(key, a, e)
	return e
}

func (b *building) validEnvironment(key string, a deploy.App, e deploy.Environment) {
	switch {
	case !path.IsAbs(e.ReleaseDir):
		b.fail(key+".release_dir", "%q is not an absolute path", e.ReleaseDir)
	case a.Health.HealthyDeadline >= e.ProgressDeadline:
		b.fail(key+".progress_deadline", "%s must be more than health.healthy_deadline (%s)", e.ProgressDeadline, a.Health.HealthyDeadline)
	case max(e.DrainTimeout, e.StopTimeout)+seconds(30) >= e.ProgressDeadline:
		b.fail(key+".progress_deadline", "%s must be more than drain_timeout and stop_timeout, with half a minute to spare", e.ProgressDeadline)
	case e.AutoDeploy && e.Branch == "":
		b.fail(key+".auto_deploy", "it needs a branch")
	case e.Rolling != nil:
		b.rollingTimes(key, a, e)
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
