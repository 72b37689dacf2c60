package config

import (
	"cmp"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

// inBraces finds what may be meant as one of the placeholders.
var inBraces = regexp.MustCompile(`\{[a-z_]+\}`)

// placeholders are those that may stand in a hook's argv.
var placeholders = []string{"{port}", "{slot}", "{release}", "{short}", "{dir}", "{home}"}

// programs reads the hooks: a deploy's fixed points where the user's own
// programs run.
func (b *building) programs(key string, f map[string]hookFile) deploy.Hooks {
	var out deploy.Hooks
	at := map[string]*deploy.Hook{
		"migrate": &out.Migrate, "smoke_test": &out.SmokeTest, "on_live": &out.OnLive, "on_idle": &out.OnIdle, "idle": &out.Idle,
	}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		hook, known := at[name]
		if !known {
			b.fail(key+"."+name, "there is no such hook: one of %s", strings.Join(slices.Sorted(maps.Keys(at)), ", "))
			continue
		}
		fallback := deploy.OnHosts
		if name == "migrate" {
			fallback = deploy.OnFirstHost
		}
		*hook = b.program(key+"."+name, fallback, f[name])
	}
	return out
}

func (b *building) program(key, on string, f hookFile) deploy.Hook {
	h := deploy.Hook{
		Run: f.Run, Timeout: lasting(f.Timeout, deploy.Duration(5*time.Minute)),
		On: b.oneOf(key+".on", cmp.Or(f.On, on), deploy.OnBot, deploy.OnFirstHost, deploy.OnHosts),
	}
	switch {
	case len(h.Run) == 0 || h.Run[0] == "":
		b.fail(key+".run", "it is missing: a program with its arguments, such as [./migrate.sh]")
	case h.Timeout <= 0:
		b.fail(key+".timeout", "it is more than zero")
	}
	b.textFree(key+".run", h.Run...)
	for _, word := range h.Run {
		for _, p := range inBraces.FindAllString(word, -1) {
			if !slices.Contains(placeholders, p) {
				b.fail(key+".run", "%s is not one of %s", p, strings.Join(placeholders, " "))
			}
		}
	}
	return h
}

// shared reads what every release links to. It stays within the release's or
// the slot's folder.
func (b *building) shared(key string, f []sharedFile) []deploy.Shared {
	var out []deploy.Shared
	for _, s := range f {
		folder, rest, _ := strings.Cut(s.To, "/")
		switch {
		case !path.IsAbs(s.Path) || path.Clean(s.Path) == "/":
			b.fail(key, "path %q is not an absolute path on the hosts", s.Path)
		case folder != "{dir}" && folder != "{home}" || rest == "":
			b.fail(key, "to %q has to begin with {dir}/ (the release's folder) or {home}/ (the slot's)", s.To)
		case path.Clean("/"+rest) != "/"+rest:
			b.fail(key, "to %q has to lead straight to its place, without ..", s.To)
		}
		out = append(out, deploy.Shared(s))
	}
	return out
}
