package tomcat

import (
	"errors"
	"fmt"
	"html"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// serverXML returns src with what one slot needs of its own: its port, and the
// release where src itself places the context at that path.
func serverXML(src []byte, port int, at, docBase string) ([]byte, error) {
	s := server{port: strconv.Itoa(port), path: at, docBase: docBase}
	out, err := rewrite(src, s.visit)
	if err != nil {
		return nil, err
	}
	return out, s.verdict()
}

// server is what conf/server.xml shows of itself.
type server struct {
	port, path, docBase string
	http                []string // ports of the HTTP connectors
	service             service  // the one being read
	served              bool     // the service of an HTTP connector has an Engine
	fault               error    // what keeps the release from answering at the HTTP connector
	within              bool     // the Host being read serves webapps
}

// service is a Service: its connectors ask its Engine.
type service struct {
	http    bool
	engine  bool
	answers string // the Host that the Engine asks for every name that no other Host has
	fault   error  // what keeps the release from answering there
}

func (s *server) visit(t tag) error {
	switch t.path {
	case "Server":
		t.set("port", "-1")
	case "Server/Service":
		s.service = service{}
	case "Server/Service/Connector":
		s.connector(t)
	case "Server/Service/Engine":
		s.engine(t)
	case "Server/Service/Engine/Host":
		s.host(t)
	case "Server/Service/Engine/Host/Context":
		s.context(t)
	case "Server/Listener":
		return listener(t)
	}
	return nil
}

func (s *server) connector(t tag) {
	if protocol, _ := t.value("protocol"); strings.HasPrefix(protocol, "AJP") || strings.Contains(protocol, ".ajp.") {
		t.drop()
		return
	}
	port, _ := t.value("port")
	s.http = append(s.http, port)
	s.service.http = true
	s.judge()
	t.set("port", s.port)
}

func (s *server) engine(t tag) {
	s.service.engine, s.service.answers = true, "localhost"
	if name, ok := t.value("defaultHost"); ok {
		s.service.answers = name
	}
	s.service.fault = fmt.Errorf("no Host of it has name=%q, the defaultHost of its Engine: set defaultHost to the name of the Host with appBase=\"webapps\", or keep a configuration for ipublish and name its folder in runtime.tomcat.conf", s.service.answers)
	s.judge()
}

func (s *server) host(t tag) {
	base, ok := t.value("appBase")
	s.within = !ok || path.Clean(base) == "webapps"
	if name, _ := t.value("name"); s.service.engine && strings.EqualFold(name, s.service.answers) {
		s.service.fault = s.answering(t, base)
		s.judge()
	}
	t.set("autoDeploy", "false")
	if deploys, ok := t.value("deployOnStartup"); ok && deploys != "true" {
		t.set("deployOnStartup", "true")
	}
}

// answering says why the Host that is asked would not serve the release.
func (s *server) answering(t tag, base string) error {
	if !s.within {
		return fmt.Errorf("the Host %q, the defaultHost of its Engine, has appBase=%q, and the release is put into webapps: set its appBase to webapps or defaultHost to another Host, or keep a configuration for ipublish and name its folder in runtime.tomcat.conf", s.service.answers, base)
	}
	if from, ok := t.value("xmlBase"); ok {
		return fmt.Errorf("the Host %q has xmlBase=%q, whose files could serve another application than the release: remove xmlBase, or keep a configuration for ipublish and name its folder in runtime.tomcat.conf", s.service.answers, from)
	}
	ignored, _ := t.value("deployIgnore")
	if pattern, err := regexp.Compile("^(?:" + html.UnescapeString(ignored) + ")$"); ignored != "" && (err != nil || pattern.MatchString(s.docBase)) {
		return fmt.Errorf("the Host %q has deployIgnore=%q, which keeps %s from being deployed: remove deployIgnore, or keep a configuration for ipublish and name its folder in runtime.tomcat.conf", s.service.answers, ignored, s.docBase)
	}
	return nil
}

// judge keeps what is wrong with the service of the HTTP connector, which may
// stand before its Engine or behind it.
func (s *server) judge() {
	if s.service.http && s.service.engine {
		s.served, s.fault = true, s.service.fault
	}
}

// context: one at the release's own path would serve what its docBase names.
func (s *server) context(t tag) {
	if at, ok := t.value("path"); ok && s.within && strings.TrimSuffix(at, "/") == s.path {
		t.set("docBase", s.docBase)
	}
}

func listener(t tag) error {
	for _, name := range []string{"rmiRegistryPortPlatform", "rmiServerPortPlatform"} {
		if port, ok := t.value(name); ok {
			return fmt.Errorf("both slots would share %s=%q: remove that Listener, and use runtime.tomcat.jvm_options with a port made of {port}", name, port)
		}
	}
	return nil
}

func (s *server) verdict() error {
	switch {
	case len(s.http) == 0:
		return errors.New(`it has no HTTP connector, and AJP is not used: add one to its Service, such as <Connector port="8080" protocol="HTTP/1.1"/>`)
	case len(s.http) > 1:
		return fmt.Errorf("it has %d HTTP connectors (ports %s), and both slots would share all but one: keep one, and let the load balancer end TLS",
			len(s.http), strings.Join(s.http, ", "))
	case !s.served:
		return errors.New(`the Service of its HTTP connector has no Engine: add one with <Host name="localhost" appBase="webapps"/>`)
	}
	return s.fault
}
