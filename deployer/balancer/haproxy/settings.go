package haproxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer/balancer/haproxyapi"
)

const defaultSocket = "/run/haproxy/admin.sock"

// settings is the section balancer.haproxy of the configuration.
type settings struct {
	Host      string   `json:"host"`
	Sockets   []string `json:"sockets"`
	Backend   string   `json:"backend"`
	StateFile string   `json:"state_file"`
}

// readSettings decodes strictly, fills in the defaults and judges the values.
func readSettings(raw json.RawMessage) (settings, error) {
	var s settings
	if len(raw) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&s); err != nil {
			return s, misconfigured("%s (the keys of balancer.haproxy are host, sockets, backend and state_file)", strings.TrimPrefix(err.Error(), "json: "))
		}
	}
	if s.Host == "" {
		s.Host = "local"
	}
	if len(s.Sockets) == 0 {
		s.Sockets = []string{defaultSocket}
	}
	return s, s.check()
}

func (s settings) check() error {
	for i, socket := range s.Sockets {
		if !plainPath(socket) {
			return misconfigured("sockets %q: give the absolute path of each stats socket, such as %s", socket, defaultSocket)
		}
		if slices.Contains(s.Sockets[:i], socket) {
			return misconfigured("sockets: %s is there twice; its requests would be counted twice", socket)
		}
	}
	if s.Backend != "" && !haproxyapi.ValidName(s.Backend) {
		return misconfigured("backend %q: give the name behind `backend` in haproxy.cfg", s.Backend)
	}
	if s.StateFile != "" && !plainPath(s.StateFile) {
		return misconfigured("state_file %q: give the absolute path that haproxy.cfg has behind `server-state-file`", s.StateFile)
	}
	return nil
}

func plainPath(p string) bool {
	control := strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f })
	return path.IsAbs(p) && path.Clean(p) == p && p != "/" && !control
}

func misconfigured(format string, args ...any) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "configure", Subject: "balancer haproxy", Message: fmt.Sprintf(format, args...)}
}
