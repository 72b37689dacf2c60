package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"ipublish/bot"
	"ipublish/bot/chat/dingtalk"
	"ipublish/bot/chat/slack"
	"ipublish/bot/githook"
	"ipublish/bot/githook/gitea"
	"ipublish/bot/githook/gitee"
	"ipublish/bot/githook/github"
	"ipublish/bot/githook/gitlab"
	"ipublish/bot/phrase"
	"ipublish/cmd/config"
	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/haproxy"
	"ipublish/deployer/balancer/nginx"
	"ipublish/deployer/balancer/proxy"
	scriptbalancer "ipublish/deployer/balancer/script"
	"ipublish/deployer/balancer/slb"
	"ipublish/deployer/balancer/statusfile"
	"ipublish/deployer/host/local"
	"ipublish/deployer/host/ssh"
	"ipublish/deployer/runtime/command"
	scriptruntime "ipublish/deployer/runtime/script"
	"ipublish/deployer/runtime/systemd"
	"ipublish/deployer/runtime/tomcat"
	"ipublish/deployer/source"
)

// This is the only file that names drivers: one map a family, one line a driver.

var hosts = map[string]func(json.RawMessage) (deployer.Host, error){
	"local": local.New,
	"ssh":   func(s json.RawMessage) (deployer.Host, error) { return ssh.New(s, ssh.Options{}) },
}

var runtimes = map[string]func(json.RawMessage) (deployer.Runtime, error){
	"command": command.New,
	"script":  scriptruntime.New,
	"systemd": systemd.New,
	"tomcat":  tomcat.New,
}

// caveats are what a runtime wants said with every plan and report.
var caveats = map[string]func(json.RawMessage) []string{"tomcat": tomcat.Caveats}

// balancing is what a balancer is opened with.
type balancing struct {
	target   deploy.Target
	settings json.RawMessage
	socket   string // of the built-in proxy
	host     func(name string) (deployer.Host, error)
	turns    *slb.Turns
}

var balancers = map[string]func(balancing) (deployer.Balancer, error){
	"proxy": func(b balancing) (deployer.Balancer, error) { return proxy.New(b.socket, b.target, b.settings) },
	"nginx": openNginx,

	"haproxy":    func(b balancing) (deployer.Balancer, error) { return haproxy.New(b.settings, b.host) },
	"script":     func(b balancing) (deployer.Balancer, error) { return scriptbalancer.New(b.settings, b.host) },
	"slb":        func(b balancing) (deployer.Balancer, error) { return b.turns.New(b.settings, b.host) },
	"statusfile": func(b balancing) (deployer.Balancer, error) { return statusfile.New(b.settings, b.host) },
}

var githooks = map[string]func(string, ...githook.Option) (bot.Githook, error){
	"github":  github.New,
	"gitlab":  gitlab.New,
	"gitea":   gitea.New,
	"gogs":    gitea.New,
	"forgejo": gitea.New,
	"gitee":   gitee.New,
}

var chats = map[string]func(*config.Config, *slog.Logger) (bot.Chat, error){
	"slack":    openSlack,
	"dingtalk": openDingTalk,
}

func openNginx(b balancing) (deployer.Balancer, error) {
	name, err := nginx.HostName(b.settings)
	if err != nil {
		return nil, err
	}
	h, err := b.host(name)
	if err != nil {
		return nil, err
	}
	return nginx.New(b.settings, b.target, h)
}

func openSlack(c *config.Config, log *slog.Logger) (bot.Chat, error) {
	if c.Slack == nil {
		return nil, nil
	}
	return slack.New(slack.Config{
		Transport: c.Slack.Transport, SigningSecret: c.Slack.SigningSecret, BotToken: c.Slack.BotToken, AppToken: c.Slack.AppToken,
		Command: c.Slack.Command, APIURL: c.Slack.APIURL, Log: log, Translate: translation(c.Slack.Language),
	})
}

func openDingTalk(c *config.Config, log *slog.Logger) (bot.Chat, error) {
	d := c.DingTalk
	if d == nil {
		return nil, nil
	}
	robots := map[string]dingtalk.Webhook{}
	for name, w := range d.Webhooks {
		robots[name] = dingtalk.Webhook{URL: w.URL, Secret: w.Secret, Keyword: w.Keyword}
	}
	return dingtalk.New(dingtalk.Config{
		Transport: d.Transport, ClientID: d.ClientID, ClientSecret: d.ClientSecret, RobotCode: d.RobotCode, APIURL: d.APIURL, Webhooks: robots, Log: log, Translate: translation(d.Language),
	})
}

// translation is for what a chat's driver says by itself; nil: English.
func translation(language string) func(string) string {
	if language != "zh" {
		return nil
	}
	return phrase.Chinese().Text
}

// drivers opens what plans and the configuration name. Hosts are kept open:
// one connection a host.
type drivers struct {
	socket string // of the built-in proxy
	turns  *slb.Turns

	mu   sync.Mutex
	open map[string]deployer.Host
}

func newDrivers(socket string) *drivers {
	return &drivers{socket: socket, turns: new(slb.Turns), open: map[string]deployer.Host{}}
}

// Host implements deployer.Drivers.
func (d *drivers) Host(h deploy.Host) (deployer.Host, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := h.Driver.Driver + string(h.Driver.Settings)
	if open, ok := d.open[key]; ok {
		return open, nil
	}
	build, err := named(hosts, "host", h.Driver.Driver)
	if err != nil {
		return nil, err
	}
	settings, err := resolved(h.Driver)
	if err != nil {
		return nil, err
	}
	opened, err := build(settings)
	if err == nil {
		d.open[key] = opened
	}
	return opened, err
}

// Close ends the connections to hosts.
func (d *drivers) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.open {
		if c, ok := h.(interface{ Close() error }); ok {
			_ = c.Close() // the peer may be gone; nothing is lost with it
		}
	}
	clear(d.open)
	return nil
}

// Runtime implements deployer.Drivers.
func (d *drivers) Runtime(s deploy.Section) (deployer.Runtime, error) {
	build, err := named(runtimes, "runtime", s.Driver)
	if err != nil {
		return nil, err
	}
	settings, err := resolved(s)
	if err != nil {
		return nil, err
	}
	return build(settings)
}

// Balancer implements deployer.Drivers.
func (d *drivers) Balancer(t deploy.Target, s deploy.Section, host func(string) (deployer.Host, error)) (deployer.Balancer, error) {
	build, err := named(balancers, "balancer", s.Driver)
	if err != nil {
		return nil, err
	}
	settings, err := resolved(s)
	if err != nil {
		return nil, err
	}
	return build(balancing{target: t, settings: settings, socket: d.socket, host: host, turns: d.turns})
}

// Resolve implements deployer.Drivers.
func (d *drivers) Resolve(values map[string]string) (map[string]string, error) {
	return config.ExpandAll(values)
}

// CheckRuntime, CheckBalancer and CheckHost implement config.Check: opening a
// driver validates its section and reaches nothing.
func (d *drivers) CheckRuntime(s deploy.Section) error {
	_, err := d.Runtime(s)
	return err
}

// CheckBalancer implements config.Check.
func (d *drivers) CheckBalancer(t deploy.Target, s deploy.Section) error {
	_, err := d.Balancer(t, s, func(string) (deployer.Host, error) { return local.New(nil) })
	return err
}

// CheckHost implements config.Check.
func (d *drivers) CheckHost(h deploy.Host) error {
	build, err := named(hosts, "host", h.Driver.Driver)
	if err != nil {
		return err
	}
	settings, err := resolved(h.Driver)
	if err != nil {
		return err
	}
	_, err = build(settings)
	return err
}

// CheckBuild implements config.Check.
func (d *drivers) CheckBuild(b deploy.Build) error { return source.CheckBuild(b) }

// Caveats implements config.Check.
func (d *drivers) Caveats(s deploy.Section) []string {
	if build, ok := caveats[s.Driver]; ok {
		return build(s.Settings)
	}
	return nil
}

// resolved replaces the references in a section's strings.
func resolved(s deploy.Section) (json.RawMessage, error) {
	if len(s.Settings) == 0 {
		return nil, nil
	}
	var v any
	if err := json.Unmarshal(s.Settings, &v); err != nil {
		return nil, &deploy.Error{Code: deploy.CodeInvalid, Op: "open", Subject: s.Driver, Err: err}
	}
	v, err := config.ExpandJSON(v)
	if err != nil {
		return nil, &deploy.Error{Code: deploy.CodeInvalid, Op: "open", Subject: s.Driver, Err: err}
	}
	return json.Marshal(v)
}

func named[T any](family map[string]T, kind, name string) (T, error) {
	if build, ok := family[name]; ok {
		return build, nil
	}
	var none T
	return none, &deploy.Error{Code: deploy.CodeInvalid, Op: "open " + kind, Subject: name,
		Message: fmt.Sprintf("there is no %s %q: one of %s", kind, name, strings.Join(slices.Sorted(maps.Keys(family)), ", "))}
}

// setting is one text of a section, empty where it is absent.
func setting(s deploy.Section, key string) string {
	var m map[string]any
	if json.Unmarshal(s.Settings, &m) != nil {
		return ""
	}
	text, _ := m[key].(string)
	return text
}
