package tomcat

import (
	"encoding/json"
	"path"
	"regexp"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer/runtime/process"
)

type settings struct {
	Home         string   `json:"home"`
	Base         string   `json:"base"`
	Context      string   `json:"context"`
	JavaHome     string   `json:"java_home"`
	JVMOptions   []string `json:"jvm_options"`
	Conf         string   `json:"conf"`
	ShutdownPort int      `json:"shutdown_port"`
	Sessions     string   `json:"sessions"`
	RunAs        string   `json:"run_as"`

	Supervisor process.Supervisor `json:"supervisor"`
}

// What becomes of the users' sessions when a release takes over.
const (
	sessionsLost     = "lost"
	sessionsExternal = "external"
)

func decode(raw json.RawMessage) (settings, error) {
	s := settings{Home: "/usr/share/tomcat10", Base: "{home}/base", Context: "ROOT", ShutdownPort: -1, Sessions: sessionsLost}
	if err := process.Decode("tomcat", raw, &s); err != nil {
		return s, err
	}
	var err error
	if s.Supervisor, err = process.CheckSupervisor("tomcat", s.Supervisor); err != nil {
		return s, err
	}
	return s, s.validate()
}

func (s settings) validate() error {
	switch {
	case !strings.HasPrefix(s.Home, "/"):
		return process.Invalid("tomcat", "home", "it has to be an absolute path, such as /usr/share/tomcat10")
	case !slotted(s.Base):
		return process.Invalid("tomcat", "base", "both slots would share it: put {port}, {slot} or {home} in, such as /srv/shop-{port}")
	case !strings.HasPrefix(s.Base, "/") && !strings.HasPrefix(s.Base, "{home}"):
		return process.Invalid("tomcat", "base", "it has to be an absolute path, such as /srv/shop-{port}")
	case !contextName(s.Context):
		return process.Invalid("tomcat", "context", "it has to be a name under webapps, without a slash: ROOT for /, shop for /shop, a#b for /a/b")
	case s.ShutdownPort != -1:
		return process.Invalid("tomcat", "shutdown_port", "both slots would share it: it has to be -1, and a stop is by SIGTERM")
	case s.Sessions != sessionsLost && s.Sessions != sessionsExternal:
		return process.Invalid("tomcat", "sessions", "it has to be lost, or external where the application keeps them outside of Tomcat")
	}
	for _, option := range s.JVMOptions {
		if fault := optionFault(option); fault != "" {
			return process.Invalid("tomcat", "jvm_options", option+": "+fault)
		}
	}
	return process.CheckUser("tomcat", s.RunAs)
}

func slotted(text string) bool {
	return strings.Contains(text, "{port}") || strings.Contains(text, "{slot}") || strings.Contains(text, "{home}")
}

func contextName(name string) bool {
	ok, err := regexp.MatchString(`^[A-Za-z0-9_][A-Za-z0-9._#-]*$`, name)
	return err == nil && ok && !strings.Contains(name, "..")
}

func optionFault(option string) string {
	switch {
	case option == "" || strings.ContainsRune(option, 0):
		return "an option is a word without NUL bytes"
	case fixedPort.MatchString(option) && !strings.HasSuffix(option, "=0"):
		return "both slots would share this port: derive it from the slot's, such as 1{port}"
	}
	return ""
}

// fixedPort is a JVM's option that makes it listen on a port that is written out.
var fixedPort = regexp.MustCompile(`jmxremote\.(rmi\.)?port=[0-9]+$|jdwp[=:].*address=([^,]*:)?[0-9]+(,|$)`)

// sharedOption finds an option in a setenv.sh that both slots cannot have.
func sharedOption(setenv string) string {
	for line := range strings.Lines(setenv) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n\"'", r) }) {
			if optionFault(word) != "" {
				return word
			}
		}
	}
	return ""
}

// path is the context's, as a server.xml has it: empty for ROOT.
func (s settings) path() string {
	name, _, _ := strings.Cut(s.Context, "##")
	if name == "ROOT" {
		return ""
	}
	return "/" + strings.ReplaceAll(name, "#", "/")
}

// expand returns the settings for one slot.
func (s settings) expand(step deploy.Step) settings {
	s.Home = path.Clean(s.Home)
	s.Base = path.Clean(process.Expand(s.Base, step))
	s.JavaHome = process.Expand(s.JavaHome, step)
	s.JVMOptions = process.ExpandAll(s.JVMOptions, step)
	if s.JavaHome == "" {
		s.JavaHome = step.Env["JAVA_HOME"]
	}
	if s.Conf != "" {
		s.Conf = path.Clean(process.Expand(s.Conf, step))
	}
	return s
}

// check refuses what catalina.sh would misread: it uses these paths as shell
// text in double quotes and in a class path.
func (s settings) check(step deploy.Step) error {
	for name, value := range map[string]string{"home": s.Home, "base": s.Base, "java_home": s.JavaHome} {
		if strings.ContainsAny(value, ":\"$`\\\n") {
			return refuse(step, "runtime.tomcat."+name+" is "+value+": Tomcat cannot live with a colon, double quote, backquote, backslash or $ in it")
		}
	}
	if r := step.Release; r.Kind == deploy.ArtifactFile && (!strings.HasSuffix(r.Name, ".war") || strings.Contains(r.Name, "/")) {
		return refuse(step, "the artifact "+r.Name+" is not a .war file: let build.artifact name the archive, or the folder of an unpacked one")
	}
	return nil
}
