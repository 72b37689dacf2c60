package config

import "fmt"

// The shape of the file. Pointers tell an absent key from a zero one.
type file struct {
	Server   serverFile            `yaml:"server"`
	Chat     chatFile              `yaml:"chat"`
	Githooks map[string]secretFile `yaml:"githooks"`
	Roles    map[string][]string   `yaml:"roles"`
	Apps     map[string]appFile    `yaml:"apps"`
}

type serverFile struct {
	Listen    string            `yaml:"listen"`
	PublicURL string            `yaml:"public_url"`
	StateDir  string            `yaml:"state_dir"`
	Tokens    map[string]string `yaml:"tokens"`
}

type chatFile struct {
	Slack    *slackFile    `yaml:"slack"`
	DingTalk *dingtalkFile `yaml:"dingtalk"`
}

type slackFile struct {
	Transport     string `yaml:"transport"`
	SigningSecret string `yaml:"signing_secret"`
	BotToken      string `yaml:"bot_token"`
	AppToken      string `yaml:"app_token"`
	Language      string `yaml:"language"`
	Command       string `yaml:"command"`
	APIURL        string `yaml:"api_url"`
}

type dingtalkFile struct {
	Transport    string                 `yaml:"transport"`
	Language     string                 `yaml:"language"`
	ClientID     string                 `yaml:"client_id"`
	ClientSecret string                 `yaml:"client_secret"`
	RobotCode    string                 `yaml:"robot_code"`
	APIURL       string                 `yaml:"api_url"`
	Webhooks     map[string]webhookFile `yaml:"webhooks"`
}

type webhookFile struct {
	URL     string `yaml:"url"`
	Secret  string `yaml:"secret"`
	Keyword string `yaml:"keyword"`
}

type secretFile struct {
	Secret string `yaml:"secret"`
}

type appFile struct {
	Repository   string                     `yaml:"repository"`
	Slug         string                     `yaml:"slug"`
	Credentials  credentialFile             `yaml:"credentials"`
	Build        buildFile                  `yaml:"build"`
	Runtime      section                    `yaml:"runtime"`
	Env          map[string]string          `yaml:"env"`
	EnvFile      string                     `yaml:"env_file"`
	Shared       []sharedFile               `yaml:"shared"`
	Hooks        map[string]hookFile        `yaml:"hooks"`
	Poll         *duration                  `yaml:"poll"`
	Health       healthFile                 `yaml:"health"`
	KeepReleases *int                       `yaml:"keep_releases"`
	Githooks     map[string]secretFile      `yaml:"githooks"`
	Environments map[string]environmentFile `yaml:"environments"`
}

type credentialFile struct {
	SSHKey     string `yaml:"ssh_key"`
	KnownHosts string `yaml:"known_hosts"`
	User       string `yaml:"user"`
	Token      string `yaml:"token"`
}

type buildFile struct {
	Run            []string          `yaml:"run"`
	Artifact       string            `yaml:"artifact"`
	Timeout        *duration         `yaml:"timeout"`
	SilenceTimeout *duration         `yaml:"silence_timeout"`
	Env            map[string]string `yaml:"env"`
	Cache          []string          `yaml:"cache"`
	ArtifactURL    string            `yaml:"artifact_url"`
	Headers        map[string]string `yaml:"headers"`
	SHA256URL      string            `yaml:"sha256_url"`
	Wait           *duration         `yaml:"wait"`
}

type sharedFile struct {
	Path string `yaml:"path"`
	To   string `yaml:"to"`
}

type hookFile struct {
	Run     []string  `yaml:"run"`
	On      string    `yaml:"on"`
	Timeout *duration `yaml:"timeout"`
}

type healthFile struct {
	Path             string            `yaml:"path"`
	Method           string            `yaml:"method"`
	Headers          map[string]string `yaml:"headers"`
	FollowRedirects  *bool             `yaml:"follow_redirects"`
	ExpectStatus     []int             `yaml:"expect_status"`
	ExpectRelease    string            `yaml:"expect_release"`
	Interval         *duration         `yaml:"interval"`
	Timeout          *duration         `yaml:"timeout"`
	SuccessThreshold *int              `yaml:"success_threshold"`
	FailureThreshold *int              `yaml:"failure_threshold"`
	MinHealthyTime   *duration         `yaml:"min_healthy_time"`
	HealthyDeadline  *duration         `yaml:"healthy_deadline"`
}

type verifyFile struct {
	URL             string            `yaml:"url"`
	Connect         string            `yaml:"connect"`
	Interval        *duration         `yaml:"interval"`
	MaxFailures     int               `yaml:"max_failures"`
	Method          string            `yaml:"method"`
	Body            string            `yaml:"body"`
	ExpectBody      string            `yaml:"expect_body"`
	Headers         map[string]string `yaml:"headers"`
	FollowRedirects *bool             `yaml:"follow_redirects"`
	ExpectStatus    []int             `yaml:"expect_status"`
	Timeout         *duration         `yaml:"timeout"`
}

type environmentFile struct {
	Branch           string       `yaml:"branch"`
	AutoDeploy       bool         `yaml:"auto_deploy"`
	Channels         []string     `yaml:"channels"`
	Hosts            []hostFile   `yaml:"hosts"`
	ReleaseDir       string       `yaml:"release_dir"`
	Strategy         strategyFile `yaml:"strategy"`
	Balancer         section      `yaml:"balancer"`
	Verify           *verifyFile  `yaml:"verify"`
	DrainTimeout     *duration    `yaml:"drain_timeout"`
	IdleAfter        *duration    `yaml:"idle_after"`
	StopTimeout      *duration    `yaml:"stop_timeout"`
	ProgressDeadline *duration    `yaml:"progress_deadline"`
	AutoRevert       *bool        `yaml:"auto_revert"`
}

type strategyFile struct {
	BlueGreen *blueGreenFile `yaml:"blue_green"`
	Rolling   *rollingFile   `yaml:"rolling"`
}

type rollingFile struct {
	Port             int       `yaml:"port"`
	MaxParallel      *int      `yaml:"max_parallel"`
	MinHealthy       *share    `yaml:"min_healthy"`
	Batches          []share   `yaml:"batches"`
	BakeTime         *duration `yaml:"bake_time"`
	OnHostFailure    string    `yaml:"on_host_failure"`
	MaxFailedHosts   int       `yaml:"max_failed_hosts"`
	UnreachableAfter *duration `yaml:"unreachable_after"`
}

type blueGreenFile struct {
	Slots    slotsFile `yaml:"slots"`
	BakeTime *duration `yaml:"bake_time"`
	KeepOld  *duration `yaml:"keep_old"`
}

type slotsFile struct {
	Blue  int `yaml:"blue"`
	Green int `yaml:"green"`
}

// section is a driver's part: exactly one key, its name.
type section map[string]any

// hostFile is "local", "ssh://…" or a mapping; it may stand for several hosts.
type hostFile struct {
	Name         string            `yaml:"name"`
	SSH          string            `yaml:"ssh"`
	Address      string            `yaml:"address"`
	Become       []string          `yaml:"become"`
	IdentityFile string            `yaml:"identity_file"`
	KnownHosts   string            `yaml:"known_hosts"`
	ProxyJump    string            `yaml:"proxy_jump"`
	Labels       map[string]string `yaml:"labels"`
}

type hostMapping hostFile

// UnmarshalYAML reads both forms of a host.
func (h *hostFile) UnmarshalYAML(decode func(any) error) error {
	var text string
	if err := decode(&text); err == nil {
		if text == "local" {
			h.Name = "local"
			return nil
		}
		h.SSH = text
		return nil
	}
	var m hostMapping
	if err := decode(&m); err != nil {
		return fmt.Errorf("a host is written as local, as ssh://user@host:port, or as {name, ssh, address, become, labels}: %w", err)
	}
	*h = hostFile(m)
	return nil
}
