package nginx

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
)

// dump is what nginx -T printed: every file that it reads, once, the main one first.
type dump []dumpFile

type dumpFile struct {
	Path string
	Text string
	All  []directive
	rest []byte // of Text, behind a line that is no head
}

var (
	dumpHead    = regexp.MustCompile(`(?m)^# configuration file (/.*):$`)
	includeForm = regexp.MustCompile(`\binclude\s+["']?([^"';]+)`)
)

// parseDump takes the files apart. A line that only looks like the head of a
// file, in a comment of the team, belongs to the file that it stands in: nginx
// prints a file behind the one that includes it.
func parseDump(out []byte) dump {
	var d dump
	var includes []string
	heads := dumpHead.FindAllSubmatchIndex(out, -1)
	for i, h := range heads {
		end := len(out)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		name, text := string(out[h[2]:h[3]]), out[h[1]:end]
		if i == 0 || d.expects(name, includes) {
			d = append(d, dumpFile{Path: name, Text: string(bytes.TrimPrefix(text, []byte("\n")))})
		} else {
			d[len(d)-1].rest = append(d[len(d)-1].rest, out[h[0]:end]...)
		}
		for _, m := range includeForm.FindAllSubmatch(text, -1) {
			includes = append(includes, string(m[1]))
		}
	}
	for i := range d {
		d[i].Text += string(d[i].rest)
		d[i].All = parseConfig(d[i].Text)
	}
	return d
}

// expects reports whether a file of that name can follow: one of the includes so
// far reads it, and it was not printed yet.
func (d dump) expects(name string, includes []string) bool {
	return !slices.ContainsFunc(d, func(f dumpFile) bool { return f.Path == name }) &&
		slices.ContainsFunc(includes, func(pattern string) bool { return d.included(pattern, name) })
}

// included reports whether an include of pattern reads the file of that name, as
// glob(3) has it; a relative pattern starts from the main file's folder.
func (d dump) included(pattern, name string) bool {
	if !path.IsAbs(pattern) {
		pattern = path.Join(path.Dir(d[0].Path), pattern)
	}
	pattern, name = path.Clean(pattern), path.Clean(name)
	if pattern == name {
		return true
	}
	if strings.HasPrefix(path.Base(name), ".") && !strings.HasPrefix(path.Base(pattern), ".") {
		return false
	}
	ok, err := path.Match(strings.ReplaceAll(pattern, "[!", "[^"), name)
	return err == nil && ok
}

// own finds the include file among the files, by its path or, where a folder on
// the way is a link, by its bytes; -1 if nginx does not read it.
func (d dump) own(path string, content []byte) int {
	for i, f := range d {
		if f.Path == path {
			return i
		}
	}
	same := strings.TrimRight(string(content), "\n")
	for i, f := range d {
		if same != "" && strings.TrimRight(f.Text, "\n") == same {
			return i
		}
	}
	return -1
}
