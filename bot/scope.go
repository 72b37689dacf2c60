package bot

import (
	"slices"
	"strings"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// Scope is what a command may be about.
type Scope struct {
	Apps  []deploy.App    // as configured
	Bound []deploy.Target // environments of the channel that the command came from
}

func (s Scope) app(name string) (deploy.App, bool) {
	i := slices.IndexFunc(s.Apps, func(a deploy.App) bool { return strings.EqualFold(a.Name, name) })
	if i < 0 {
		return deploy.App{}, false
	}
	return s.Apps[i], true
}

func (s Scope) appNames() []string {
	out := make([]string, len(s.Apps))
	for i, a := range s.Apps {
		out[i] = a.Name
	}
	return out
}

// envNames lists the environments of the app, of all apps for an empty name.
func (s Scope) envNames(app string) []string {
	var out []string
	for _, t := range s.all() {
		if (app == "" || t.App == app) && !slices.Contains(out, t.Env) {
			out = append(out, t.Env)
		}
	}
	return out
}

func (s Scope) all() []deploy.Target {
	var out []deploy.Target
	for _, a := range s.Apps {
		for _, e := range a.Environments {
			out = append(out, deploy.Target{App: a.Name, Env: e.Name})
		}
	}
	return out
}

// environment gives the zero Environment for an unknown target.
func (s Scope) environment(t deploy.Target) deploy.Environment {
	return Config{Apps: s.Apps}.environment(t)
}

// isBranch reports whether an environment deploys from that branch.
func (s Scope) isBranch(name string) bool {
	return slices.ContainsFunc(s.Apps, func(a deploy.App) bool {
		return slices.ContainsFunc(a.Environments, func(e deploy.Environment) bool { return e.Branch == name })
	})
}

// placement collects the app, environment and ref of one command, word by word.
// Exact names of apps and environments win over refs.
type placement struct {
	scope         Scope
	g             grammar
	app, env, ref string
}

// take gives a word its meaning.
func (p *placement) take(word string) error {
	if left, ref, ok := strings.Cut(word, "@"); ok && left != "" && ref != "" && p.g.ref && p.ref == "" {
		if p.isPlace(left) {
			return p.takeAt(left, ref)
		}
	}
	if app, env, ok := strings.Cut(word, "/"); ok && p.isNewApp(app) {
		return p.takePair(app, env)
	}
	if p.isNewApp(word) {
		a, _ := p.scope.app(word)
		p.app = a.Name
		return nil
	}
	if env, ok := p.envNamed(word); ok && p.env == "" {
		p.env = env
		return nil
	}
	return p.takeRef(word)
}

func (p *placement) isNewApp(name string) bool {
	_, ok := p.scope.app(name)
	return ok && p.app == ""
}

// isPlace reports whether a word names an app, an environment, or both.
func (p *placement) isPlace(word string) bool {
	app, _, _ := strings.Cut(word, "/")
	_, env := p.envNamed(word)
	return p.isNewApp(app) || env && p.env == ""
}

func (p *placement) takeAt(left, ref string) error {
	if err := p.take(left); err != nil {
		return err
	}
	return p.setRef(ref)
}

func (p *placement) takePair(app, env string) error {
	a, _ := p.scope.app(app)
	p.app = a.Name
	return p.environment(env)
}

// environment takes a word that can only be an environment, or APP/ENV.
func (p *placement) environment(word string) error {
	if app, env, ok := strings.Cut(word, "/"); ok && p.isNewApp(app) {
		return p.takePair(app, env)
	}
	env, ok := p.envNamed(word)
	if !ok {
		return p.noEnv(word)
	}
	p.env = env
	return nil
}

func (p *placement) envNamed(word string) (string, bool) {
	names := p.scope.envNames(p.app)
	i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, word) })
	if i < 0 {
		return "", false
	}
	return names[i], true
}

func (p *placement) noEnv(word string) error {
	names := p.scope.envNames(p.app)
	if p.app == "" {
		return invalid("no environment is called %q%s There are: %s", hostile.Line(word, 40), didYouMean(word, names), listed(names))
	}
	return invalid("%s has no environment %q%s It has: %s", p.app, hostile.Line(word, 40), didYouMean(word, names), listed(names))
}

// takeRef takes a word that is no name, where the verb takes a ref.
func (p *placement) takeRef(word string) error {
	if !p.g.ref || p.ref != "" {
		return p.unknown(word)
	}
	if meant, ok := nearest(word, p.openNames(), strictSlack(word)); ok && !hexWord(word) && !p.scope.isBranch(word) {
		return invalid("%q is no app or environment — did you mean %s? For a branch of that name write APP@%s", hostile.Line(word, 40), meant, hostile.Line(word, 40))
	}
	return p.setRef(word)
}

// openNames lists what the word could still have been meant as.
func (p *placement) openNames() []string {
	var out []string
	if p.app == "" {
		out = append(out, p.scope.appNames()...)
	}
	if p.env == "" {
		out = append(out, p.scope.envNames(p.app)...)
	}
	return out
}

func (p *placement) unknown(word string) error {
	names := p.openNames()
	id, at, isHost := p.scope.hostElsewhere(word)
	switch {
	case isHost && p.scope.environment(at).Rolling != nil && (p.app == "" || p.app == at.App):
		return invalid("%s is a host of %s, and %s is about whole environments: `%s %s %s`", id, at, p.g.verb, p.g.verb, at.App, at.Env)
	case len(names) == 0:
		return p.g.excess(word)
	case p.app != "":
		return p.noEnv(word)
	}
	return invalid("%q is no app or environment%s There are: %s", hostile.Line(word, 40), didYouMean(word, names), listed(names))
}

func (p *placement) setRef(ref string) error {
	if !validRef(ref) {
		return invalid("%q cannot be a branch, tag or commit", hostile.Line(ref, 40))
	}
	p.ref = ref
	return nil
}

// validRef follows git-check-ref-format, and refuses what looks like an option.
func validRef(ref string) bool {
	bad := []string{"..", "@{", "//", "/."}
	switch {
	case ref == "" || ref == "@" || len(ref) > 250:
		return false
	case strings.ContainsAny(ref, " ~^:?*[\\\"'") || strings.ContainsAny(ref[:1], "-/."):
		return false
	case strings.HasSuffix(ref, "/") || strings.HasSuffix(ref, ".") || strings.HasSuffix(ref, ".lock"):
		return false
	}
	return !slices.ContainsFunc(bad, func(b string) bool { return strings.Contains(ref, b) })
}

// targets gives what the words leave: one environment, or for verbs that take
// several all of them. What was left out is taken from the channel's binding
// where that decides it.
func (p *placement) targets() ([]deploy.Target, error) {
	found := slices.DeleteFunc(p.scope.all(), func(t deploy.Target) bool {
		return p.app != "" && t.App != p.app || p.env != "" && t.Env != p.env
	})
	if rolling := p.scope.rolling(found); p.g.rolls && len(rolling) > 0 {
		found = rolling
	}
	if near := p.bound(found); len(near) > 0 && (p.app == "" || p.env == "") {
		found = near
	}
	switch {
	case len(found) == 0 && p.app != "" && p.env != "":
		return nil, p.noEnv(p.env)
	case len(found) == 0:
		return nil, invalid("no environment is configured: add one to ipublish.yaml")
	case len(found) > 1 && p.g.places == placeOne:
		return nil, p.ambiguous(found)
	}
	return found, nil
}

// rolling are those of the environments that have hosts to work on one by one.
func (s Scope) rolling(all []deploy.Target) []deploy.Target {
	return slices.DeleteFunc(slices.Clone(all), func(t deploy.Target) bool { return s.environment(t).Rolling == nil })
}

func (p *placement) bound(all []deploy.Target) []deploy.Target {
	return slices.DeleteFunc(slices.Clone(all), func(t deploy.Target) bool { return !slices.Contains(p.scope.Bound, t) })
}

func (p *placement) ambiguous(found []deploy.Target) error {
	names := make([]string, len(found))
	for i, t := range found {
		names[i] = t.String()
	}
	return invalid("which one: %s? For example: %s %s", listed(names), p.g.verb, names[0])
}
