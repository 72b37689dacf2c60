package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

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
	SigningSecret, BotToken, Command, APIURL string
}

// DingTalk is the DingTalk app's and custom robots' part.
type DingTalk struct {
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
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &deploy.Error{Code: deploy.CodeNotFound, Op: "read", Subject: path, Message: path + " does not exist: copy packaging/ipublish.yaml and adapt it, or name another file with --config"}
	}
	if err != nil {
		return nil, invalid(path, "it cannot be read: "+err.Error())
	}
	f, err := parse(path, b)
	if err != nil {
		return nil, err
	}
	if err := guardSecrets(path, f); err != nil {
		return nil, err
	}
	return build(path, f, check)
}

// parse decodes strictly; errors carry the line and the nearest known key.
func parse(path string, b []byte) (file, error) {
	var f file
	dec := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict())
	err := dec.Decode(&f)
	if err == nil || len(bytes.TrimSpace(b)) == 0 {
		return f, nil
	}
	var ye yaml.Error
	if !errors.As(err, &ye) || ye.GetToken() == nil {
		return f, invalid(path, yaml.FormatError(err, false, true))
	}
	message := ye.GetMessage()
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) {
		message = unknownKey(ye.GetToken().Value)
	}
	pos := ye.GetToken().Position
	return f, invalid(fmt.Sprintf("%s:%d:%d", path, pos.Line, pos.Column), message)
}

func invalid(where, message string) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "read", Subject: where, Message: where + ": " + message}
}

// guardSecrets refuses a file that others can read while secrets stand in it.
func guardSecrets(path string, f file) error {
	info, err := os.Stat(path)
	if err != nil {
		return invalid(path, err.Error())
	}
	if info.Mode().Perm()&0o044 == 0 {
		return nil
	}
	for key, secret := range f.secrets() {
		if literal(secret) {
			return invalid(path, fmt.Sprintf("%s holds a secret and others can read the file (mode %04o): `chmod 600 %s`, or write ${NAME} and set the environment variable", key, info.Mode().Perm(), path))
		}
	}
	return nil
}

// secrets lists every secret of the file by its key.
func (f file) secrets() map[string]string {
	out := map[string]string{}
	for name, s := range f.Githooks {
		out["githooks."+name+".secret"] = s.Secret
	}
	for name, t := range f.Server.Tokens {
		out["server.tokens."+name] = t
	}
	if s := f.Chat.Slack; s != nil {
		out["chat.slack.signing_secret"], out["chat.slack.bot_token"] = s.SigningSecret, s.BotToken
	}
	if d := f.Chat.DingTalk; d != nil {
		out["chat.dingtalk.client_secret"] = d.ClientSecret
		for name, w := range d.Webhooks {
			out["chat.dingtalk.webhooks."+name+".secret"] = w.Secret
		}
	}
	for name, a := range f.Apps {
		out["apps."+name+".credentials.token"], out["apps."+name+".credentials.ssh_key"] = a.Credentials.Token, a.Credentials.SSHKey
		for provider, s := range a.Githooks {
			out["apps."+name+".githooks."+provider+".secret"] = s.Secret
		}
	}
	return out
}
