package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

// open takes every driver's section.
type open struct{}

func (open) CheckRuntime(deploy.Section) error                 { return nil }
func (open) CheckBalancer(deploy.Target, deploy.Section) error { return nil }
func (open) CheckHost(deploy.Host) error                       { return nil }
func (open) CheckBuild(deploy.Build) error                     { return nil }
func (open) Caveats(deploy.Section) []string                   { return nil }

const whole = `apps:
  shop:
    repository: https://git.example.com/acme/shop.git
    runtime:
      command: { run: [./server] }
    environments:
      production:
        hosts: [local]
        strategy:
          blue_green: { slots: { blue: 18080, green: 18081 } }
        balancer:
          proxy: { listen: 127.0.0.1:18000 }
`

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ipublish.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func loaded(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Load(written(t, text), open{})
	if err != nil {
		t.Fatalf("%s\n%s", deploy.MessageOf(err), text)
	}
	return c
}

// refused wants the text to be invalid, with the file once and every part in the message.
func refused(t *testing.T, text string, parts ...string) {
	t.Helper()
	path := written(t, text)
	_, err := Load(path, open{})
	if deploy.CodeOf(err) != deploy.CodeInvalid {
		t.Errorf("%v, want it to be invalid:\n%s", err, text)
		return
	}
	for _, part := range append(parts, path) {
		if !strings.Contains(deploy.MessageOf(err), part) {
			t.Errorf("the message %q does not say %q", deploy.MessageOf(err), part)
		}
	}
	if strings.Count(err.Error(), path) != 1 {
		t.Errorf("the error %q does not name the file once", err)
	}
}

// with changes one thing in the whole configuration.
func with(t *testing.T, old, changed string) string {
	t.Helper()
	if !strings.Contains(whole, old) {
		t.Fatalf("there is no %q to change", old)
	}
	return strings.Replace(whole, old, changed, 1)
}

func TestWhatIsNotWrittenHasItsDefault(t *testing.T) {
	c := loaded(t, whole)
	a, e, ok := c.Environment(deploy.Target{App: "shop", Env: "production"})
	if !ok || c.Listen != "127.0.0.1:8090" || c.StateDir != "/var/lib/ipublish" || a.Slug != "acme/shop" || a.Keep != 5 {
		t.Errorf("%+v %+v", c, a)
	}
	second := deploy.Duration(time.Second)
	if a.Health.Path != "/healthz" || a.Health.MinHealthyTime != 10*second || a.Health.HealthyDeadline != 300*second || a.Health.FailureThreshold != 3 {
		t.Errorf("health %+v", a.Health)
	}
	if e.BlueGreen.BakeTime != 60*second || e.BlueGreen.KeepOld != 600*second || e.DrainTimeout != 30*second || !e.AutoRevert || e.ReleaseDir != "/var/lib/ipublish-releases" {
		t.Errorf("environment %+v", e)
	}
}

func TestAnEmptyFileIsNoConfiguration(t *testing.T) {
	for _, text := range []string{"", "\n \n", "# nothing\n", "---\n"} {
		refused(t, text, "the file is empty: it needs at least apps:")
	}
	for _, text := range []string{"server: { listen: 127.0.0.1:8090 }\n", "apps:\n", "apps: {}\n"} {
		refused(t, text, "apps: there are none")
	}
	refused(t, whole+"---\n"+whole, "more than one document")
}

func TestEveryFaultIsRefusedWithItsPlaceAndWhatToWrite(t *testing.T) {
	for name, c := range map[string]struct {
		old, changed string
		says         []string
	}{
		"a word for a number":        {"blue: 18080", "blue: twenty", []string{":10:40: a whole number is expected, not \"twenty\""}},
		"a word for a truth":         {"hosts: [local]", "auto_deploy: perhaps", []string{":8:22: true or false is expected, not \"perhaps\""}},
		"a list for a text":          {"https://git.example.com/acme/shop.git", "[a]", []string{":3:17: a text is expected, not a list"}},
		"a text for a mapping":       {"production:\n", "production: x\n      other:\n", []string{":7:19: a mapping"}},
		"an unknown key":             {"hosts:", "host:", []string{":8:9: ", `did you mean "hosts"?`}},
		"no duration":                {"hosts:", "drain_timeout: soon\n        hosts:", []string{`:8:24: "soon" is not a duration`, "30s"}},
		"a duration without unit":    {"hosts:", "idle_after: 5\n        hosts:", []string{`:8:21: "5" is not a duration`}},
		"a negative duration":        {"hosts:", "stop_timeout: -5s\n        hosts:", []string{`:8:23: "-5s" is negative`}},
		"no repository":              {"    repository: https://git.example.com/acme/shop.git\n", "", []string{":2:3: apps.shop.repository: it is missing"}},
		"an option for a repository": {"https://git.example.com/acme/shop.git", "--upload-pack=x", []string{":3:5: apps.shop.repository: this is no repository"}},
		"half a repository":          {"https://git.example.com/acme/shop.git", "https://git.example.com", []string{"this is no repository"}},
		"a strange scheme":           {"https://git.example.com/acme/shop.git", "ext::sh -c x", []string{"this is no repository"}},
		"a password in the URL":      {"https://git", "https://me:hunter22@git", []string{"it holds a password"}},
		"an artifact outside":        {"runtime:\n", "build: { artifact: ../../etc/shadow }\n    runtime:\n", []string{":4:14: apps.shop.build.artifact", "leads out of the repository"}},
		"an artifact from the root":  {"runtime:\n", "build: { artifact: /etc/shadow }\n    runtime:\n", []string{"leads out of the repository"}},
		"fewer than no failures":     {"hosts:", "verify: { url: http://127.0.0.1/, max_failures: -1 }\n        hosts:", []string{"verify.max_failures: it is zero or more"}},
		"two drivers":                {"proxy: {", "nginx: {}\n          proxy: {", []string{":11:9: ", "exactly one driver"}},
		"the same slot twice":        {"green: 18081", "green: 18080", []string{"two different ports"}},
		"no hosts":                   {"hosts: [local]", "hosts: []", []string{"hosts: it is missing"}},
		"a loose reference":          {"https://git.example.com/acme/shop.git", "${CONFIG_TEST_NOT_SET}", []string{"CONFIG_TEST_NOT_SET is not set"}},
		"a short secret":             {"apps:\n", "server: { tokens: { ci: short } }\napps:\n", []string{":1:21: server.tokens.ci", "at least 16 characters"}},
		"an unknown role":            {"apps:\n", "roles: { boss: [] }\napps:\n", []string{":1:10: roles.boss", "no such role"}},
		"a secret in the credential": {"runtime:\n", "credentials: { user: x, token: abcdefghijkl }\n    runtime:\n", []string{":4:29: apps.shop.credentials.token", "journaled"}},
		"a wrong name":               {"shop:", "Shop:", []string{":2:3: apps.Shop", "lower-case"}},
		"a name too long":            {"shop:", strings.Repeat("a", 64) + ":", []string{":2:3: apps.aaa", "lower-case"}},
		"impossible health":          {"runtime:\n", "health: { min_healthy_time: 10m }\n    runtime:\n", []string{"apps.shop.health", "nothing can ever pass"}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, with(t, c.old, c.changed), c.says...) })
	}
}

func TestEveryFormOfARepositoryIsTaken(t *testing.T) {
	for _, r := range []string{"ssh://git@git.example.com:2222/acme/shop.git", "git@git.example.com:acme/shop.git", "file:///srv/git/shop.git", "/srv/git/shop.git", "http://127.0.0.1:3000/acme/shop.git"} {
		loaded(t, with(t, "https://git.example.com/acme/shop.git", r))
	}
}

func TestReferencesInBracesWorkAsTheyDoOutside(t *testing.T) {
	t.Setenv("CONFIG_TEST_SECRET", "0123456789abcdef")
	hooks := "githooks:\n  github: { secret: ${CONFIG_TEST_SECRET} }     # also gitlab\n"
	c := loaded(t, hooks+strings.Replace(whole, "runtime:\n", "credentials: { user: x, token: ${CONFIG_TEST_SECRET} }\n    runtime:\n", 1))
	if c.Hooks["github"] != "0123456789abcdef" {
		t.Errorf("the hook's secret is %q", c.Hooks["github"])
	}
	if got := c.Apps[0].Credential.Token; got != "${CONFIG_TEST_SECRET}" {
		t.Errorf("the app's token is %q: it has to stay a reference", got)
	}
	refused(t, "githooks: { github: { secret: ${CONFIG_TEST_SECRET}, sekret: x } }\n"+whole, ":1:54: ", `did you mean "secret"?`)
}

func TestASecretInAFileThatOthersCanReadIsRefused(t *testing.T) {
	t.Setenv("CONFIG_TEST_SECRET", "0123456789abcdef")
	robot := "chat: { dingtalk: { webhooks: { ops: { url: %, keyword: x } } } }\n"
	for name, c := range map[string]struct{ text, key string }{
		"a repository":     {with(t, "https://git", "https://me:hunter22@git"), "apps.shop.repository"},
		"a robot's URL":    {strings.Replace(robot, "%", "https://oapi.example.com/robot/send?access_token=abc", 1) + whole, "chat.dingtalk.webhooks.ops.url"},
		"a token":          {"server: { tokens: { ci: 0123456789abcdef } }\n" + whole, "server.tokens.ci"},
		"env by reference": {with(t, "runtime:\n", "env: { DSN: \"x://me:${CONFIG_TEST_SECRET}@db/x\", MODE: production }\n    runtime:\n"), ""},
		"a robot's token":  {strings.Replace(robot, "%", "https://oapi.example.com/robot/send?access_token=${CONFIG_TEST_SECRET}", 1) + whole, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := written(t, c.text)
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path, open{})
			if c.key == "" && err != nil {
				t.Error(err)
			}
			if c.key != "" && (err == nil || !strings.Contains(err.Error(), c.key) || !strings.Contains(err.Error(), "chmod 600")) {
				t.Errorf("%v does not refuse %s", err, c.key)
			}
			if err != nil && strings.Contains(err.Error(), "hunter22") {
				t.Errorf("%v tells the secret", err)
			}
		})
	}
}

func TestASecretThatWouldBeJournaledIsRefusedWhoeverCanReadTheFile(t *testing.T) {
	t.Setenv("CONFIG_TEST_SECRET", "0123456789abcdef")
	in := func(text string) string { return with(t, "runtime:\n", text+"\n    runtime:\n") }
	for text, key := range map[string]string{
		in("env: { DB_PASSWORD: hunter22 }"):                                                                   "apps.shop.env.DB_PASSWORD",
		in("env: { DSN: \"x://me:hunter22@db/x\" }"):                                                           "apps.shop.env.DSN",
		in("build: { env: { NPM_TOKEN: hunter22 } }"):                                                          "apps.shop.build.env.NPM_TOKEN",
		in("health: { headers: { Authorization: Bearer hunter22 } }"):                                          "apps.shop.health.headers.Authorization",
		in("env: { PGPASSWORD: hunter22 }"):                                                                    "apps.shop.env.PGPASSWORD",
		in("env: { dbPass: hunter22 }"):                                                                        "apps.shop.env.dbPass",
		in("env: { JDBC_URL: \"jdbc:mysql://db/x?user=me&password=hunter22\" }"):                               "apps.shop.env.JDBC_URL",
		in("hooks: { migrate: { run: [./m, --password=hunter22] } }"):                                          "apps.shop.hooks.migrate.run",
		in("build: { run: [make, TOKEN=hunter22] }"):                                                           "apps.shop.build.run",
		strings.Replace(whole, "[./server]", "[./server, --secret=hunter22]", 1):                               "apps.shop.runtime.command",
		with(t, "hosts:", "verify: { url: http://127.0.0.1/, headers: { Cookie: hunter22 } }\n        hosts:"): "verify.headers.Cookie",
	} {
		refused(t, text, key, "journaled", "${NAME}")
		if _, err := Load(written(t, text), open{}); strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%v tells the secret", err)
		}
	}
	loaded(t, in("env: { DB_PASSWORD: ${CONFIG_TEST_SECRET}, TOKEN_TTL: 3600, USE_TOKEN: true, KEYBOARD: qwertz, JDBC_URL: \"jdbc:mysql://db/x?password=${CONFIG_TEST_SECRET}\" }"))
}

func TestHooksAndSharedFoldersAreRead(t *testing.T) {
	in := func(text string) string { return with(t, "runtime:\n", text+"\n    runtime:\n") }
	c := loaded(t, in("hooks: { migrate: { run: [./m.sh, \"{port}\"] }, idle: { run: [idle], on: bot, timeout: 10m } }\n    shared: [{ path: /data/up, to: \"{dir}/up\" }]\n    env_file: /etc/shop.env"))
	h := c.Apps[0].Hooks
	if h.Migrate.On != deploy.OnFirstHost || h.Migrate.Timeout.D() != 5*time.Minute || h.Idle.On != deploy.OnBot || h.Idle.Timeout.D() != 10*time.Minute || !h.OnLive.Absent() {
		t.Errorf("the hooks are %+v", h)
	}
	for text, parts := range map[string][]string{
		"hooks: { migrat: { run: [x] } }":                  {"apps.shop.hooks.migrat", "migrate"},
		"hooks: { migrate: { run: [] } }":                  {"apps.shop.hooks.migrate.run", "it is missing"},
		"hooks: { migrate: { run: [x, \"{host}\"] } }":     {"{host}", "{port}"},
		"hooks: { migrate: { run: [x], on: everywhere } }": {"everywhere", "first_host"},
		"hooks: { migrate: { run: [x], timeout: 0s } }":    {"more than zero"},
		"shared: [{ path: data, to: \"{dir}/x\" }]":        {"absolute"},
		"shared: [{ path: /data, to: /srv/x }]":            {"{dir}/"},
		"shared: [{ path: /data, to: \"{dir}/../x\" }]":    {"without .."},
		"env_file: shop.env":                               {"absolute"},
		"poll: 1s":                                         {"at least 10s"},
		"build: { wait: 5m }":                              {"artifact_url"},
	} {
		refused(t, in(text), parts...)
	}
}

func TestTransportsFollowFromWhatIsConfigured(t *testing.T) {
	secret := "0123456789abcdef"
	auto := with(t, "hosts:", "branch: main\n        auto_deploy: true\n        hosts:")
	c := loaded(t, "chat: { slack: { bot_token: xoxb-1, app_token: xapp-1 }, dingtalk: { client_id: a, client_secret: "+secret+" } }\n"+auto)
	if c.Slack.Transport != TransportSocket || c.DingTalk.Transport != TransportStream || c.Apps[0].Poll.D() != time.Minute || c.Slack.Language != "en" {
		t.Errorf("without an address: %+v, %+v, poll %s", c.Slack, c.DingTalk, c.Apps[0].Poll)
	}
	c = loaded(t, "server: { public_url: https://bot.example.com }\nchat: { slack: { signing_secret: "+secret+", language: zh }, dingtalk: { client_id: a, client_secret: "+secret+" } }\n"+auto)
	if c.Slack.Transport != TransportHTTP || c.DingTalk.Transport != TransportHTTP || c.Apps[0].Poll != 0 || c.Slack.Language != "zh" {
		t.Errorf("with an address: %+v, %+v, poll %s", c.Slack, c.DingTalk, c.Apps[0].Poll)
	}
	refused(t, "chat: { slack: { transport: socket, bot_token: xoxb-1 } }\n"+whole, "chat.slack.app_token")
	refused(t, "chat: { slack: { transport: carrier-pigeon } }\n"+whole, "carrier-pigeon", "socket")
	refused(t, "chat: { dingtalk: { transport: stream, webhooks: {} } }\n"+whole, "client_id")
	refused(t, "chat: { slack: { app_token: xapp-1, language: fr } }\n"+whole, "fr", "zh")
}

func TestTheStateFolderIsReadFromAFileThatIsNotValidOtherwise(t *testing.T) {
	t.Setenv("CONFIG_TEST_HOME", "/srv/ipublish")
	path := written(t, "server: { state_dir: ${CONFIG_TEST_HOME}/state, tokens: { ci: ${CONFIG_TEST_NOT_SET} } }\nunknown: 1\n")
	if dir, err := StateDir(path); err != nil || dir != "/srv/ipublish/state" {
		t.Errorf("%q, %v", dir, err)
	}
	if dir, err := StateDir(written(t, whole)); err != nil || dir != "/var/lib/ipublish" {
		t.Errorf("%q, %v", dir, err)
	}
	for code, path := range map[deploy.Code]string{deploy.CodeNotFound: filepath.Join(t.TempDir(), "none.yaml"), deploy.CodeInvalid: written(t, "server: [")} {
		if _, err := StateDir(path); deploy.CodeOf(err) != code {
			t.Errorf("%v, want %s", err, code)
		}
	}
	if _, err := StateDir(written(t, "server: { state_dir: here }\n")); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("%v", err)
	}
}
