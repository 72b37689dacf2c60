package script

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"ipublish/deployer/runtime/process"
)

// hazard is a thing that a start or stop program must not do.
type hazard int

// The hazards, the worst first.
const (
	traffic hazard = iota
	kill
	waiting
	hazards
)

var (
	hardKill   = regexp.MustCompile(`\b(?:kill|pkill|killall)\s+-(?:9|KILL|SIGKILL|s\s*(?:9|KILL|SIGKILL))\b`)
	fixedWait  = regexp.MustCompile(`\bsleep\s+["']?(?:[2-9]|[1-9]\d+|\d+(?:\.\d+)?[mhd]|\$)`)
	statusFile = regexp.MustCompile(`(?i)(?:^|/)(?:nginx[-_]?status|status|health(?:[-_]?check)?|heartbeat|alive|online|ok|slb)(?:[-_.][^/]*)?$`)
	goesOnline = regexp.MustCompile(`(?i)^(?:.*[-_])?(?:online|offline)(?:[-_].*)?$`)
	starter    = regexp.MustCompile(`/[^\s"';&|)]+/(?:startup|catalina|start|run|boot)[\w.-]*\.sh`)
)

// in reports whether a line does it.
func (h hazard) in(text string) bool {
	switch h {
	case traffic:
		return slices.ContainsFunc(commands(text), touchesTraffic)
	case kill:
		return hardKill.MatchString(text)
	default:
		return fixedWait.MatchString(text)
	}
}

func touchesTraffic(words []string) bool {
	if inner := runs(words); len(inner) > 0 {
		words = inner
	}
	name, rest := path.Base(words[0]), words[1:]
	switch name {
	case "touch", "rm", "mv", "cp", "ln", "unlink", "tee", "install":
		return slices.ContainsFunc(rest, statusFile.MatchString)
	case "echo", "printf", "cat", ":":
		at := slices.IndexFunc(rest, func(w string) bool { return strings.Contains(w, ">") })
		return at >= 0 && statusFile.MatchString(strings.TrimLeft(strings.Join(rest[at:], ""), ">"))
	case "nginx":
		return slices.Contains(rest, "-s")
	case "systemctl", "service":
		return slices.Contains(rest, "nginx")
	case "function":
		return false
	}
	return goesOnline.MatchString(strings.TrimSuffix(name, ".sh")) || len(rest) > 0 && strings.HasSuffix(name, ".sh") && goesOnline.MatchString(rest[0])
}

// reader judges the programs of a section by their texts.
type reader struct{ texts map[string]string }

func (r reader) add(texts map[string]string) {
	for file, text := range texts {
		if _, ok := r.texts[file]; !ok {
			r.texts[file] = text
		}
	}
}

// scriptOf finds the script in an argv, with the arguments that it gets.
func (r reader) scriptOf(argv []string) (outline, bool) {
	for n, word := range argv {
		if text, ok := r.texts[word]; ok {
			return outlineOf(word, text, argv[n+1:]), true
		}
	}
	return outline{}, false
}

// ofTomcat: Tomcat's own programs do what they should; -force of them is seen in
// the argv.
func ofTomcat(file, text string) bool {
	return slices.Contains([]string{"catalina.sh", "startup.sh", "shutdown.sh"}, path.Base(file)) && strings.Contains(text, "catalina")
}

// mentioned are the files that the scripts run or read in.
func (r reader) mentioned(s settings) []string {
	var all []string
	for _, argv := range [][]string{s.Start, s.Stop} {
		o, ok := r.scriptOf(argv)
		if !ok || ofTomcat(o.file, r.texts[o.file]) {
			continue
		}
		for _, l := range o.reached() {
			for _, words := range commands(l.text) {
				all = append(all, runs(words)...)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// runs is the script that a command runs or reads in, with its arguments.
func runs(words []string) []string {
	for n, word := range words {
		if n == 0 && (path.Base(word) == "sh" || path.Base(word) == "bash" || word == "." || word == "source") || strings.HasPrefix(word, "-") {
			continue
		}
		if !strings.HasPrefix(word, "/") || strings.ContainsAny(word, "$*?<>") || n == 0 && !strings.HasSuffix(word, ".sh") {
			return nil
		}
		return words[n:]
	}
	return nil
}

// place is where a hazard was found.
type place struct {
	file string
	line
}

// find looks for a hazard in what a program comes through, then in what that
// runs or reads in.
func (r reader) find(h hazard, argv []string) (place, bool) {
	o, ok := r.scriptOf(argv)
	if !ok || ofTomcat(o.file, r.texts[o.file]) {
		return place{}, false
	}
	reached := o.reached()
	calls := place{}
	for _, l := range reached {
		switch {
		case !h.in(l.text):
		case h == traffic && calls.file == "" && len(o.functions[firstWord(l.text)]) > 0:
			calls = place{o.file, l}
		default:
			return place{o.file, l}, true
		}
	}
	for _, l := range reached {
		for _, words := range commands(l.text) {
			if p, ok := r.follow(h, o, runs(words)); ok {
				return p, true
			}
		}
	}
	return calls, calls.file != ""
}

func (r reader) follow(h hazard, from outline, argv []string) (place, bool) {
	if len(argv) == 0 || argv[0] == from.file {
		return place{}, false
	}
	text, ok := r.texts[argv[0]]
	if !ok || ofTomcat(argv[0], text) {
		return place{}, false
	}
	for _, l := range outlineOf(argv[0], text, argv[1:]).reached() {
		if h.in(l.text) {
			return place{argv[0], l}, true
		}
	}
	return place{}, false
}

func firstWord(text string) string {
	if all := commands(text); len(all) > 0 {
		return all[0][0]
	}
	return ""
}

// advice is a sentence for each hazard of start and of stop.
func (r reader) advice(s settings) []string {
	var out []string
	for h := range hazards {
		if p, ok := r.find(h, s.Start); ok {
			out = append(out, r.aboutStart(h, s.Start, p))
		}
		if p, ok := r.find(h, s.Stop); ok {
			out = append(out, aboutStop(h, s.Stop, p))
		}
	}
	if len(s.Stop) > 0 && slices.Contains(s.Stop[1:], "-force") {
		out = append(out, fmt.Sprintf("runtime.script.stop: `%s` kills by -force, though stop_timeout may not have passed and requests be in flight: leave stop out, and the process of pid_file gets SIGTERM and all of stop_timeout", words(s.Stop)))
	}
	return out
}

func (r reader) aboutStart(h hazard, argv []string, p place) string {
	inner := r.inner(argv)
	switch {
	case h == traffic && inner != "":
		return fmt.Sprintf("runtime.script.start: `%s` also changes who receives traffic (%s line %d: `%s`), which is ipublish's to do once the check has passed: configure its inner part, start: [%s]", words(argv), p.file, p.number, shown(p), inner)
	case h == traffic:
		return fmt.Sprintf("runtime.script.start: `%s` also changes who receives traffic (%s line %d: `%s`), which is ipublish's to do once the check has passed: configure the program within it that only starts the application", words(argv), p.file, p.number, shown(p))
	case h == kill:
		return fmt.Sprintf("runtime.script.start: `%s` kills without waiting (%s line %d: `%s`): ipublish stops the old process before, so configure the program within it that only starts the application", words(argv), p.file, p.number, shown(p))
	default:
		return fmt.Sprintf("runtime.script.start: `%s` waits for a fixed time (%s line %d: `%s`), on every host of every release: ipublish looks instead, so configure the program within it that only starts the application", words(argv), p.file, p.number, shown(p))
	}
}

func aboutStop(h hazard, argv []string, p place) string {
	switch h {
	case traffic:
		return fmt.Sprintf("runtime.script.stop: `%s` also changes who receives traffic (%s line %d: `%s`), which is ipublish's to do before: leave stop out, and the process of pid_file gets SIGTERM and all of stop_timeout", words(argv), p.file, p.number, shown(p))
	case kill:
		return fmt.Sprintf("runtime.script.stop: `%s` kills without waiting (%s line %d: `%s`), though requests may be in flight: leave stop out, and the process of pid_file gets SIGTERM and all of stop_timeout", words(argv), p.file, p.number, shown(p))
	default:
		return fmt.Sprintf("runtime.script.stop: `%s` waits for a fixed time (%s line %d: `%s`), on every host of every release: leave stop out, and ipublish looks until the process is gone", words(argv), p.file, p.number, shown(p))
	}
}

// inner is the argv of the program within a script that starts the application;
// "" if there seems to be none.
func (r reader) inner(argv []string) string {
	o, ok := r.scriptOf(argv)
	if !ok {
		return ""
	}
	for _, l := range o.reached() {
		found := starter.FindString(l.text)
		switch {
		case found == "" || found == o.file || strings.Contains(found, "$"):
		case path.Base(found) == "catalina.sh":
			return words([]string{found + ",", "start"})
		default:
			return found
		}
	}
	return ""
}

func words(argv []string) string { return process.Printable(strings.Join(argv, " "), 120) }

func shown(p place) string { return process.Printable(strings.ReplaceAll(p.raw, "`", "'"), 80) }
