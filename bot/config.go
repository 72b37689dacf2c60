package bot

import (
	"slices"
	"strings"

	"ipublish/deploy"
)

// Config is one immutable snapshot of the configuration, validated at load.
type Config struct {
	Apps   []deploy.App        // every default filled in, Slug too
	Roles  map[string][]string // "deployer", "admin", "approver" → ids of actors, "slack:U024BE7LH"
	Tokens map[string]string   // name → secret; its bearer is the actor "token:NAME"
	Chats  []string            // names of the configured chats: their members may ask
	Hooks  []string            // names of the configured hooks: "github", and "github/shop" for an app's own

	Languages map[string]string // chat's name → "en" or "zh", Simplified Chinese; "en" where it is absent
}

// hasHook reports whether an app has a hook of its own, with any git host.
func (c Config) hasHook(app string) bool {
	return slices.ContainsFunc(c.Hooks, func(name string) bool {
		_, own, ok := strings.Cut(name, "/")
		return ok && own == app
	})
}

// app finds a configured app by its exact name.
func (c Config) app(name string) (deploy.App, bool) {
	i := slices.IndexFunc(c.Apps, func(a deploy.App) bool { return a.Name == name })
	if i < 0 {
		return deploy.App{}, false
	}
	return c.Apps[i], true
}

// environment gives the zero Environment for an unknown target.
func (c Config) environment(t deploy.Target) deploy.Environment {
	a, ok := c.app(t.App)
	if !ok {
		return deploy.Environment{}
	}
	e, _ := a.Environment(t.Env)
	return e
}

// scope gives what a command from the channel may be about.
func (c Config) scope(channel string) Scope {
	s := Scope{Apps: c.Apps}
	for _, t := range s.all() {
		if e := c.environment(t); channel != "" && slices.Contains(e.Channels, channel) {
			s.Bound = append(s.Bound, t)
		}
	}
	return s
}

// pushed lists the environments that a push to the branch of the repository
// deploys to by itself.
func (c Config) pushed(repo, branch string) []deploy.Target {
	var out []deploy.Target
	for _, a := range c.Apps {
		if a.Slug == "" || !strings.EqualFold(a.Slug, repo) {
			continue
		}
		for _, e := range a.Environments {
			if e.AutoDeploy && e.Branch != "" && e.Branch == branch {
				out = append(out, deploy.Target{App: a.Name, Env: e.Name})
			}
		}
	}
	return out
}
