package nginx

import (
	"slices"
	"strings"
)

// finder finds what keeps requests to the targets from going through ipublish.
type finder struct {
	survey
	targets  []string
	places   places
	named    []*statement // upstream blocks of other names
	carriers []*statement // the ones of them that send requests to a target
	placed   bool         // somebody's advice reads ipublish's file by now
}

func newFinder(v survey, targets []string, k places) finder {
	f := finder{survey: v, targets: targets, places: k, named: v.others(), placed: v.reads}
	f.carriers = slices.DeleteFunc(slices.Clone(f.named), func(s *statement) bool { return !f.carries(s) })
	return f
}

// obstacles gives what is to be changed, in the order in which a person reads
// it: blocks that go, directives that send requests past ipublish, the include
// that is missing, the location that nobody wrote; then what would be lost by it.
func (v survey) obstacles(targets []string, k places) []obstacle {
	f := newFinder(v, targets, k)
	past, mixed := f.past(), f.mixed()
	left := slices.DeleteFunc(slices.Clone(f.carriers), func(s *statement) bool { return !leftBy(s, past) })
	var out []obstacle
	for _, s := range v.sameName() {
		out = append(out, f.block(s))
	}
	for _, s := range left {
		if f.emptied(s) {
			out = append(out, f.block(s))
		}
	}
	for _, s := range past {
		out = append(out, f.redirect(s))
	}
	out = append(out, mixed...)
	out = append(out, f.streamed()...)
	if !f.placed {
		out = append(out, f.include())
	}
	if len(past)+len(mixed) == 0 && !f.served() {
		out = append(out, f.choices()...)
	}
	return append(out, f.losses(slices.Concat(v.sameName(), left))...)
}

func (f *finder) hits(addr string) bool {
	return slices.ContainsFunc(f.targets, func(t string) bool { return f.places.same(t, addr) })
}

// carries reports whether an upstream block sends requests to a target.
func (f *finder) carries(block *statement) bool {
	return slices.ContainsFunc(f.servers[block], func(s *statement) bool {
		return !slices.Contains(s.Words[2:], "down") && f.hits(s.goal().Addr)
	})
}

// astray reports whether requests to a goal reach the targets past ipublish:
// straight, or by one of the carriers.
func (f *finder) astray(g goal) bool {
	meant := func(o *statement) bool { return o.named(g.Name) }
	switch {
	case f.ours(g):
		return false
	case slices.ContainsFunc(f.carriers, meant):
		return true
	}
	return !slices.ContainsFunc(f.named, meant) && f.hits(g.Addr)
}

func (f *finder) ours(g goal) bool { return strings.EqualFold(g.Name, f.settings.Upstream) }

// past gives what sends requests to the targets past ipublish and is put right
// by another name in it: passes, and the values that they go by.
func (f *finder) past() []*statement {
	return slices.DeleteFunc(slices.Concat(f.passes(), f.valuesUsed()), func(s *statement) bool {
		return !f.astray(s.goal()) && !f.composed(s)
	})
}

// composed reports whether a pass leads to the targets only by what its
// variables make up together, and nowhere else.
func (f *finder) composed(s *statement) bool {
	return f.strays(s) && !slices.ContainsFunc(f.ways(s), func(w way) bool { return !f.astray(w.goal) })
}

// strays reports whether one of a pass's ways reaches a target, and no single
// value of it can be put right.
func (f *finder) strays(s *statement) bool {
	return s.isPass() && slices.ContainsFunc(f.ways(s), func(w way) bool { return f.madeUp(w) })
}

func (f *finder) madeUp(w way) bool {
	return len(w.By) > 0 && f.astray(w.goal) &&
		!slices.ContainsFunc(w.By, func(value *statement) bool { return f.astray(value.goal()) })
}

// mixed is a pass whose variables make up a target's address, and others too.
func (f *finder) mixed() []obstacle {
	var out []obstacle
	for _, s := range f.passes() {
		if f.astray(s.goal()) || !f.strays(s) || f.composed(s) {
			continue
		}
		ways := f.ways(s)
		w := ways[slices.IndexFunc(ways, f.madeUp)]
		out = append(out, obstacle{Do: doPart, At: f.at(s), Text: oneLine(f.text(s)), Write: f.pass(), Keep: oneLine(w.Name)})
	}
	return out
}

// streamed is what passes connections on to the targets without a look at their requests.
func (f *finder) streamed() []obstacle {
	inner := newFinder(*f.stream, f.targets, f.places)
	var out []obstacle
	for _, s := range inner.passes() {
		if slices.ContainsFunc(inner.ways(s), func(w way) bool { return inner.astray(w.goal) }) {
			out = append(out, obstacle{Do: doLift, At: f.at(s), Text: oneLine(f.text(s)), Write: f.pass()})
		}
	}
	return out
}

// leftBy reports whether a block loses what passes to it by now.
func leftBy(block *statement, past []*statement) bool {
	return slices.ContainsFunc(past, func(s *statement) bool { return block.named(s.goal().Name) })
}

// emptied reports whether a carrier is of no use once nothing goes past: it
// serves the targets only.
func (f *finder) emptied(block *statement) bool {
	return !slices.ContainsFunc(f.servers[block], func(s *statement) bool { return !f.hits(s.goal().Addr) })
}

// served reports whether something is known to send requests to ipublish's upstream.
func (f *finder) served() bool {
	return slices.ContainsFunc(f.passes(), func(s *statement) bool {
		return slices.ContainsFunc(f.ways(s), func(w way) bool { return f.ours(w.goal) })
	})
}

// block is an upstream that goes; the first one makes room for the include.
func (f *finder) block(s *statement) obstacle {
	o := obstacle{Do: doDelete, At: f.at(s), Text: oneLine(f.text(s)), Keep: f.keep(s)}
	if !f.placed {
		f.placed = true
		o.Do, o.Write = doReplace, f.line()
	}
	return o
}

// keep gives the directives of a block that ipublish's own upstream would not have.
func (f *finder) keep(block *statement) string {
	var out []string
	for _, s := range f.all {
		line := strings.Join(s.Words, " ")
		if s.Outer == block && s.name() != "server" && s.name() != "include" && !slices.Contains(f.settings.Extra, line) {
			out = append(out, line)
		}
	}
	return oneLine(strings.Join(out, "; "))
}

// line is what reads ipublish's file.
func (f *finder) line() string { return "include " + f.settings.Include + ";" }

// redirect is a directive that is to name ipublish's upstream instead.
func (f *finder) redirect(s *statement) obstacle {
	text, name := f.text(s), s.goal().Name
	if !f.astray(s.goal()) {
		name = s.authority()
	}
	return obstacle{At: f.at(s), Text: oneLine(text), Write: oneLine(renamed(text, name, f.settings.Upstream))}
}

// authority is what a pass writes in place of an address, variables included; ""
// if the scheme comes out of a variable as well.
func (s *statement) authority() string {
	_, rest, ok := strings.Cut(s.word(), "://")
	switch {
	case !ok && s.name() == "proxy_pass":
		return ""
	case !ok:
		rest = s.word()
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// renamed puts another name for the goal in a directive's text: the first behind
// the scheme, or else the last.
func renamed(text, name, upstream string) string {
	at := strings.LastIndex(text, name)
	if scheme := strings.Index(text, "://"); scheme >= 0 {
		at = strings.Index(text[scheme:], name)
		if at >= 0 {
			at += scheme
		}
	}
	if at < 0 || name == "" {
		first, _, _ := strings.Cut(text, " ")
		return first + " http://" + upstream + ";"
	}
	return text[:at] + upstream + text[at+len(name):]
}

// include is the line that is missing.
func (f *finder) include() obstacle {
	o := obstacle{Do: doAdd, Text: "http", Write: f.line(), At: oneLine(f.files[0].Path)}
	if f.http != nil {
		begin := *f.http
		begin.End = begin.Line
		o.At = f.at(&begin)
	}
	return o
}

// choiceLimit is how many locations a message offers.
const choiceLimit = 3

// choices offers the passes of which nothing is known, then the locations that
// could be the app's.
func (f *finder) choices() []obstacle {
	var out []obstacle
	passes := f.passes()
	for _, s := range passes {
		if f.untold(s) {
			out = append(out, obstacle{Do: doTell, At: f.at(s), Text: oneLine(f.text(s)), Write: f.pass(), Keep: f.settings.Upstream})
		}
	}
	for _, s := range f.where(func(s *statement) bool { return slices.Equal(s.Words, []string{"location", "/"}) }) {
		o := obstacle{Do: doChoose, At: f.at(s), Write: f.pass()}
		if i := slices.IndexFunc(passes, func(p *statement) bool { return p.Outer == s }); i >= 0 {
			if f.untold(passes[i]) {
				continue
			}
			o.At, o.Text = f.at(passes[i]), oneLine(f.text(passes[i]))
		}
		out = append(out, o)
	}
	if len(out) == 0 {
		out = append(out, obstacle{Do: doChoose, Write: f.pass()})
	}
	return out[:min(len(out), choiceLimit)]
}

// untold reports whether only a request shows where a pass leads, by all that is known.
func (f *finder) untold(s *statement) bool {
	return slices.ContainsFunc(f.ways(s), func(w way) bool {
		return w.Name == "" || w.Variable && strings.HasSuffix(w.Name, ":")
	})
}

func (f *finder) pass() string { return "proxy_pass http://" + f.settings.Upstream + ";" }
