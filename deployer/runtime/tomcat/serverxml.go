package tomcat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// serverXML returns src with what one slot needs of its own: its port, and the
// release where src itself places the context at path.
func serverXML(src []byte, port int, path, docBase string) ([]byte, error) {
	s := server{port: strconv.Itoa(port), path: path, docBase: docBase}
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
	ours                bool     // a Host serves webapps
	within              bool     // such a Host is the last one seen
}

func (s *server) visit(t tag) error {
	switch t.path {
	case "Server":
		t.set("port", "-1")
	case "Server/Service/Connector":
		s.connector(t)
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
	t.set("port", s.port)
}

func (s *server) host(t tag) {
	base, ok := t.value("appBase")
	s.within = !ok || base == "webapps"
	s.ours = s.ours || s.within
	t.set("autoDeploy", "false")
	if deploys, ok := t.value("deployOnStartup"); ok && deploys != "true" {
		t.set("deployOnStartup", "true")
	}
}

// context: one at the release's own path would serve what its docBase names.
func (s *server) context(t tag) {
	if path, ok := t.value("path"); ok && s.within && strings.TrimSuffix(path, "/") == s.path {
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
		return errors.New("it has no HTTP connector: a slot needs exactly one")
	case len(s.http) > 1:
		return fmt.Errorf("it has %d HTTP connectors (ports %s), and both slots would share all but one: keep one, and let the load balancer end TLS",
			len(s.http), strings.Join(s.http, ", "))
	case !s.ours:
		return errors.New(`no Host of it has appBase="webapps", where the release is put`)
	}
	return nil
}
