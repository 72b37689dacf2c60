package nginx

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// dump is what nginx -T printed: every file that it reads, once.
type dump []dumpFile

type dumpFile struct {
	Path string
	Text string
}

var dumpHead = regexp.MustCompile(`(?m)^# configuration file (/.*):$`)

func parseDump(out []byte) dump {
	var d dump
	heads := dumpHead.FindAllSubmatchIndex(out, -1)
	for i, h := range heads {
		end := len(out)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		text := bytes.TrimPrefix(out[h[1]:end], []byte("\n"))
		d = append(d, dumpFile{Path: string(out[h[2]:h[3]]), Text: string(text)})
	}
	return d
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

// foreign tells where else an upstream of that name stands: "FILE lines 3-7".
func (d dump) foreign(upstream string, own int) []string {
	var places []string
	for i, f := range d {
		if i == own {
			continue
		}
		for _, at := range upstreamsNamed(parseConfig(f.Text), upstream) {
			places = append(places, fmt.Sprintf("%s lines %d-%d", f.Path, at.Line, at.End))
		}
	}
	return places
}

// upstreamsNamed finds the upstream blocks of a name, as nginx compares it; those
// of stream{} are another name space.
func upstreamsNamed(all []directive, name string) []directive {
	var found []directive
	for _, d := range all {
		if len(d.Words) != 2 || d.Words[0] != "upstream" || !strings.EqualFold(d.Words[1], name) {
			continue
		}
		if d.Parent >= 0 && len(all[d.Parent].Words) > 0 && all[d.Parent].Words[0] == "stream" {
			continue
		}
		found = append(found, d)
	}
	return found
}
