package config

import "testing"

func TestAReferenceInBracesIsQuotedAndAllElseStays(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"a mapping":                {"github: { secret: ${A} }\n", "github: { secret: '${A}' }\n"},
		"close to the brace":       {"github: {secret: ${A}}\n", "github: {secret: '${A}'}\n"},
		"a file":                   {"c: { ssh_key: ${file:/etc/ipublish/deploy_key} }   # or user\n", "c: { ssh_key: '${file:/etc/ipublish/deploy_key}' }   # or user\n"},
		"a list":                   {"hosts: [${A}, local, ${B}]\n", "hosts: ['${A}', local, '${B}']\n"},
		"within a text":            {"env: { URL: http://${HOST}:8080/a, B: b }\n", "env: { URL: 'http://${HOST}:8080/a', B: b }\n"},
		"with an apostrophe":       {"env: { A: it's ${B} }\n", "env: { A: 'it''s ${B}' }\n"},
		"over lines":               {"s: { a: ${A},\n     b: { c: ${B} },\n     d: e }\n", "s: { a: '${A}',\n     b: { c: '${B}' },\n     d: e }\n"},
		"two in one":               {"s: [ ${A}${B} x ]\n", "s: [ '${A}${B} x' ]\n"},
		"a list of mappings":       {"- { a: ${A} }\n- a: [ ${B} ]\n", "- { a: '${A}' }\n- a: [ '${B}' ]\n"},
		"a tag":                    {"s: { a: !!str ${A} }\n", "s: { a: !!str '${A}' }\n"},
		"carriage returns":         {"s: { a: ${A}\r\n}\r\n", "s: { a: '${A}'\r\n}\r\n"},
		"quoted":                   {`s: { a: "${A}", b: '${B}', c: "\"${C}" }`, `s: { a: "${A}", b: '${B}', c: "\"${C}" }`},
		"outside of braces":        {"a: ${A}\nb: x{${B}\nc: it's {${C}}\n", "a: ${A}\nb: x{${B}\nc: it's {${C}}\n"},
		"a comment":                {"# { a: ${A} }\nb: { c: d # ${A}\n}\n", "# { a: ${A} }\nb: { c: d # ${A}\n}\n"},
		"a block":                  {"run: |\n  { a: ${A} }\n\n  [${B}]\nc: [${C}]\n", "run: |\n  { a: ${A} }\n\n  [${B}]\nc: ['${C}']\n"},
		"a block within a list":    {"l:\n  - a: >-\n      { ${A} }\n    b: { c: ${B} }\n", "l:\n  - a: >-\n      { ${A} }\n    b: { c: '${B}' }\n"},
		"a block as an element":    {"l:\n  - |\n    [${A}]\n  - [${B}]\n", "l:\n  - |\n    [${A}]\n  - ['${B}']\n"},
		"a quoted key":             {"\"a b\": { c: ${C} }\n", "\"a b\": { c: '${C}' }\n"},
		"a text over lines":        {"a: \"x\n  { ${A} }\"\nb: [${B}]\n", "a: \"x\n  { ${A} }\"\nb: ['${B}']\n"},
		"a colon in a plain value": {"a: b:c {${A}}\nd: [${D}]", "a: b:c {${A}}\nd: ['${D}']"},
		"no reference":             {"a: { b: c }\n", "a: { b: c }\n"},
		"an open brace at the end": {"a: { b: ${A", "a: { b: ${A"},
	} {
		if got, _ := quoteReferences(c.in); got != c.want {
			t.Errorf("%s:\n%s\nbecomes\n%s\nwant\n%s", name, c.in, got, c.want)
		}
	}
}

func TestAColumnAfterQuotesIsTheColumnInTheFile(t *testing.T) {
	_, moved := quoteReferences("x: y\ns: { a: ${A}, bad: 1 }\n")
	// 'a' ends two columns later than in the file.
	if got := moved.column(2, 18); got != 16 {
		t.Errorf("column 18 is %d in the file, want 16", got)
	}
	if got := moved.column(2, 6); got != 6 {
		t.Errorf("column 6 is %d in the file, want 6", got)
	}
	if got := moved.column(1, 4); got != 4 {
		t.Errorf("column 4 of another line is %d in the file", got)
	}
}
