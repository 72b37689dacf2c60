package nginx

import (
	"slices"
	"strings"
)

// finder finds what keeps requests to the targets from going through ipublish.
type finder struct {
	survey
	targets []string
	places  places
	placed  bool // somebody's advice reads ipublish's file by now
}

// obstacles gives what is to be changed, in the order in which a person reads
// it: blocks that go, directives that send requests past ipublish, the include
// that is missing, the location that nobody wrote.
func (v survey) obstacles(targets []string, k places) []obstacle {
	f := finder{survey: v, targets: targets, places: k, placed: v.reads}
	carriers := slices.DeleteFunc(v.others(), func(s *statement) bool { return !f.carries(s) })
	past := f.past(carriers)
	var out []obstacle
	for _, s := range v.sameName() {
		out = append(out, f.block(s))
	}
	for _, s := range carriers {
		if f.emptied(s, past) {
			out = append(out, f.block(s))
		}
	}
	for _, s := range past {
		out = append(out, f.redirect(s))
	}
	if !f.placed {
		out = append(out, f.include())
	}
	if len(past) == 0 && !f.served() {
		out = append(out, f.choices()...)
	}
	return out
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

// past gives what sends requests to the targets past ipublish: straight, or by
// one of the carriers.
func (f *finder) past(carriers []*statement) []*statement {
	others := f.others()
	return slices.DeleteFunc(slices.Concat(f.passes(), f.values()), func(s *statement) bool {
		g := s.goal()
		named := func(o *statement) bool { return o.named(g.Name) }
		return strings.EqualFold(g.Name, f.settings.Upstream) ||
			!slices.ContainsFunc(carriers, named) && (slices.ContainsFunc(others, named) || !f.hits(g.Addr))
	})
}

// emptied reports whether a carrier is of no use once nothing goes past: it has
// users, and serves the targets only.
func (f *finder) emptied(block *statement, past []*statement) bool {
	used := slices.ContainsFunc(past, func(s *statement) bool { return block.named(s.goal().Name) })
	return used && !slices.ContainsFunc(f.servers[block], func(s *statement) bool { return !f.hits(s.goal().Addr) })
}

// served reports whether something sends requests to ipublish's upstream, as far
// as that can be told.
func (f *finder) served() bool {
	return slices.ContainsFunc(f.passes(), func(s *statement) bool {
		g := s.goal()
		return g.Variable || strings.EqualFold(g.Name, f.settings.Upstream)
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
	text := f.text(s)
	return obstacle{At: f.at(s), Text: oneLine(text), Write: oneLine(renamed(text, s.goal().Name, f.settings.Upstream))}
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
	if at < 0 {
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

// choices offers the locations that could be the app's.
func (f *finder) choices() []obstacle {
	var out []obstacle
	passes := f.passes()
	for _, s := range f.where(func(s *statement) bool { return slices.Equal(s.Words, []string{"location", "/"}) }) {
		o := obstacle{Do: doChoose, At: f.at(s), Write: f.pass()}
		if i := slices.IndexFunc(passes, func(p *statement) bool { return p.Outer == s }); i >= 0 {
			o.At, o.Text = f.at(passes[i]), oneLine(f.text(passes[i]))
		}
		out = append(out, o)
	}
	if len(out) == 0 {
		out = append(out, obstacle{Do: doChoose, Write: f.pass()})
	}
	return out[:min(len(out), choiceLimit)]
}

func (f *finder) pass() string { return "proxy_pass http://" + f.settings.Upstream + ";" }
