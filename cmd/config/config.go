package config

import (
	"github.com/goccy/go-yaml"

	"ipublish/deploy"
)

// Config is a whole, valid configuration with every default filled in.
type Config struct {
	Path     string
	Listen   string // host:port
	Public   string // public URL; may be empty
	StateDir string
	Tokens   map[string]string // name → secret, of the API
	Slack    *Slack            // nil: not configured
	DingTalk *DingTalk         // nil: not configured
	Hooks    map[string]string // "github" or "github/APP" → secret
	Roles    map[string][]string
	Apps     []deploy.App // sorted by name
}

// Slack is the Slack app's part.
type Slack struct {
	Transport                                          string // "socket" or "http"
	SigningSecret, BotToken, AppToken, Command, APIURL string
	Language                                           string // "en" or "zh"
}

// DingTalk is the DingTalk app's and custom robots' part.
type DingTalk struct {
	Transport                                 string // "stream" or "http"
	Language                                  string // "en" or "zh"
	ClientID, ClientSecret, RobotCode, APIURL string
	Webhooks                                  map[string]Webhook
}

// Webhook is one custom group robot; Secret or Keyword may be empty.
type Webhook struct {
	URL, Secret, Keyword string
}

// Check validates the parts of the configuration that drivers decode.
type Check interface {
	CheckRuntime(deploy.Section) error
	CheckBalancer(deploy.Target, deploy.Section) error
	CheckHost(deploy.Host) error
	// CheckBuild validates a build section.
	CheckBuild(deploy.Build) error
	// Caveats are what a runtime wants said with every plan and report.
	Caveats(deploy.Section) []string
}

// Environment finds a target's app and environment.
func (c *Config) Environment(t deploy.Target) (deploy.App, deploy.Environment, bool) {
	for _, a := range c.Apps {
		if a.Name == t.App {
			e, ok := a.Environment(t.Env)
			return a, e, ok
		}
	}
	return deploy.App{}, deploy.Environment{}, false
}

// Load reads and validates a file. The error is a *deploy.Error with CodeInvalid
// (or CodeNotFound) that names the file, the line where there is one, and what
// to write instead.
func Load(path string, check Check) (*Config, error) {
	s, err := read(path)
	if err != nil {
		return nil, err
	}
	var f file
	if err := s.decode(&f, yaml.Strict()); err != nil {
		return nil, err
	}
	if err := guardSecrets(s, f); err != nil {
		return nil, err
	}
	return build(s, f, check)
}

// StateDir reads server.state_dir alone and looks at nothing else in the file:
// who asks a server needs neither its secrets nor a configuration that is valid
// throughout. Errors as Load's.
func StateDir(path string) (string, error) {
	s, err := read(path)
	if err != nil {
		return "", err
	}
	var f struct {
		Server struct {
			StateDir string `yaml:"state_dir"`
		} `yaml:"server"`
	}
	if err := s.decode(&f); err != nil {
		return "", err
	}
	b := &building{source: s}
	dir := b.stateDir(f.Server.StateDir)
	return dir, b.err
}
