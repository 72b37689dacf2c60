package nginx

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

const includeHeader = `# Written by ipublish; please do not edit. Servers change by a deploy or a
# rollback; everything else in the upstream belongs to the keys "extra" and
# "server_params" of this environment's balancer. An edited file is never
# overwritten: ipublish stops and asks.
# generation `

const noGeneration = "0000000000000000"

var generationLine = regexp.MustCompile(`(?m)^# generation ([0-9a-f]{16})$`)

// render gives the include file of a table and its generation. It is a pure
// function of its input; the generation is a checksum of everything else in the file.
func render(s settings, t table) (content []byte, generation string) {
	blank := renderAs(s, t, noGeneration)
	generation = sum(blank)[:len(noGeneration)]
	return renderAs(s, t, generation), generation
}

func renderAs(s settings, t table, generation string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\nupstream %s {\n", includeHeader, generation, s.Upstream)
	for _, srv := range t {
		fmt.Fprintf(&b, "    server %s %s", srv.Addr, s.ServerParams)
		if !srv.Up {
			b.WriteString(" down")
		}
		b.WriteString(";\n")
	}
	for _, line := range s.Extra {
		fmt.Fprintf(&b, "    %s;\n", line)
	}
	b.WriteString("}\nserver {\n")
	fmt.Fprintf(&b, "    listen %s;\n    server_name %s;\n    access_log off;\n", s.GenerationListen, answerName(s.Upstream))
	fmt.Fprintf(&b, "    location = %s {\n        default_type text/plain;\n", answerPath)
	fmt.Fprintf(&b, "        return 200 \"%s\";\n    }\n}\n", strings.ReplaceAll(answerText(generation, s.Upstream, t), "\n", `\n`))
	return []byte(b.String())
}

// generationOf reads the generation from an include file's text; "" if it has none.
func generationOf(content []byte) string {
	m := generationLine.FindSubmatch(content)
	if m == nil {
		return ""
	}
	return string(m[1])
}

// genuine reports whether ipublish rendered content and nobody changed it since:
// its generation is the checksum of the rest.
func genuine(content []byte) bool {
	g := generationOf(content)
	if g == "" {
		return false
	}
	blank := bytes.ReplaceAll(content, []byte(g), []byte(noGeneration))
	return sum(blank)[:len(noGeneration)] == g
}
