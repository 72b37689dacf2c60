package nginx

import (
	"fmt"
	"strings"
)

// survey is what the team's own files do with requests: every statement of http,
// or of stream, outside of ipublish's file.
type survey struct {
	settings settings
	files    dump
	all      []*statement
	http     *statement                  // the http block; nil where it cannot be made out
	servers  map[*statement][]*statement // the server lines of each upstream block
	values   map[string][]*statement     // what gives each variable a value
	expanded map[string][]way            // of each word that was asked for
	reads    bool                        // nginx reads ipublish's file, or will once it exists
	stream   *survey                     // connections that nginx passes on; nil in the survey of stream itself
}

// newSurvey reads the files of a dump; f is ipublish's own as it stands.
func newSurvey(s settings, files dump, f file) survey {
	v := emptySurvey(s, files)
	stream := emptySurvey(s, files)
	stream.settings.Upstream = "" // a name in stream is none of http
	v.stream = &stream
	own := files.own(s.Include, f.Content)
	v.reads = own >= 0
	seen := map[spot]bool{}
	for _, st := range files.statements() {
		switch {
		case st.File == own || seen[st.spot()]:
		case st.HTTP:
			v.add(st)
			v.reads = v.reads || !f.Present && v.awaits(st)
		case st.name() == "http" && v.http == nil:
			v.http = st
		case st.Flow:
			v.stream.add(st)
		}
		seen[st.spot()] = true
	}
	return v
}

func emptySurvey(s settings, files dump) survey {
	return survey{settings: s, files: files, servers: map[*statement][]*statement{}, values: map[string][]*statement{}, expanded: map[string][]way{}}
}

func (v *survey) add(s *statement) {
	v.all = append(v.all, s)
	if name := s.sets(); name != "" {
		v.values[name] = append(v.values[name], s)
	}
	switch {
	case s.isUpstream():
		v.servers[s] = nil
	case s.in("upstream") && s.name() == "server" && len(s.Words) > 1:
		v.servers[s.Outer] = append(v.servers[s.Outer], s)
	}
}

// awaits reports whether a statement will read ipublish's file once it exists.
func (v *survey) awaits(s *statement) bool {
	return s.in("http") && s.name() == "include" && len(s.Words) == 2 && v.files.included(s.Words[1], v.settings.Include)
}

// spot is a place of the files, told apart by the upstream that includes it.
type spot struct {
	file, from int
	upstream   *statement
}

func (s *statement) spot() spot {
	at := spot{file: s.File, from: s.From}
	if s.in("upstream") && s.Outer.File != s.File {
		at.upstream = s.Outer
	}
	return at
}

func (s *statement) isUpstream() bool { return s.name() == "upstream" && len(s.Words) == 2 }

// named reports whether a word names an upstream, as nginx compares it.
func (s *statement) named(word string) bool { return strings.EqualFold(s.Words[1], word) }

func (v survey) where(match func(*statement) bool) []*statement {
	var out []*statement
	for _, s := range v.all {
		if match(s) {
			out = append(out, s)
		}
	}
	return out
}

// sameName gives the upstream blocks of ipublish's name: nginx refuses two.
func (v survey) sameName() []*statement {
	return v.where(func(s *statement) bool { return s.isUpstream() && s.named(v.settings.Upstream) })
}

// others gives the upstream blocks of other names.
func (v survey) others() []*statement {
	return v.where(func(s *statement) bool { return s.isUpstream() && !s.named(v.settings.Upstream) })
}

// passes gives what sends requests on: proxy_pass and its kin.
func (v survey) passes() []*statement {
	return v.where((*statement).isPass)
}

func (s *statement) isPass() bool { return strings.HasSuffix(s.name(), "_pass") && len(s.Words) == 2 }

// goal is where a server line, a pass or a value leads.
func (s *statement) goal() goal {
	if s.name() == "server" {
		return readGoal(s.Words[1])
	}
	return readGoal(s.word())
}

// addrs gives every address that the files send requests to.
func (v survey) addrs() []string {
	var out []string
	for _, block := range v.others() {
		for _, s := range v.servers[block] {
			out = append(out, s.goal().Addr)
		}
	}
	for _, s := range v.passes() {
		out = append(out, s.goal().Addr)
		for _, w := range v.ways(s) {
			out = append(out, w.Addr)
			for _, value := range w.By {
				out = append(out, value.goal().Addr)
			}
		}
	}
	if v.stream != nil {
		out = append(out, v.stream.addrs()...)
	}
	return out
}

// at tells where a statement stands.
func (v survey) at(s *statement) string {
	name := oneLine(v.files[s.File].Path)
	if s.End == s.Line {
		return fmt.Sprintf("%s:%d", name, s.Line)
	}
	return fmt.Sprintf("%s:%d-%d", name, s.Line, s.End)
}

// text is a statement as it stands in its file.
func (v survey) text(s *statement) string { return v.files[s.File].Text[s.From:s.To] }
