package script

import (
	"encoding/json"
	"path"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer/runtime/process"
)

type settings struct {
	Start   []string        `json:"start"`
	Stop    []string        `json:"stop"`
	PIDFile string          `json:"pid_file"`
	Log     string          `json:"log"`
	Install json.RawMessage `json:"install"`
	Dir     string          `json:"dir"`
	RunAs   string          `json:"run_as"`

	installs []install
}

// install is one place that the release goes to.
type install struct {
	From  string   `json:"from"`
	To    string   `json:"to"`
	Clear []string `json:"clear"`
}

func decode(raw json.RawMessage) (settings, error) {
	var s settings
	if err := process.Decode("script", raw, &s); err != nil {
		return s, err
	}
	var places []json.RawMessage
	if len(s.Install) > 0 && json.Unmarshal(s.Install, &places) != nil {
		return s, process.Invalid("script", "install", "it has to be a list, such as [{to: /opt/app/webapps/ROOT.war}]")
	}
	for _, place := range places {
		var i install
		if err := process.Decode("script.install", place, &i); err != nil {
			return s, err
		}
		s.installs = append(s.installs, i)
	}
	return s, s.validate()
}

// example stands for any step where only the form of a path is judged.
var example = deploy.Step{Slot: deploy.Main, Port: 1, Dir: "/releases/dir", Home: "/releases/home",
	Release: deploy.Release{Commit: deploy.Commit{SHA: strings.Repeat("0", 40)}}}

func (s settings) validate() error {
	s = s.expand(example)
	switch {
	case len(s.Start) == 0 || !program(s.Start):
		return process.Invalid("script", "start", "it has to name the program that starts the application, with its whole path, such as [/opt/app/bin/startup.sh]")
	case len(s.Stop) > 0 && !program(s.Stop):
		return process.Invalid("script", "stop", "it has to name the program that stops the application, with its whole path, or be left out: then its process gets SIGTERM")
	case !file(s.PIDFile):
		return process.Invalid("script", "pid_file", "it has to be the whole path of the file that start writes the application's pid into, such as /opt/app/app.pid")
	case s.Log != "" && !file(s.Log):
		return process.Invalid("script", "log", "it has to be the whole path of a file, such as /opt/app/logs/catalina.out")
	case s.Dir != "" && !plain(s.Dir):
		return process.Invalid("script", "dir", "it has to be the whole path of a folder, such as /opt/app")
	}
	for _, i := range s.installs {
		if err := i.validate(s); err != nil {
			return err
		}
	}
	return process.CheckUser("script", s.RunAs)
}

func (i install) validate(s settings) error {
	if !deep(i.To) {
		return process.Invalid("script", "install.to", "it has to be a whole path at least two folders deep, such as /opt/app/webapps/ROOT.war")
	}
	if i.From != "" && (path.Clean(i.From) != i.From || strings.HasPrefix(i.From, "/") || strings.HasPrefix(i.From, "..") || control(i.From)) {
		return process.Invalid("script", "install.from", "it has to be a path within the release, such as target/shop.war")
	}
	for _, gone := range i.Clear {
		if !deep(gone) {
			return process.Invalid("script", "install.clear", "it has to be a whole path at least two folders deep, such as /opt/app/work/Catalina")
		}
		if held := s.heldBy(gone); held != "" {
			return process.Invalid("script", "install.clear", gone+" holds "+held+", which has to stay")
		}
	}
	return nil
}

// heldBy is what a path to be cleared would take with it; "" is nothing.
func (s settings) heldBy(gone string) string {
	keep := []string{s.Start[0], s.Dir, example.Dir, example.Home}
	if len(s.Stop) > 0 {
		keep = append(keep, s.Stop[0])
	}
	for _, i := range s.installs {
		keep = append(keep, i.To)
	}
	for _, k := range keep {
		if k == gone || strings.HasPrefix(k, gone+"/") {
			return k
		}
	}
	return ""
}

// expand returns the settings for one slot.
func (s settings) expand(step deploy.Step) settings {
	r := step.Replacer()
	s.Start, s.Stop = process.ExpandAll(s.Start, step), process.ExpandAll(s.Stop, step)
	s.PIDFile, s.Log, s.Dir = r.Replace(s.PIDFile), r.Replace(s.Log), r.Replace(s.Dir)
	places := make([]install, len(s.installs))
	for n, i := range s.installs {
		places[n] = install{From: r.Replace(i.From), To: r.Replace(i.To), Clear: process.ExpandAll(i.Clear, step)}
	}
	s.installs = places
	return s
}

// apart refuses what two slots of one host would share.
func (s settings) apart(step deploy.Step) error {
	if step.Slot == deploy.Main {
		return nil
	}
	shared := []string{s.PIDFile}
	for _, i := range s.installs {
		shared = append(append(shared, i.To), i.Clear...)
	}
	for _, p := range shared {
		if !strings.Contains(p, "{port}") && !strings.Contains(p, "{slot}") && !strings.Contains(p, "{home}") {
			return process.Fault(step, "start", deploy.CodeInvalid, "runtime.script: both slots would share "+p+": put {port}, {slot} or {home} in")
		}
	}
	return nil
}

// folder is where a program works.
func (s settings) folder(argv []string) string {
	if s.Dir != "" {
		return s.Dir
	}
	return path.Dir("/" + strings.TrimPrefix(argv[0], "/"))
}

// program: a whole path, or a name that is looked up on the PATH.
func program(argv []string) bool {
	for _, word := range argv {
		if strings.ContainsRune(word, 0) {
			return false
		}
	}
	return argv[0] != "" && (plain(argv[0]) || !strings.Contains(argv[0], "/"))
}

func plain(p string) bool { return strings.HasPrefix(p, "/") && path.Clean(p) == p && !control(p) }

func file(p string) bool { return plain(p) && p != "/" }

func deep(p string) bool { return plain(p) && strings.Count(p, "/") > 1 }

func control(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}
