package bot

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"ipublish/deploy"
)

var update = flag.Bool("update", false, "write what Parse says into testdata")

func parsedText(p Parsed, err error) string {
	if err != nil {
		return string(deploy.CodeOf(err)) + ": " + deploy.MessageOf(err)
	}
	parts := []string{string(p.Verb)}
	add := func(name string, v any) {
		if !reflect.ValueOf(v).IsZero() {
			parts = append(parts, fmt.Sprintf("%s=%v", name, v))
		}
	}
	add("hosts", p.Hosts)
	add("targets", p.Targets)
	add("named", p.Named)
	add("ref", p.Ref)
	add("without", p.Without)
	add("release", p.Release)
	add("id", p.ID)
	add("why", fmt.Sprintf("%q", p.Why)[1:len(fmt.Sprintf("%q", p.Why))-1])
	add("reason", p.Reason)
	add("for", p.For)
	add("force", p.Force)
	add("n", p.Limit)
	add("topic", p.Topic)
	return strings.Join(parts, " ")
}

func testScope(bound string) Scope {
	return boundTo(testConfig().scope(""), bound)
}

func boundTo(s Scope, bound string) Scope {
	if bound != "" {
		t, err := deploy.ParseTarget(bound)
		if err != nil {
			panic(err)
		}
		s.Bound = []deploy.Target{t}
	}
	return s
}

// testdata/commands.txt holds blocks of "[bound channel] > command" and the answer.
func TestCommandsAreUnderstoodAsWritten(t *testing.T) {
	understoodAsWritten(t, "testdata/commands.txt", 60, testScope)
}

// testdata/hosts.txt holds the same for environments that fleetConfig has.
func TestCommandsAboutHostsAreUnderstoodAsWritten(t *testing.T) {
	understoodAsWritten(t, "testdata/hosts.txt", 60, func(bound string) Scope { return boundTo(fleetConfig().scope(""), bound) })
}

func understoodAsWritten(t *testing.T, file string, least int, scope func(bound string) Scope) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	commands := 0
	for line := range strings.Lines(string(raw)) {
		bound, command, ok := strings.Cut(strings.TrimRight(line, "\n"), "> ")
		if !ok || strings.HasPrefix(line, "    ") {
			if strings.HasPrefix(line, "#") || line == "\n" {
				got.WriteString(line)
			}
			continue
		}
		commands++
		p, err := Parse(command, scope(strings.TrimSpace(bound)))
		fmt.Fprintf(&got, "%s    %s\n", line, parsedText(p, err))
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if commands < least {
		t.Fatalf("only %d commands were read", commands)
	}
	if got.String() != string(raw) {
		t.Errorf("understood differently:\n%s", differing(string(raw), got.String()))
	}
}

func differing(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out []string
	for i := range max(len(a), len(b)) {
		x, y := at(a, i), at(b, i)
		if x != y {
			out = append(out, fmt.Sprintf("line %d\n want %s\n got  %s", i+1, x, y))
		}
	}
	return strings.Join(out, "\n")
}

func at(s []string, i int) string {
	if i < len(s) {
		return s[i]
	}
	return ""
}

func TestEveryVerbIsParsedAuthorisedAndExplained(t *testing.T) {
	for _, v := range Verbs() {
		g, ok := grammarOf(v)
		if !ok || g.about == "" {
			t.Errorf("%s has no explanation", v)
		}
		if p, err := Parse("help "+string(v), testScope("")); err != nil || p.Topic != v {
			t.Errorf("help %s gives %+v, %v", v, p, err)
		}
		if !strings.Contains(help(""), g.usage()) || !strings.Contains(help(v), g.about) {
			t.Errorf("help does not tell of %s", v)
		}
	}
}

func TestAnOnlyEnvironmentNeedNotBeNamed(t *testing.T) {
	one := Scope{Apps: testConfig().Apps[1:]}
	p, err := Parse("deploy", one)
	if err != nil || p.Target() != apiProd || p.Named {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestWithoutAnyAppThePersonIsToldToConfigureOne(t *testing.T) {
	if _, err := Parse("deploy", Scope{}); !strings.Contains(deploy.MessageOf(err), "ipublish.yaml") {
		t.Errorf("got %v", err)
	}
}

func TestTooLongACommandIsRefused(t *testing.T) {
	if _, err := Parse("deploy "+strings.Repeat("x", maxText), testScope("")); deploy.CodeOf(err) != deploy.CodeInvalid {
		t.Errorf("got %v", err)
	}
}

func TestJoinedWordsAreReadAsTheSameWords(t *testing.T) {
	lists := [][]string{
		{"deploy", "shop", "--force", `he said "go" \ now`},
		{"abandon", "#3", "it doesn't work", ""},
		{"a“b c”d", "'quoted'", `\`, `back\\slash "x"`},
		{"lock", "api", "it's", "“数据库", "x=“y”"},
	}
	for _, words := range lists {
		got, err := split(Join(words))
		if err != nil || !slices.Equal(texts(got), words) {
			t.Errorf("%q became %q, %v", words, texts(got), err)
		}
	}
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) })
}

func FuzzParseNeverPanicsAndYieldsCleanWords(f *testing.F) {
	raw, err := os.ReadFile("testdata/commands.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if _, command, ok := strings.Cut(line, "> "); ok {
			f.Add(command)
		}
	}
	f.Add("deploy \x1b]52;c;aGk=\x07 \u202e main\r\nX: y")
	f.Add("abandon #1 \"\xff\xfe\"")
	f.Add("lock \"<!channel> @all\n\u202e[x](http://y) `z`\" for 99999999999999999999d1s")
	f.Add("offline WEB-[1-2],web-3 --without web-[001-999999]")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := Parse(text, fleetConfig().scope("")); err != nil && (deploy.CodeOf(err) != deploy.CodeInvalid || hasControl(deploy.MessageOf(err))) {
			t.Fatalf("%q is refused with %q", text, err)
		}
		p, err := Parse(text, testScope("shop/production"))
		if err != nil {
			if deploy.CodeOf(err) != deploy.CodeInvalid || hasControl(deploy.MessageOf(err)) {
				t.Fatalf("%q is refused with %q", text, err)
			}
			return
		}
		for _, w := range []string{p.Ref, p.Release, p.Why, p.Force, p.Reason, string(p.Verb), string(p.Topic)} {
			if hasControl(w) {
				t.Fatalf("%q yields the word %q", text, w)
			}
		}
		if lock := p.Verb == VerbLock; lock != (p.Reason != "") || len([]rune(p.Reason)) > maxReason || p.For < 0 || p.For.D() > longestLock || !lock && p.For != 0 {
			t.Fatalf("%q locks for %s: %q", text, p.For, p.Reason)
		}
		if strings.HasPrefix(p.Ref, "-") {
			t.Fatalf("%q yields the ref %q", text, p.Ref)
		}
		g, ok := grammarOf(p.Verb)
		if !ok || g.places == placeOne && len(p.Targets) != 1 {
			t.Fatalf("%q yields %+v", text, p)
		}
	})
}
