package deploy

import (
	"encoding/json"
	"fmt"
	"strings"
)

// App is one application as the configuration has it, validated once at load.
type App struct {
	Name       string            `json:"name"`
	Repository string            `json:"repository"`     // what is cloned: https, ssh (scp form too) or file
	Slug       string            `json:"slug,omitempty"` // full name in webhook payloads, "acme/shop"
	Credential Credential        `json:"credentials,omitzero"`
	Build      Build             `json:"build,omitzero"`
	Runtime    Section           `json:"runtime"`
	Env        map[string]string `json:"env,omitempty"`      // values may hold ${NAME} references, resolved at execution
	EnvFile    string            `json:"env_file,omitempty"` // absolute, on the hosts: NAME=value lines; Env wins over it
	Shared     []Shared          `json:"shared,omitempty"`
	Hooks      Hooks             `json:"hooks,omitzero"`
	Health     Health            `json:"health"`
	Keep       int               `json:"keep_releases"`     // good releases kept on the hosts
	Poll       Duration          `json:"poll,omitempty"`    // how often the branch tips are looked at; 0: never
	Caveats    []string          `json:"caveats,omitempty"` // what the runtime wants said with every plan and report

	Environments []Environment `json:"environments,omitempty"`
}

// Environment finds an environment of the app by name.
func (a App) Environment(name string) (Environment, bool) {
	for _, e := range a.Environments {
		if e.Name == name {
			return e, true
		}
	}
	return Environment{}, false
}

// Environment is one place where an app runs, with every default filled in.
type Environment struct {
	Name             string    `json:"name"`
	Branch           string    `json:"branch,omitempty"`
	AutoDeploy       bool      `json:"auto_deploy,omitempty"`
	Channels         []string  `json:"channels,omitempty"` // "slack:C0DEPLOYS", "dingtalk:cid…", "dingtalk:webhook/all"
	Hosts            []Host    `json:"hosts"`
	ReleaseDir       string    `json:"release_dir"` // absolute, on the hosts
	BlueGreen        BlueGreen `json:"blue_green,omitzero"`
	Rolling          *Rolling  `json:"rolling,omitempty"` // nil: the strategy is blue/green
	Balancer         Section   `json:"balancer"`
	Verify           *Verify   `json:"verify,omitempty"` // nil: no front door is probed
	DrainTimeout     Duration  `json:"drain_timeout"`
	IdleAfter        Duration  `json:"idle_after"`
	StopTimeout      Duration  `json:"stop_timeout"`
	ProgressDeadline Duration  `json:"progress_deadline"`
	AutoRevert       bool      `json:"auto_revert"`
}

// HostIDs returns the ids of the environment's hosts in their configured order.
func (e Environment) HostIDs() []HostID {
	return idsOf(e.Hosts)
}

// BlueGreen is the strategy of two slots, of which exactly one receives traffic.
type BlueGreen struct {
	Blue     int      `json:"blue"`  // port
	Green    int      `json:"green"` // port
	BakeTime Duration `json:"bake_time"`
	KeepOld  Duration `json:"keep_old"` // lease of the old slot after the deploy's end; 0 stops it at once
}

// Port returns the port of a slot, 0 for an unknown one.
func (b BlueGreen) Port(s Slot) int {
	switch s {
	case Blue:
		return b.Blue
	case Green:
		return b.Green
	}
	return 0
}

// Port returns the port of a slot under the environment's strategy, 0 for an unknown one.
func (e Environment) Port(s Slot) int {
	if e.Rolling != nil {
		return e.Rolling.Port
	}
	return e.BlueGreen.Port(s)
}

// Slot is one of the two places of a blue/green environment, or the one place
// that every host of a rolling environment has.
type Slot string

// The slots. The empty Slot means none.
const (
	Blue  Slot = "blue"
	Green Slot = "green"
	Main  Slot = "main" // of a rolling environment
)

// Other returns the other slot; Blue for none.
func (s Slot) Other() Slot {
	if s == Blue {
		return Green
	}
	return Blue
}

// HostID names a host within its environment.
type HostID string

// Host is one machine. Driver says how it is reached.
type Host struct {
	ID      HostID            `json:"id"`
	Address string            `json:"address"` // what a balancer uses to reach the app: name or IP, no port
	Driver  Section           `json:"driver"`  // "local" or "ssh"
	Labels  map[string]string `json:"labels,omitempty"`
}

// Section is a driver's part of the configuration: its name and its settings
// as JSON, which only that driver decodes. Strings in Settings may hold ${NAME}
// and ${file:…} references; they are resolved just before the driver is opened
// and never journaled in the clear.
type Section struct {
	Driver   string          `json:"driver"`
	Settings json.RawMessage `json:"settings,omitempty"`
}

// Credential opens the repository. Values may be ${…} references.
type Credential struct {
	SSHKey     string `json:"ssh_key,omitempty"`
	KnownHosts string `json:"known_hosts,omitempty"` // path; default: the bot user's own
	User       string `json:"user,omitempty"`
	Token      string `json:"token,omitempty"`
}

// Build says how a commit becomes an artifact. With an empty Run the exported
// tree (or Artifact within it) is shipped as it is.
type Build struct {
	Run            []string          `json:"run,omitempty"`      // argv; never through a shell
	Artifact       string            `json:"artifact,omitempty"` // file or folder within the tree; empty: the whole tree
	Timeout        Duration          `json:"timeout,omitempty"`
	SilenceTimeout Duration          `json:"silence_timeout,omitempty"`
	Env            map[string]string `json:"env,omitempty"`
	Cache          []string          `json:"cache,omitempty"` // folders kept from build to build: ~/x below the build's home, else below the tree

	// ArtifactURL makes CI the builder: the artifact is downloaded, polled until
	// it exists, at most Wait long. {commit} and {short} are replaced.
	ArtifactURL string            `json:"artifact_url,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`    // of the download; values may be ${…} references
	SHA256URL   string            `json:"sha256_url,omitempty"` // a text whose first word is the artifact's sha256, in hex
	Wait        Duration          `json:"wait,omitempty"`
}

// Shared is a file or folder of the hosts that every release sees at the same
// place: To becomes a symbolic link to Path before a start. Path is absolute; To
// begins with {dir}/ (the release's folder) or {home}/ (the slot's).
type Shared struct {
	Path string `json:"path"`
	To   string `json:"to"`
}

// Hooks are the user's own programs at fixed points of a deploy; a zero Hook is
// none. Each is journaled as a step and runs again after a crash.
type Hooks struct {
	Migrate   Hook `json:"migrate,omitzero"`    // before the new release starts; never undone
	SmokeTest Hook `json:"smoke_test,omitzero"` // against the new slot, before the switch
	OnLive    Hook `json:"on_live,omitzero"`    // of a slot, after it went live
	OnIdle    Hook `json:"on_idle,omitzero"`    // of a slot, before it is drained
	Idle      Hook `json:"idle,omitzero"`       // exit status 0: the slot has no background work; asked until then before a stop
}

// Hook is one program: argv, never through a shell. In it {port}, {slot},
// {release}, {short}, {dir} and {home} are replaced.
type Hook struct {
	Run     []string `json:"run,omitempty"`
	On      string   `json:"on,omitempty"` // OnBot, OnFirstHost or OnHosts
	Timeout Duration `json:"timeout,omitempty"`
}

// Absent reports whether there is no program.
func (h Hook) Absent() bool { return len(h.Run) == 0 }

// Where a hook runs: beside the bot, on the environment's first host, on each.
const (
	OnBot       = "bot"
	OnFirstHost = "first_host"
	OnHosts     = "hosts"
)

// Health is the check that an instance passes before it may receive traffic.
type Health struct {
	Path             string            `json:"path"`
	Method           string            `json:"method"`
	Headers          map[string]string `json:"headers,omitempty"`
	FollowRedirects  bool              `json:"follow_redirects"`
	ExpectStatus     []int             `json:"expect_status"`
	ExpectRelease    string            `json:"expect_release"` // "process", "header:NAME" or "body:REGEX"
	Interval         Duration          `json:"interval"`
	Timeout          Duration          `json:"timeout"` // bounds one probe with its redirects
	SuccessThreshold int               `json:"success_threshold"`
	FailureThreshold int               `json:"failure_threshold"` // consecutive failures that make an instance unhealthy
	MinHealthyTime   Duration          `json:"min_healthy_time"`
	HealthyDeadline  Duration          `json:"healthy_deadline"`
}

// Expects reports whether status is one of the expected ones.
func (h Health) Expects(status int) bool {
	for _, s := range h.ExpectStatus {
		if s == status {
			return true
		}
	}
	return false
}

// Verify is the probe of the front door, through the balancer.
type Verify struct {
	URL         string   `json:"url"`
	Connect     string   `json:"connect,omitempty"` // host:port dialled instead of the URL's
	Interval    Duration `json:"interval"`
	MaxFailures int      `json:"max_failures"`          // confirmed ones, beyond what was usual before the change
	Body        string   `json:"body,omitempty"`        // is sent with the request
	ExpectBody  string   `json:"expect_body,omitempty"` // regular expression that a good answer matches
	Health               // method, headers, status, timeout; Path is taken from URL
}

// Target names one environment: "shop/production".
type Target struct {
	App string `json:"app"`
	Env string `json:"env"`
}

// String gives "app/env".
func (t Target) String() string { return t.App + "/" + t.Env }

// ParseTarget reads what String wrote.
func ParseTarget(s string) (Target, error) {
	app, env, ok := strings.Cut(s, "/")
	if !ok || app == "" || env == "" || strings.Contains(env, "/") {
		return Target{}, fmt.Errorf("%q is not APP/ENV", s)
	}
	return Target{App: app, Env: env}, nil
}
