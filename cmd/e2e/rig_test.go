package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"

	"ipublish/bot/bottest"
	"ipublish/deploy"
	"ipublish/deployer/balancer/nginxtest"
	"ipublish/deployer/source/gitserve"
	"ipublish/deployer/source/gittest"
)

const (
	hookSecret = "a-secret-of-the-git-host-0123456789"
	channel    = "C0DEPLOYS"
)

// object is one level of the configuration.
type object = map[string]any

// rig is one installation: repository, configuration, chats, state and release
// folders, and the front door of the built-in proxy.
type rig struct {
	t           *testing.T
	dir         string
	listen      string // of the server
	front       string // of the built-in proxy: host:port
	blue, green int
	repo        *gittest.Repo
	slack       *bottest.Slack
	dingtalk    *bottest.DingTalk
	config      object
	server      *server
	api         *api
	version     string // that serves, where a test keeps count
}

// newRig makes an installation of the app shop with the built-in proxy; each
// change adapts its configuration before it is written.
func newRig(t *testing.T, changes ...func(r *rig)) *rig {
	t.Helper()
	r := &rig{
		t: t, dir: t.TempDir(), listen: freeAddr(t), front: freeAddr(t),
		blue: freePort(t), green: freePort(t),
		repo: gittest.NewRepo(t), slack: bottest.NewSlack(t), dingtalk: bottest.NewDingTalk(t),
	}
	t.Cleanup(r.sweep)
	t.Cleanup(r.readLogs)
	r.config = r.standard()
	for _, change := range changes {
		change(r)
	}
	r.writeConfig()
	r.api = newAPI(r)
	return r
}

// readLogs wants no defect in the logs, and shows the server's if the test failed.
func (r *rig) readLogs() {
	for _, path := range []string{r.log(), r.state("proxy.log")} {
		text, _ := os.ReadFile(path) // not every test has both
		for _, bad := range []string{"DATA RACE", "panic"} {
			if at := strings.Index(string(text), bad); at >= 0 {
				r.t.Errorf("%s tells of a defect:\n%s", path, text[at:min(at+4000, len(text))])
			}
		}
	}
	if r.t.Failed() {
		r.t.Logf("the server's log ends so:\n%s", tail(r.log()))
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	for {
		_, port, _ := strings.Cut(nginxtest.FreeAddr(t), ":")
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := given.LoadOrStore(n, true); !twice {
			return n
		}
	}
}

func freeAddr(t testing.TB) string { return "127.0.0.1:" + itoa(freePort(t)) }

// given are the ports that freePort gave: nobody may listen there yet.
var given sync.Map

// standard is the configuration that most tests begin with; its times are short.
func (r *rig) standard() object {
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	return object{
		"server": object{"listen": r.listen, "state_dir": r.state("")},
		"chat": object{
			"slack":    object{"signing_secret": r.slack.SigningSecret, "bot_token": r.slack.Token, "api_url": r.slack.APIURL()},
			"dingtalk": object{"webhooks": object{"all": object{"url": r.dingtalk.Robot("all", "SECmadeup0123456789", ""), "secret": "SECmadeup0123456789"}}},
		},
		"githooks": object{"github": object{"secret": hookSecret}},
		"roles":    object{"deployer": []string{"slack:U024BE7LH"}, "admin": []string{"slack:U0ADMIN00"}},
		"apps": object{"shop": object{
			"repository": r.repo.Serve(gitserve.Options{}), "slug": "acme/shop",
			"runtime": object{"command": object{"run": []string{self}, "supervisor": "session"}},
			"env":     object{appVar: "shop", "E2E_RIG": r.dir},
			"health": object{
				"path": "/healthz", "interval": "100ms", "timeout": "2s", "min_healthy_time": "200ms", "healthy_deadline": "30s",
			},
			"environments": object{"production": object{
				"branch": "main", "auto_deploy": true, "channels": []string{"slack:" + channel, "dingtalk:webhook/all"},
				"hosts": []any{"local"}, "release_dir": filepath.Join(r.dir, "releases"),
				"strategy": object{"blue_green": object{
					"slots": object{"blue": r.blue, "green": r.green}, "bake_time": "300ms", "keep_old": "0s",
				}},
				"balancer":      object{"proxy": object{"listen": r.front}},
				"drain_timeout": "10s", "stop_timeout": "10s", "progress_deadline": "3m",
			}},
		}},
	}
}

// app is the app's section of the configuration.
func (r *rig) app() object { return r.config["apps"].(object)["shop"].(object) }

// env is the environment's section of the configuration.
func (r *rig) env() object {
	return r.app()["environments"].(object)["production"].(object)
}

// blueGreen is the strategy's section of the configuration.
func (r *rig) blueGreen() object {
	return r.env()["strategy"].(object)["blue_green"].(object)
}

// health changes keys of the app's health check.
func (r *rig) health(keys object) { maps.Copy(r.app()["health"].(object), keys) }

func (r *rig) writeConfig() {
	r.t.Helper()
	text, err := yaml.Marshal(r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.configFile(), text, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// rewrite changes the configuration under the running server.
func (r *rig) rewrite(change func()) {
	r.t.Helper()
	change()
	r.writeConfig()
	r.server.reload()
}

func (r *rig) configFile() string { return filepath.Join(r.dir, "ipublish.yaml") }
func (r *rig) log() string        { return filepath.Join(r.dir, "serve.log") }

// state is a path in the server's state folder.
func (r *rig) state(name string) string { return filepath.Join(r.dir, "state", name) }

// mark is the environment variable by which the rig's processes are known.
func (r *rig) mark() string { return "E2E_RIG=" + r.dir }

// frontURL is the front door of the built-in proxy.
func (r *rig) frontURL() string { return "http://" + r.front }

// port is that of a slot.
func (r *rig) port(s deploy.Slot) int {
	if s == deploy.Green {
		return r.green
	}
	return r.blue
}

// commit adds a version of the sample app to the branch main.
func (r *rig) commit(b behaviour) string {
	r.t.Helper()
	return r.repo.Commit("Release "+b.Version+"\n", b.files())
}

// in is the same installation as a part of a test sees it, until that ends.
func (r *rig) in(t *testing.T) *rig {
	part, api := *r, *r.api
	part.t, part.api, api.rig = t, &api, &part
	return &part
}
