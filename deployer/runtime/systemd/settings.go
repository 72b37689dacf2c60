package systemd

import (
	"encoding/json"
	"regexp"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer/runtime/process"
)

type settings struct {
	Unit string `json:"unit"`
	User bool   `json:"user"`
}

// unitForm is a service's name as systemd takes it, that no command line and no
// pattern of systemctl can mean something else by.
var unitForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9:_.@\\-]*\.service$`)

func decode(raw json.RawMessage) (settings, error) {
	var s settings
	if err := process.Decode("systemd", raw, &s); err != nil {
		return s, err
	}
	if s.Unit == "" {
		return s, process.Invalid("systemd", "unit", "it has to name a unit of the hosts, such as shop@{slot}.service")
	}
	if !strings.HasSuffix(s.Unit, ".service") {
		s.Unit += ".service"
	}
	plain := strings.NewReplacer("{slot}", "blue", "{port}", "8080").Replace(s.Unit)
	if !unitForm.MatchString(plain) || len(plain) > 200 {
		return s, process.Invalid("systemd", "unit", "it has to be the name of a service, such as shop.service or shop@{slot}.service; {slot} and {port} are replaced in it")
	}
	if name, _, _ := strings.Cut(plain, "@"); strings.HasSuffix(plain, "@.service") || name == "" {
		return s, process.Invalid("systemd", "unit", "it is a template without an instance: write shop@{slot}.service")
	}
	return s, nil
}

// unit is the slot's.
func (s settings) unit(step deploy.Step) string { return process.Expand(s.Unit, step) }

// apart reports whether two slots of an environment have units of their own.
func (s settings) apart() bool {
	return strings.Contains(s.Unit, "{slot}") || strings.Contains(s.Unit, "{port}")
}

// manager is whose systemd it is.
func (s settings) manager() string {
	if s.User {
		return "user"
	}
	return "system"
}
