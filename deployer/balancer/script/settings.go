package script

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"ipublish/deploy"
)

// settings is the section balancer.script of the configuration.
type settings struct {
	Out     []string        `json:"out"`
	In      []string        `json:"in"`
	Status  []string        `json:"status"`
	Host    string          `json:"host"`
	Timeout deploy.Duration `json:"timeout"`
}

const defaultTimeout = 30 * time.Second

// readSettings decodes strictly, fills in the defaults and judges the programs.
func readSettings(raw json.RawMessage) (settings, error) {
	s := settings{Host: "local", Timeout: deploy.Duration(defaultTimeout)}
	if len(raw) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&s); err != nil {
			return s, invalid("%s (the keys of balancer.script are out, in, status, host and timeout)", strings.TrimPrefix(err.Error(), "json: "))
		}
	}
	for _, p := range []struct {
		key  string
		argv []string
	}{{"out", s.Out}, {"in", s.In}, {"status", s.Status}} {
		if err := checkProgram(p.key, p.argv); err != nil {
			return s, err
		}
	}
	if s.Timeout == 0 {
		return s, invalid("timeout is 0: give the time that a program may take, such as 30s")
	}
	return s, nil
}

func checkProgram(key string, argv []string) error {
	if len(argv) == 0 || argv[0] == "" {
		return invalid("%s is missing: name a program and its arguments, such as [/usr/local/bin/lb, %s, \"{addr}\"]", key, key)
	}
	for _, word := range argv {
		if strings.ContainsRune(word, 0) {
			return invalid("%s: an argument holds a NUL byte, which no program can receive", key)
		}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "configure", Subject: "balancer script", Message: fmt.Sprintf(format, args...)}
}
