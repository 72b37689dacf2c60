package main

import (
	"bytes"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	slackapi "github.com/slack-go/slack"
)

// settingUp runs one of the set-up commands as a person types it.
func settingUp(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	m := &Main{Stdout: &out, Stderr: &errs}
	code = m.Run(t.Context(), args)
	return code, out.String(), errs.String()
}

// manifest decodes a manifest as strictly as Slack reads it.
func manifest(t *testing.T, text string) slackapi.Manifest {
	t.Helper()
	if strings.Contains(text, "\t") {
		t.Errorf("a tab in\n%s", text)
	}
	var m slackapi.Manifest
	if err := yaml.NewDecoder(strings.NewReader(text), yaml.Strict()).Decode(&m); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return m
}

func TestTheManifestNeedsNoAddressUnlessOneIsGiven(t *testing.T) {
	code, out, rest := settingUp(t, "slack", "manifest")
	m := manifest(t, out)
	if code != 0 || !m.Settings.SocketModeEnabled || strings.Contains(out, "url") || m.Display.Name != "ipublish" {
		t.Errorf("code %d\n%s", code, out)
	}
	if want := []string{"commands", "chat:write", "chat:write.public", "app_mentions:read"}; !slices.Equal(m.OAuthConfig.Scopes.Bot, want) {
		t.Errorf("scopes %v", m.OAuthConfig.Scopes.Bot)
	}
	if !slices.Equal(m.Settings.EventSubscriptions.BotEvents, []string{"app_mention"}) || len(m.Features.SlashCommands) != 1 || m.Features.SlashCommands[0].Command != "/ipub" {
		t.Errorf("%+v", m)
	}
	for _, want := range []string{"xoxb-", "xapp-", "connections:write", "transport: socket", "1. ", "2. ", "3. "} {
		if !strings.Contains(rest, want) {
			t.Errorf("%q is not said:\n%s", want, rest)
		}
	}
}

func TestTheManifestForHTTPNamesWhereCommandsGo(t *testing.T) {
	code, out, rest := settingUp(t, "slack", "manifest", "--http", "https://ipublish.example.com/", "--name", `Ops: "发布" #1`, "--command", "/ship-it")
	m := manifest(t, out)
	if code != 0 || m.Settings.SocketModeEnabled || m.Display.Name != `Ops: "发布" #1` || m.Features.BotUser.DisplayName != m.Display.Name {
		t.Errorf("code %d\n%s", code, out)
	}
	if c := m.Features.SlashCommands[0]; c.Command != "/ship-it" || c.Url != "https://ipublish.example.com/slack/commands" {
		t.Errorf("%+v", c)
	}
	// Nothing listens to events and buttons by HTTP, so Slack is not to send any.
	if m.Settings.EventSubscriptions != nil || m.Settings.Interactivity != nil || slices.Contains(m.OAuthConfig.Scopes.Bot, "app_mentions:read") {
		t.Errorf("%+v", m.Settings)
	}
	if !strings.Contains(rest, "Signing Secret") || strings.Contains(rest, "xapp-") || !strings.Contains(rest, "/ship-it whoami") {
		t.Errorf("said:\n%s", rest)
	}
}

func TestTheManifestKeepsToSlacksLimits(t *testing.T) {
	_, out, _ := settingUp(t, "slack", "manifest")
	m := manifest(t, out)
	c := m.Features.SlashCommands[0]
	if len(m.Display.Name) > 35 || len(m.Display.Description) > 140 || len(m.Features.BotUser.DisplayName) > 80 || len(c.Command) > 32 || len(c.UsageHint) > 1000 || len(c.Description) > 2000 {
		t.Errorf("%+v", m)
	}
}

func TestTheLinkCarriesTheManifest(t *testing.T) {
	for _, args := range [][]string{nil, {"--http", "https://a.example:8443/x"}, {"--name", "a+b & c% 发布"}} {
		_, text, rest := settingUp(t, append([]string{"slack", "manifest"}, args...)...)
		_, link, none := settingUp(t, append([]string{"slack", "manifest", "--link"}, args...)...)
		u, err := url.Parse(strings.TrimSuffix(link, "\n"))
		if err != nil || none != "" || strings.ContainsAny(u.RawQuery, "+ ") || !strings.Contains(rest, u.String()) {
			t.Fatalf("%q, %v; beside it %q", link, err, none)
		}
		if q := u.Query(); u.Host != "api.slack.com" || u.Path != "/apps" || q.Get("new_app") != "1" || q.Get("manifest_yaml") != text {
			t.Errorf("%v carries %q", u, q.Get("manifest_yaml"))
		}
	}
}

func TestAManifestThatSlackWouldRefuseIsNotPrinted(t *testing.T) {
	for _, args := range [][]string{
		{"--http", "http://ipublish.example.com"}, {"--http", "ipublish.example.com"}, {"--http", "https://"}, {"--http", "https://u:p@a.example"},
		{"--http", "https://a.example/?x=1"}, {"--http", "https://a.example/#x"},
		{"--name", ""}, {"--name", "a\nb"}, {"--name", strings.Repeat("发", 36)},
		{"--command", "ipub"}, {"--command", "/"}, {"--command", "/Ipub"}, {"--command", "/a b"}, {"--command", "/a\nurl: x"}, {"--command", "/" + strings.Repeat("a", 32)},
	} {
		code, out, said := settingUp(t, append([]string{"slack", "manifest"}, args...)...)
		if code != exitUsage || out != "" || !strings.Contains(said, args[0]) {
			t.Errorf("%q: code %d, %q, %q", args, code, out, said)
		}
	}
}

// restOfConfiguration completes a chat section to a whole configuration.
const restOfConfiguration = `
apps:
  shop:
    repository: https://git.example.com/acme/shop.git
    runtime:
      command: { run: [./server, --port, "{port}"] }
    environments:
      production:
        branch: main
        channels: [CHANNEL]
        hosts: [local]
        strategy:
          blue_green: { slots: { blue: 8080, green: 8081 } }
        balancer:
          proxy: { listen: "127.0.0.1:8000" }
`

func TestWhatTheSetUpTextsSayToPasteIsAConfiguration(t *testing.T) {
	pasted := map[string]string{}
	for name, args := range map[string][]string{"socket": {"slack", "manifest"}, "http": {"slack", "manifest", "--http", "https://a.example"}} {
		_, _, said := settingUp(t, args...)
		section := regexp.MustCompile(`(?m)^chat:\n(  .*\n)+`).FindString(said)
		pasted["slack "+name] = section + strings.Replace(restOfConfiguration, "CHANNEL", `"slack:C0DEPLOYS"`, 1)
	}
	for _, lang := range []string{"zh", "en"} {
		_, guide, _ := settingUp(t, "dingtalk", "guide", "--lang", lang)
		blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(guide, -1)
		if len(blocks) != 2 {
			t.Fatalf("%s: %d snippets", lang, len(blocks))
		}
		pasted["dingtalk app "+lang] = blocks[0][1] + strings.Replace(restOfConfiguration, "CHANNEL", `"dingtalk:cidXXXXXXXX"`, 1)
		pasted["dingtalk robot "+lang] = blocks[1][1] + strings.Replace(restOfConfiguration, "CHANNEL", `"dingtalk:webhook/ops"`, 1)
	}
	for name, text := range pasted {
		t.Run(name, func(t *testing.T) {
			cfg := loads(t, text)
			if cfg.Slack == nil && cfg.DingTalk == nil {
				t.Errorf("no chat in\n%s", text)
			}
		})
	}
}

func TestTheDingTalkGuideNamesWhatToClickAndWhatToOpen(t *testing.T) {
	for _, lang := range []string{"zh", "en"} {
		code, guide, _ := settingUp(t, "dingtalk", "guide", "--lang", lang)
		if code != 0 {
			t.Errorf("%s: code %d", lang, code)
		}
		for _, want := range []string{
			"「Stream 模式」", "「企业内机器人发送消息权限」", "「版本管理与发布」", "「凭证与基础信息」", "RobotCode", "「加签」", "「自定义关键词」",
			"`api.dingtalk.com`", "`wss-open-connection.dingtalk.com`", "`oapi.dingtalk.com`", "@ipublish whoami", "dingtalk:webhook/ops",
		} {
			if !strings.Contains(guide, want) {
				t.Errorf("%s: %s is not said", lang, want)
			}
		}
	}
	_, zh, _ := settingUp(t, "dingtalk", "guide")
	if _, explicit, _ := settingUp(t, "dingtalk", "guide", "--lang", "zh"); zh != explicit {
		t.Error("the guide is not Chinese unless asked for")
	}
	if code, _, _ := settingUp(t, "dingtalk", "guide", "--lang", "tlh"); code != exitUsage {
		t.Errorf("an unknown language: code %d", code)
	}
}

func TestTheSetUpTextsHaveNoTabs(t *testing.T) {
	files, err := os.ReadDir("setup")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d texts, %v", len(files), err)
	}
	for _, f := range files {
		if text, err := setup.ReadFile("setup/" + f.Name()); err != nil || strings.Contains(string(text), "\t") {
			t.Errorf("%s has a tab, or cannot be read: %v", f.Name(), err)
		}
	}
}
