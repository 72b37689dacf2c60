package script

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// outline is what a shell script's text does, as far as its lines tell: a reader's
// guess that is good enough for advice, never for a decision.
type outline struct {
	file      string
	functions map[string][]line
	main      []line
	values    map[string]string // of variables
}

// line is one of a script, with what is known of variables put in.
type line struct {
	number int
	raw    string
	text   string
}

var (
	functionHead = regexp.MustCompile(`^(?:function\s+)?([A-Za-z_][\w.-]*)\s*\(\s*\)|^function\s+([A-Za-z_][\w.-]*)`)
	assignment   = regexp.MustCompile(`^(?:export\s+|readonly\s+|local\s+)?([A-Za-z_]\w*)=("[^"]*"|'[^']*'|[^\s;]*)`)
	variableUse  = regexp.MustCompile(`\$\{(\w+)(?::-[^}]*)?\}|\$(\w+)`)
	ownFolder    = regexp.MustCompile("\\$\\(\\s*cd\\s+\"?\\$\\(dirname \"?\\$\\{?0\\}?\"?\\)\"?\\s*(?:&&|;)\\s*pwd\\s*\\)|\\$\\(dirname \"?\\$\\{?0\\}?\"?\\)|`dirname \"?\\$\\{?0\\}?\"?`|\\$\\{0%/\\*\\}")
	caseHead     = regexp.MustCompile(`^case\s.*\sin\b`)
	armHead      = regexp.MustCompile(`^\(?\s*([\w"'*?.|\s-]+)\)`)
	testHead     = regexp.MustCompile(`^(?:if|elif)\s+(?:\[\[?|test)\s+["']?([\w-]+)["']?\s*==?\s*["']?([\w-]+)["']?`)
)

// outlineOf reads a script that is called with arguments, the first of which
// often says which of its parts is meant.
func outlineOf(file, text string, args []string) outline {
	o := outline{file: file, functions: map[string][]line{}, values: map[string]string{"0": file}}
	verb := ""
	if len(args) > 0 {
		verb = args[0]
		o.values["1"] = verb
	}
	name, depth := "", 0
	for n, raw := range strings.Split(text, "\n") {
		l := line{number: n + 1, raw: strings.TrimSpace(raw), text: o.known(uncommented(raw))}
		o.note(l.text)
		head := functionHead.FindStringSubmatch(l.text)
		switch {
		case depth == 0 && head != nil:
			name = head[1] + head[2]
			o.functions[name] = append(o.functions[name], line{l.number, l.raw, strings.TrimPrefix(l.text, head[0])})
			depth = 1
			if strings.HasSuffix(l.text, "}") {
				depth = 0
			}
		case depth > 0:
			depth += braces(l.text)
			o.functions[name] = append(o.functions[name], l)
		default:
			o.main = append(o.main, l)
		}
	}
	o.main = meant(o.main, verb)
	for name, body := range o.functions {
		o.functions[name] = meant(body, verb)
	}
	return o
}

// braces is by how much a line of a function deepens it.
func braces(text string) int {
	n := 0
	if strings.HasSuffix(text, "{") && text != "{" {
		n++
	}
	if strings.HasPrefix(text, "}") {
		n--
	}
	return n
}

func uncommented(raw string) string {
	text := strings.TrimSpace(raw)
	if strings.HasPrefix(text, "#") {
		return ""
	}
	for _, sign := range []string{" #", "\t#"} {
		if at := strings.LastIndex(text, sign); at >= 0 && strings.Count(text[:at], `"`)%2 == 0 && strings.Count(text[:at], "'")%2 == 0 {
			text = strings.TrimSpace(text[:at])
		}
	}
	return text
}

// known puts the values of variables in.
func (o outline) known(text string) string {
	text = ownFolder.ReplaceAllLiteralString(text, path.Dir(o.file))
	return variableUse.ReplaceAllStringFunc(text, func(use string) string {
		if value, ok := o.values[strings.Trim(strings.SplitN(use, ":-", 2)[0], "${}")]; ok {
			return value
		}
		return use
	})
}

// note remembers what a line gives to a variable.
func (o outline) note(text string) {
	if m := assignment.FindStringSubmatch(text); m != nil && !strings.ContainsAny(m[2], "`(") {
		o.values[m[1]] = strings.Trim(m[2], `"'`)
	}
}

// meant leaves out the arms of a case, and of tests, that are for other verbs,
// where there is one for this verb.
func meant(all []line, verb string) []line {
	s := sieve{verb: verb}
	var out []line
	for _, l := range all {
		if verbs := s.next(l.text); verbs == nil || slices.Contains(verbs, verb) {
			out = append(out, l)
		}
	}
	if verb == "" || !s.found {
		return all
	}
	return out
}

// sieve tells line by line which verbs it is for.
type sieve struct {
	verb  string
	found bool     // there was an arm for verb
	arm   []string // the verbs of the arm that the last line was in; nil is all
	cases int      // open case commands
	tests int      // open if commands, once one of them tests the verb
}

func (s *sieve) next(text string) []string {
	switch {
	case s.tests == 0 && (s.cases > 0 || caseHead.MatchString(text)):
		return s.inCase(text)
	case s.tests > 0 || s.tested(text) != "":
		return s.inTest(text)
	}
	return nil
}

func (s *sieve) inCase(text string) []string {
	switch {
	case caseHead.MatchString(text) && strings.HasSuffix(text, "esac"):
		return s.arm
	case caseHead.MatchString(text):
		s.cases++
		return s.arm
	case strings.HasPrefix(text, "esac"):
		if s.cases--; s.cases == 0 {
			s.arm = nil
		}
		return s.arm
	case s.cases > 1:
		return s.arm
	}
	if m := armHead.FindStringSubmatch(text); m != nil && s.arm == nil {
		s.enter(patterns(m[1]))
	}
	arm := s.arm
	if strings.HasSuffix(text, ";;") {
		s.arm = nil
	}
	return arm
}

func (s *sieve) inTest(text string) []string {
	switch verb := s.tested(text); {
	case s.tests <= 1 && verb != "":
		s.tests = 1
		s.enter([]string{verb})
	case s.tests == 1 && (strings.HasPrefix(text, "else") || strings.HasPrefix(text, "elif ")):
		s.arm = []string{}
	case strings.HasPrefix(text, "if ") && !strings.HasSuffix(text, "fi"):
		s.tests++
	case text == "fi" || strings.HasPrefix(text, "fi ") || strings.HasPrefix(text, "fi;"):
		if s.tests--; s.tests == 0 {
			s.arm = nil
		}
	}
	return s.arm
}

func (s *sieve) enter(verbs []string) {
	s.arm = verbs
	s.found = s.found || slices.Contains(verbs, s.verb)
}

// tested is the verb that an if or elif compares the script's own with.
func (s *sieve) tested(text string) string {
	m := testHead.FindStringSubmatch(text)
	if m == nil || s.verb == "" || m[1] != s.verb || (s.tests > 0 && !strings.HasPrefix(text, "elif")) {
		return ""
	}
	return m[2]
}

func patterns(text string) []string {
	out := []string{}
	for _, p := range strings.Split(text, "|") {
		out = append(out, strings.Trim(strings.TrimSpace(p), `"'`))
	}
	return out
}

// breaks are where another command begins within a line.
var breaks = regexp.MustCompile("[;&|(){}`]+|(?:^|\\s)(?:then|do|else|if|elif|while|until|!|exec|nohup|sudo|time)(?:\\s|$)")

// commands are the words of each command of a line.
func commands(text string) [][]string {
	var out [][]string
	for _, piece := range breaks.Split(strings.NewReplacer("$(", "(").Replace(text), -1) {
		words := strings.Fields(piece)
		for n := range words {
			words[n] = strings.Trim(words[n], `"'`)
		}
		for len(words) > 0 && assignment.MatchString(words[0]) {
			words = words[1:]
		}
		if len(words) > 0 {
			out = append(out, words)
		}
	}
	return out
}

// reached are the lines that a run comes through: the main ones and those of the
// functions that are called on the way, each once.
func (o outline) reached() []line {
	var out []line
	seen := map[string]bool{}
	var walk func([]line)
	walk = func(lines []line) {
		for _, l := range lines {
			out = append(out, l)
			for _, words := range commands(l.text) {
				if body, ok := o.functions[words[0]]; ok && !seen[words[0]] {
					seen[words[0]] = true
					walk(body)
				}
			}
		}
	}
	walk(o.main)
	return out
}
