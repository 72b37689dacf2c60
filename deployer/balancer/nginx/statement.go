package nginx

// statement is one directive in its place: the block that it stands in may be in
// another file, the one that includes its own.
type statement struct {
	directive
	File  int        // index in the dump
	Outer *statement // the block it stands in; nil: none
	HTTP  bool       // stands within http { … }
	Flow  bool       // stands within stream { … }
}

// in reports whether the statement stands directly in a block of that name.
func (s *statement) in(block string) bool { return s.Outer != nil && s.Outer.name() == block }

// statements gives every directive that nginx reads, in its order. A file that is
// included at several places of one kind is taken once.
func (d dump) statements() []*statement {
	w := walk{dump: d, seen: map[visit]bool{}, open: map[int]bool{}, reached: map[int]bool{}, reads: map[string][]int{}}
	for i := range d {
		if !w.reached[i] {
			// Behind the main file: which include reads it cannot be told, it counts as one of http.
			w.take(nil, visit{File: i, HTTP: i > 0})
		}
	}
	return w.out
}

// visit is a file read in one kind of place.
type visit struct {
	File     int
	HTTP     bool
	Flow     bool
	Upstream *statement // within this upstream block
}

type walk struct {
	dump    dump
	out     []*statement
	seen    map[visit]bool
	open    map[int]bool // files that are being taken
	reached map[int]bool
	reads   map[string][]int // the files of an include's pattern
}

// take takes the directives of a file into outer.
func (w *walk) take(outer *statement, at visit) {
	if w.seen[at] || w.open[at.File] {
		return
	}
	w.seen[at], w.open[at.File], w.reached[at.File] = true, true, true
	all := w.dump[at.File].All
	placed := make([]*statement, len(all))
	for j, d := range all {
		s := &statement{directive: d, File: at.File, Outer: outer, HTTP: at.HTTP, Flow: at.Flow}
		if d.Parent >= 0 {
			s.Outer = placed[d.Parent]
			s.HTTP = s.Outer.HTTP || s.Outer.name() == "http"
			s.Flow = s.Outer.Flow || s.Outer.name() == "stream"
		}
		placed[j] = s
		w.out = append(w.out, s)
		if d.name() == "include" && len(d.Words) == 2 {
			w.follow(s)
		}
	}
	w.open[at.File] = false
}

// follow takes the files that an include reads.
func (w *walk) follow(s *statement) {
	at := visit{HTTP: s.HTTP, Flow: s.Flow}
	if s.in("upstream") {
		at.Upstream = s.Outer
	}
	pattern := s.Words[1]
	if _, known := w.reads[pattern]; !known {
		w.reads[pattern] = nil
		for k, f := range w.dump {
			if w.dump.included(pattern, f.Path) {
				w.reads[pattern] = append(w.reads[pattern], k)
			}
		}
	}
	for _, k := range w.reads[pattern] {
		at.File = k
		w.take(s.Outer, at)
	}
}
