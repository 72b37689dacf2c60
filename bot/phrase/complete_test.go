package phrase_test

import (
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ipublish/bot/phrase"
)

var (
	typedCommand = regexp.MustCompile("`[^`]*`")
	anyVerb      = regexp.MustCompile(`%[-+# 0]*\d*(\.\d+)?([a-zA-Z%])`)
	plainWord    = regexp.MustCompile(`(^|[ ("'—-])[A-Za-z]?[a-z]{2,}($|[ ).,:;"'?!])`)
)

// prose reports whether a literal is a text for people: at least two words, or
// one and an argument, of which one is plain.
func prose(l literal) bool {
	bare := anyVerb.ReplaceAllString(typedCommand.ReplaceAllString(l.format, ""), "")
	return !l.name && !strings.HasPrefix(l.format, "# ") && strings.Contains(l.format, " ") && plainWord.MatchString(bare)
}

// noTexts lists what looks like a text and is none.
func noTexts() []string {
	return slices.Concat(
		[]string{"export %s=%s", "getent ahosts \"$1\" || :"}, // shell
		[]string{"ssh-keyscan -p %s -t %s %s >> %s", "ssh-keygen -R '%s' -f %s", "ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub", "git-upload-pack %s"}, // commands, as they are typed
		[]string{"version https://git-lfs.github.com/spec/", "version https://hawser.github.com/spec/", "ref: refs/heads/main"},                       // formats of git
		[]string{"does not appear to be a git repository", "not found", "does not exist", "could not be found", "no such"},                            // looked for in git's answers
		[]string{"=== ipublish starts", "export %s='%s'"},                 // shell
		[]string{"Defaults:%s !requiretty"},                               // lines of sudoers
		[]string{"include %s;", "%s http://%s;", "proxy_pass http://%s;"}, // nginx's configuration
		[]string{"%s: %w in PATH", "%w than %s", "%w for %s", "nothing to do:", "%s %s of %s", "%s → %s: %s %s on %d hosts", "%s → %s: %s %s on %d hosts; %s serves on each until its turn"}, // parts of other texts
		[]string{"internal error", "dingtalk stream", "this attempt has had its connection", "an envelope without a command", "the payload is not an object"},                                // lines of the log
		[]string{"host, upstream, include, server_params, extra, generation_listen, test, reload, pid, reload_timeout"},                                                                      // keys of the configuration
		[]string{"no such record", "stat %s: %w", "%s %s event %d", "an event %q cannot be appended", "the limit must be at least 1"},                                                        // of the store: compared, named, or told at the start only
		[]string{"redirected to another host"}, // an error to compare, told by source.verdict
		[]string{"balancer proxy %s", "look for", "verify route", "observe route", "open balancer", "ask proxy", "read route", "start proxy", "await proxy", "find route", "sign in", "take command", "read command"},                                                           // operations within others: the log tells them
		[]string{`[APP] [REF] [to ENV] [--without HOST] [--force "why"]`, `[APP] [ENV] [to RELEASE] [--without HOST] [--force "why"]`, `#ID "why"`, `[APP] [ENV] "reason" [for 2h]`, "shop production", "[HOST…] [APP] [ENV] [--without HOST]", "[APP] [ENV] [--without HOST]"}, // what to type
	)
}

func catalogue(t *testing.T) []phrase.Pair {
	t.Helper()
	pairs, err := phrase.Pairs()
	if err != nil {
		t.Fatal(err)
	}
	return pairs
}

func TestEveryTextForPeopleIsInTheCatalogue(t *testing.T) {
	whole, pieced := map[string]bool{}, []string{}
	for _, p := range catalogue(t) {
		whole[p.Format] = true
		if p.Section == "titles" {
			whole["· "+p.Format] = true
		}
		if p.Pieces {
			pieced = append(pieced, p.Format)
		}
	}
	missing := map[string]bool{}
	for _, f := range sources(t) {
		for _, l := range literals(f) {
			known := whole[l.format] || slices.Contains(noTexts(), l.format) || missing[l.format] ||
				slices.ContainsFunc(pieced, func(p string) bool { return strings.Contains(p, l.format) })
			if prose(l) && !known {
				missing[l.format] = true
				t.Errorf("%s: no translation in bot/phrase/zh for\n\t%s", l.at, l.format)
			}
		}
	}
}

func TestEveryEntryOfTheCatalogueIsStillSaid(t *testing.T) {
	said := map[string]bool{}
	var all []string
	for _, f := range sources(t) {
		for _, l := range literals(f) {
			if !said[l.format] {
				said[l.format] = true
				all = append(all, l.format)
			}
		}
	}
	for _, p := range catalogue(t) {
		used := said[p.Format] || p.Section == "titles" && said["· "+p.Format]
		if p.Pieces {
			used = slices.ContainsFunc(all, func(l string) bool {
				return len(l) > 3 && (strings.Contains(p.Format, l) || strings.Contains(l, p.Format))
			})
		}
		if !used {
			t.Errorf("bot/phrase/%s: nothing says this any more, delete it:\n\t%s", p.At, p.Format)
		}
	}
	for _, format := range noTexts() {
		if !said[format] {
			t.Errorf("noTexts lists %q, which is not in the code", format)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(silent())) {
		if _, err := os.Stat(filepath.Join("..", "..", p)); err != nil {
			t.Errorf("silent lists %s: %v", p, err)
		}
	}
}

// What a deploy can be, do and be asked for is named in the language's constants.
func TestEveryStateOperationAndLabelIsInTheCatalogue(t *testing.T) {
	words := map[string]map[string]bool{}
	for _, p := range catalogue(t) {
		if words[p.Section] == nil {
			words[p.Section] = map[string]bool{}
		}
		words[p.Section][p.Format] = true
	}
	for _, f := range sources(t) {
		if !strings.HasPrefix(f.path, "deploy/") {
			continue
		}
		for _, c := range []struct{ kind, section string }{
			{"Phase", "states"}, {"Ending", "states"}, {"Op", "operations"}, {"Slot", "slots"}, {"Want", "parts"},
		} {
			for _, value := range constants(f, c.kind) {
				if !words[c.section][value] {
					t.Errorf("%s: the %s %q has no translation in [%s]", f.path, c.kind, value, c.section)
				}
			}
		}
		for _, value := range slices.Concat(returned(f, "status"), returned(f, "outcome")) {
			if !words["states"][value] {
				t.Errorf("%s: the status %q has no translation in [states]", f.path, value)
			}
		}
		for _, value := range returned(f, "label") {
			if !words["labels"][value] {
				t.Errorf("%s: the label %q has no translation in [labels]", f.path, value)
			}
		}
	}
}

// constants gives the values of the constants of a type.
func constants(f source, kind string) []string {
	var out []string
	ast.Inspect(f.ast, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == kind {
			for _, v := range spec.Values {
				if s, ok := stringOf(v); ok && s != "" {
					out = append(out, s)
				}
			}
		}
		return true
	})
	return out
}

// returned gives the literals that a function returns.
func returned(f source, name string) []string {
	var out []string
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if fn, ok := n.(*ast.FuncDecl); ok && (fn.Name.Name != name || fn.Recv != nil) {
			return false
		}
		r, ok := n.(*ast.ReturnStmt)
		if !ok || len(r.Results) != 1 {
			return true
		}
		if format, ok := folded(r.Results[0]); ok {
			out = append(out, format)
		}
		return true
	})
	return out
}

// A translation names every argument of its format once; a quoted text or a
// number stays one, so its kind in the translation is plain.
func TestATranslationTakesTheArgumentsOfItsFormat(t *testing.T) {
	named := regexp.MustCompile(`%([*@#~^&$!>]?)(\d+)`)
	for _, p := range catalogue(t) {
		var letters []string
		for _, m := range anyVerb.FindAllStringSubmatch(p.Format, -1) {
			if m[2] != "%" {
				letters = append(letters, m[2])
			}
		}
		seen := map[string]int{}
		for _, m := range named.FindAllStringSubmatch(p.Said, -1) {
			seen[m[2]]++
			n := int(m[2][0] - '1')
			if len(m[2]) > 1 || n < 0 || n >= len(letters) {
				t.Errorf("%s: %q has no argument %s", p.At, p.Format, m[0])
			} else if m[1] != "" && !strings.Contains("sv", letters[n]) {
				t.Errorf("%s: %q: argument %%%s of the translation is a text, but %%%s in the format", p.At, p.Format, m[0], letters[n])
			}
		}
		if len(seen) != len(letters) {
			t.Errorf("%s: %q has %d arguments, its translation %d", p.At, p.Format, len(letters), len(seen))
		}
	}
}

func TestATranslationKeepsWhatIsTypedAndAddsNoMarkup(t *testing.T) {
	number := regexp.MustCompile(`%[*@#~^&$!>]?\d`)
	for _, p := range catalogue(t) {
		typed := func(s string, verb *regexp.Regexp) []string {
			return typedCommand.FindAllString(verb.ReplaceAllString(s, "%"), -1)
		}
		if en, zh := typed(p.Format, anyVerb), typed(p.Said, number); !slices.Equal(sorted(en), sorted(zh)) {
			t.Errorf("%s: typed is %q, in the translation %q", p.At, en, zh)
		}
		said := number.ReplaceAllString(p.Said, "%")
		for _, mark := range []string{"<", ">", "@", "[", "](", "*", "_", "~", "|", "`"} {
			if strings.Count(said, mark) > strings.Count(p.Format, mark) {
				t.Errorf("%s: the translation of %q adds %q", p.At, p.Format, mark)
			}
		}
	}
}

func sorted(in []string) []string {
	slices.Sort(in)
	return in
}

func TestAFormatStandsOnceInTheCatalogue(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range catalogue(t) {
		key := p.Section + " " + p.Format
		if seen[key] {
			t.Errorf("%s: [%s] has %q twice", p.At, p.Section, p.Format)
		}
		seen[key] = true
	}
}
