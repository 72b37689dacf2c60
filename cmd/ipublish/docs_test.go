package main

import (
	"bufio"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"ipublish/bot"
	"ipublish/cmd/config"
	"ipublish/deploy"
)

// shipped reads a file from the module's root.
func shipped(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// loads proves that a text is a whole configuration, with the real drivers;
// every variable that it names is set.
func loads(t *testing.T, text string) *config.Config {
	t.Helper()
	for _, ref := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(text, -1) {
		t.Setenv(ref[1], sample(ref[1]))
	}
	path := filepath.Join(t.TempDir(), "ipublish.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, newDrivers(""))
	if err != nil {
		t.Fatalf("%s\n%s", deploy.MessageOf(err), text)
	}
	return cfg
}

func sample(name string) string {
	if strings.HasSuffix(name, "_URL") {
		return "https://oapi.dingtalk.com/robot/send?access_token=0123456789abcdef"
	}
	if name == "SLACK_APP_TOKEN" {
		return "xapp-1-0123456789abcdef"
	}
	return "xoxb-0123456789abcdef"
}

func TestEveryWholeConfigurationInTheReadmeLoads(t *testing.T) {
	blocks := regexp.MustCompile("(?s)<!-- whole configuration -->\n```yaml\n(.*?)```").FindAllStringSubmatch(shipped(t, "README.md"), -1)
	if len(blocks) < 4 {
		t.Fatalf("%d whole configurations found", len(blocks))
	}
	for _, block := range blocks {
		cfg := loads(t, block[1])
		if _, err := openChats(cfg, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("%s\n%s", deploy.MessageOf(err), block[1])
		}
	}
}

func TestThePackagedConfigurationLoads(t *testing.T) {
	text := shipped(t, "packaging/ipublish.yaml")
	cfg := loads(t, text)
	if cfg.Slack == nil || len(cfg.Apps) != 1 || cfg.Hooks["github"] == "" {
		t.Errorf("%+v", cfg)
	}
	if _, err := openChats(cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(deploy.MessageOf(err))
	}
}

// What is commented out there is for people to comment in: it loads too.
func TestEveryAlternativeInThePackagedConfigurationLoads(t *testing.T) {
	text := shipped(t, "packaging/ipublish.yaml")
	for name, change := range map[string][2]string{
		"dingtalk":   {`(?m)^  # (dingtalk:|  client_|  robot_|  webhooks:|    ops:)`, "  $1"},
		"tokens":     {`# tokens:`, `tokens:`},
		"slug":       {`# slug: (\S+)\s.*`, `slug: $1`},
		"command":    {`tomcat: \{.*\}\n      # command:`, `command:`},
		"nginx":      {`proxy: \{ listen.*\n          # nginx:.*\n          #   upstream(.*)\n          #   include`, "nginx:\n            upstream$1\n            include"},
		"ssh hosts":  {`# (- ssh://|- \{ name)`, `$1`},
		"rolling":    {`(?m)^      # (fleet:|  branch|  hosts|  strategy|    rolling|  balancer|    haproxy)`, "      $1"},
		"a git user": {`# (credentials: \{.*"\s*\}).*`, `$1`},
	} {
		t.Run(name, func(t *testing.T) {
			changed := regexp.MustCompile(change[0]).ReplaceAllString(text, change[1])
			if changed == text {
				t.Fatal("there is nothing of this in the sample")
			}
			loads(t, changed)
		})
	}
}

func TestTheShippedSlackManifestIsWhatTheCommandPrints(t *testing.T) {
	var printed strings.Builder
	m := Main{Stdin: strings.NewReader(""), Stdout: &printed, Stderr: io.Discard}
	if code := m.Run(t.Context(), []string{"slack", "manifest"}); code != 0 {
		t.Fatalf("exit %d", code)
	}
	_, file, _ := strings.Cut(shipped(t, "packaging/slack-manifest.yaml"), "\n")
	if file != printed.String() {
		t.Errorf("packaging/slack-manifest.yaml is\n%s\nand the command prints\n%s", file, printed.String())
	}
}

func TestTheComposeFileNamesWhatIsThere(t *testing.T) {
	var f struct {
		Services map[string]struct {
			Build   string
			User    string
			Volumes []string
		}
	}
	if err := yaml.Unmarshal([]byte(shipped(t, "packaging/compose.yaml")), &f); err != nil {
		t.Fatal(err)
	}
	s, ok := f.Services["ipublish"]
	if !ok || s.Build != ".." || !strings.Contains(shipped(t, "Dockerfile"), "\nUSER "+s.User+"\n") {
		t.Errorf("%+v", f)
	}
	if !strings.Contains(strings.Join(s.Volumes, " "), ":/etc/ipublish/ipublish.yaml:ro") {
		t.Errorf("volumes %v", s.Volumes)
	}
}

func TestTheUnitsStartWhatIsThereAndLeaveAppsAlone(t *testing.T) {
	for name, words := range map[string][]string{
		"packaging/ipublish.service":       {"\nExecStart=/usr/local/bin/ipublish serve --config ", "\nKillMode=process\n", "\nStateDirectory=ipublish\n"},
		"packaging/ipublish-proxy.service": {"\nExecStart=/usr/local/bin/ipublish proxy --socket " + layout("/var/lib/ipublish").proxySocket() + " --state " + layout("/var/lib/ipublish").proxyState() + "\n"},
	} {
		text := shipped(t, name)
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%s lacks %q", name, strings.TrimSpace(w))
			}
		}
	}
}

// A real nginx takes both samples; the second, once a deploy wrote its upstream.
func TestNginxTakesTheSamples(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx"
	}
	if _, err := os.Stat(nginx); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("nginx is not installed")
		}
		t.Skip("nginx is not installed")
	}
	for _, name := range []string{"packaging/nginx-front.conf", "packaging/nginx-balancer.conf"} {
		dir := t.TempDir()
		write := func(name, text string) string {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		write("upstream.conf", "upstream shop_production { server 127.0.0.1:8080; }\n")
		text := strings.ReplaceAll(shipped(t, name), "/etc/nginx/ipublish/*.conf", dir+"/upstream.conf")
		write("sample.conf", strings.ReplaceAll(text, "listen 80;", "listen 127.0.0.1:18999;"))
		main := write("nginx.conf", "pid "+dir+"/pid;\nerror_log "+dir+"/error.log;\nevents {}\nhttp {\n access_log off;\n include "+dir+"/sample.conf;\n}\n")
		if out, err := exec.Command(nginx, "-t", "-c", main).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// The table of commands: each one is parsed as it stands, with its optional
// parts and without them, and no verb is missing.
func TestEveryCommandOfTheReadmeIsInTheGrammar(t *testing.T) {
	env := deploy.Environment{Name: "production", Branch: "main", Rolling: &deploy.Rolling{}, Hosts: []deploy.Host{{ID: "web-1"}, {ID: "web-2"}}}
	scope := bot.Scope{Apps: []deploy.App{{Name: "shop", Environments: []deploy.Environment{env}}}}
	var seen []bot.Verb
	for line := range strings.Lines(section(t, "## Commands", "In a shell")) {
		m := regexp.MustCompile("^\\| `([a-z]+)([^`]*)` \\|").FindStringSubmatch(line)
		if m == nil {
			continue
		}
		seen = append(seen, bot.Verb(m[1]))
		for _, text := range variants(m[1] + m[2]) {
			p, err := bot.Parse(text, scope)
			if err != nil || string(p.Verb) != m[1] {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
	if want := bot.Verbs(); !slices.Equal(seen, want) {
		t.Errorf("the table has %v, the grammar %v", seen, want)
	}
}

// variants fills in the words of a usage line, with all optional parts and with
// none; hosts are named or left out.
func variants(usage string) []string {
	if named, left := strings.Replace(usage, " [--without HOST]", "", 1), strings.Replace(usage, " [HOST…]", "", 1); usage != named && usage != left {
		return append(variants(named), variants(left)...)
	}
	words := strings.NewReplacer("HOST…", "web-1", "HOST", "web-2", "APP", "shop", "ENV", "production", "REF", "main", "RELEASE", "4f2a91c", "#ID", "#142", "VERB", "deploy", "-n N", "-n 5")
	whole := words.Replace(strings.NewReplacer("[", "", "]", "").Replace(usage))
	bare := words.Replace(regexp.MustCompile(` ?\[[^\]]*\]`).ReplaceAllString(usage, ""))
	return []string{whole, bare}
}

// The other table: each command of the machine is one that kong knows.
func TestEveryCommandOfTheMachineInTheReadmeExists(t *testing.T) {
	var help strings.Builder
	m := Main{Stdin: strings.NewReader(""), Stdout: &help, Stderr: &help}
	if code := m.Run(t.Context(), []string{"--help"}); code != 0 {
		t.Fatalf("--help exits with %d", code)
	}
	found := 0
	for line := range strings.Lines(section(t, "In a shell", "Flags:")) {
		if m := regexp.MustCompile("^\\| `ipublish ([a-z]+)").FindStringSubmatch(line); m != nil {
			found++
			if !regexp.MustCompile(`(?m)^  ` + m[1] + `\b`).MatchString(help.String()) {
				t.Errorf("ipublish %s is not in --help", m[1])
			}
		}
	}
	if found != 7 {
		t.Errorf("%d commands found", found)
	}
}

// section is a part of the README, from one line to another.
func section(t *testing.T, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(shipped(t, "README.md"), "\n"+from)
	text, _, also := strings.Cut(rest, "\n"+to)
	if !ok || !also {
		t.Fatalf("README.md has no part from %q to %q", from, to)
	}
	return text
}

func TestTheLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	for _, name := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		lines := bufio.NewScanner(strings.NewReader(shipped(t, name)))
		for lines.Scan() {
			for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(lines.Text(), -1) {
				if _, err := os.Stat(filepath.Join("..", "..", link[1])); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

func TestArchitectureIsShortEnoughToBeRead(t *testing.T) {
	if n := strings.Count(shipped(t, "ARCHITECTURE.md"), "\n"); n > 200 {
		t.Errorf("%d lines, 200 at most", n)
	}
}
