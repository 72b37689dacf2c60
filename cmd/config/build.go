package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

var (
	appName           = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	hostName          = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	hookNames         = []string{"github", "gitlab", "gitea", "gogs", "forgejo", "gitee"}
	repositorySchemes = []string{"https", "http", "ssh", "file"}
	roleNames         = []string{"admin", "approver", "deployer"}
	actorPrefix       = regexp.MustCompile(`^(slack|dingtalk|token|cli):.+$`)
)

// building turns a decoded file into a Config; the first fault is kept.
type building struct {
	source source
	check  Check
	err    error
}

func (b *building) fail(key, format string, args ...any) {
	if b.err == nil {
		b.err = invalid(b.source.where(key), key+": "+fmt.Sprintf(format, args...))
	}
}

// expand resolves references in a value that the server itself uses.
func (b *building) expand(key, text string) string {
	v, err := Expand(text)
	if err != nil {
		b.fail(key, "%v", err)
	}
	return v
}

func build(s source, f file, check Check) (*Config, error) {
	b := &building{source: s, check: check}
	c := &Config{Path: s.path, Hooks: map[string]string{}, Roles: f.Roles, Tokens: map[string]string{}}
	b.server(c, f.Server)
	b.chat(c, f.Chat)
	b.hooks(c, "githooks", "", f.Githooks)
	b.roles(f.Roles)
	if len(f.Apps) == 0 {
		b.fail("apps", "there are none: it needs at least one, with its repository, runtime and environments")
	}
	for _, name := range slices.Sorted(maps.Keys(f.Apps)) {
		c.Apps = append(c.Apps, b.app(name, f.Apps[name]))
		b.hooks(c, "apps."+name+".githooks", "/"+name, f.Apps[name].Githooks)
	}
	b.polled(c, f)
	if b.err == nil {
		b.apart(c)
	}
	if b.err != nil {
		return nil, b.err
	}
	return c, nil
}

// polled makes the bot look at branch tips by itself where no git host could
// tell it: there is neither a public address nor a hook.
func (b *building) polled(c *Config, f file) {
	for i, a := range c.Apps {
		auto := slices.ContainsFunc(a.Environments, func(e deploy.Environment) bool { return e.AutoDeploy })
		if f.Apps[a.Name].Poll == nil && auto && c.Public == "" && len(c.Hooks) == 0 {
			c.Apps[i].Poll = seconds(60)
		}
	}
}

func (b *building) server(c *Config, s serverFile) {
	c.Listen = cmp.Or(s.Listen, "127.0.0.1:8090")
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		b.fail("server.listen", "%q is not host:port", c.Listen)
	}
	c.Public, c.StateDir = s.PublicURL, b.stateDir(s.StateDir)
	if u, err := url.Parse(c.Public); c.Public != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		b.fail("server.public_url", "%q is not an http or https URL, such as https://ipublish.example.com", c.Public)
	}
	for name, secret := range s.Tokens {
		key := "server.tokens." + name
		c.Tokens[name] = b.secret(key, secret)
	}
}

func (b *building) stateDir(text string) string {
	dir := cmp.Or(b.expand("server.state_dir", text), "/var/lib/ipublish")
	if !filepath.IsAbs(dir) {
		b.fail("server.state_dir", "%q is not an absolute path", dir)
	}
	return dir
}

// secret wants at least 16 bytes: a short or empty one opens the door.
func (b *building) secret(key, text string) string {
	v := b.expand(key, text)
	if len(v) < 16 {
		b.fail(key, "a secret has at least 16 characters, this one has %d: make one with `openssl rand -hex 32`", len(v))
	}
	return v
}

func (b *building) hooks(c *Config, key, suffix string, hooks map[string]secretFile) {
	for name, h := range hooks {
		if !slices.Contains(hookNames, name) {
			b.fail(key+"."+name, "no such git host: one of %s", strings.Join(hookNames, ", "))
		}
		c.Hooks[name+suffix] = b.secret(key+"."+name+".secret", h.Secret)
	}
}

func (b *building) roles(roles map[string][]string) {
	for role, actors := range roles {
		if !slices.Contains(roleNames, role) {
			b.fail("roles."+role, "no such role: one of %s", strings.Join(roleNames, ", "))
		}
		for _, a := range actors {
			if !actorPrefix.MatchString(a) {
				b.fail("roles."+role, "%q is no id of a person: `whoami` in the chat prints it, such as slack:U024BE7LH or dingtalk:manager4220", a)
			}
		}
	}
}

func (b *building) app(name string, f appFile) deploy.App {
	key := "apps." + name
	if !appName.MatchString(name) {
		b.fail(key, "a name has lower-case letters, digits, - and _ only")
	}
	if f.Repository == "" {
		b.fail(key+".repository", "it is missing: the URL that is cloned (https, ssh or file)")
	}
	a := deploy.App{
		Name: name, Repository: f.Repository, Slug: cmp.Or(f.Slug, slug(f.Repository)),
		Credential: deploy.Credential(f.Credentials), Build: b.build(key+".build", f.Build),
		Runtime: b.section(key+".runtime", f.Runtime), Env: f.Env, EnvFile: f.EnvFile, Shared: b.shared(key+".shared", f.Shared),
		Hooks: b.programs(key+".hooks", f.Hooks), Poll: lasting(f.Poll, 0), Health: b.health(key+".health", f.Health), Keep: given(f.KeepReleases, 5),
	}
	b.repository(key+".repository", b.expand(key+".repository", f.Repository))
	b.expand(key+".credentials.user", f.Credentials.User)
	b.reference(key+".credentials.ssh_key", f.Credentials.SSHKey)
	b.reference(key+".credentials.token", f.Credentials.Token)
	if u, err := url.Parse(f.Repository); err == nil && u.User != nil {
		if password, set := u.User.Password(); set && literal(password) {
			b.fail(key+".repository", "it holds a password, which would be journaled with every plan: write it as credentials: { user: …, token: ${NAME} }")
		}
	}
	b.secretFree(key+".env", f.Env, secretVariable)
	if a.EnvFile != "" && !filepath.IsAbs(a.EnvFile) {
		b.fail(key+".env_file", "%q is not an absolute path: it is a file of the hosts", a.EnvFile)
	}
	if a.Poll != 0 && a.Poll < seconds(10) {
		b.fail(key+".poll", "at least 10s, so that the git host is not loaded; 0s switches it off")
	}
	if a.Keep < 1 {
		b.fail(key+".keep_releases", "at least 1 release is kept, so that there is one to go back to")
	}
	if b.err == nil {
		if err := b.check.CheckRuntime(a.Runtime); err != nil {
			b.fail(key+".runtime", "%s", deploy.MessageOf(err))
		} else {
			a.Caveats = b.check.Caveats(a.Runtime)
		}
	}
	for _, env := range slices.Sorted(maps.Keys(f.Environments)) {
		a.Environments = append(a.Environments, b.environment(a, env, f.Environments[env]))
	}
	if len(a.Environments) == 0 {
		b.fail(key+".environments", "it is missing: at least one, such as production")
	}
	return a
}

// repository wants a form that the source understands; what it leads to is
// looked up by `check`.
func (b *building) repository(key, text string) {
	if text != "" && !repositoryForm(text) {
		b.fail(key, "this is no repository: write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH, file:///PATH or an absolute path")
	}
}

func repositoryForm(text string) bool {
	if strings.HasPrefix(text, "-") || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return false
	}
	if filepath.IsAbs(text) {
		return true
	}
	if !strings.Contains(text, "://") {
		host, path, ok := strings.Cut(text, ":")
		return ok && host != "" && path != "" && !strings.ContainsAny(path[:1], "-:") && !strings.Contains(host, "/")
	}
	u, err := url.Parse(text)
	return err == nil && slices.Contains(repositorySchemes, u.Scheme) && u.Path != "" && (u.Host == "") == (u.Scheme == "file")
}

// reference wants a secret of an app to be a reference: plans are journaled
// with the settings that they carry.
func (b *building) reference(key, text string) {
	b.expand(key, text)
	if literal(text) {
		b.fail(key, "a secret here would be journaled with every plan: write ${NAME} and set the environment variable, or ${file:/path}")
	}
}

func (b *building) build(key string, f buildFile) deploy.Build {
	b.secretFree(key+".env", f.Env, secretVariable)
	b.secretFree(key+".headers", f.Headers, secretHeader)
	b.textFree(key+".run", f.Run...)
	b.textFree(key+".artifact_url", f.ArtifactURL)
	b.textFree(key+".sha256_url", f.SHA256URL)
	if f.Artifact != "" && !filepath.IsLocal(f.Artifact) {
		b.fail(key+".artifact", "%q leads out of the repository: it is a path within it, such as target/shop.war", f.Artifact)
	}
	out := deploy.Build{
		Run: f.Run, Artifact: f.Artifact, Env: f.Env, Cache: f.Cache,
		Timeout: lasting(f.Timeout, deploy.Duration(15*time.Minute)), SilenceTimeout: lasting(f.SilenceTimeout, deploy.Duration(5*time.Minute)),
		ArtifactURL: f.ArtifactURL, Headers: f.Headers, SHA256URL: f.SHA256URL,
	}
	if out.ArtifactURL != "" {
		out.Wait = lasting(f.Wait, deploy.Duration(20*time.Minute))
	} else if f.Wait != nil || f.SHA256URL != "" || len(f.Headers) > 0 {
		b.fail(key, "wait, sha256_url and headers go with artifact_url only")
	}
	if b.err == nil {
		if err := b.check.CheckBuild(out); err != nil {
			b.fail(key, "%s", deploy.MessageOf(err))
		}
	}
	return out
}

func (b *building) section(key string, s section) deploy.Section {
	if len(s) != 1 {
		b.fail(key, "it holds exactly one driver, such as `command:` or `nginx:`, with its settings below it")
		return deploy.Section{}
	}
	for name, settings := range s {
		b.textFree(key+"."+name, textsIn(settings)...)
		b.namedFree(key+"."+name, settings)
		raw, err := json.Marshal(settings)
		if err != nil {
			b.fail(key+"."+name, "%v", err)
		}
		if settings == nil {
			raw = []byte("{}")
		}
		return deploy.Section{Driver: name, Settings: raw}
	}
	return deploy.Section{}
}

func (b *building) health(key string, f healthFile) deploy.Health {
	h := deploy.Health{
		Path: cmp.Or(f.Path, "/healthz"), Method: cmp.Or(f.Method, "GET"), Headers: f.Headers, FollowRedirects: given(f.FollowRedirects, true),
		ExpectStatus: f.ExpectStatus, ExpectRelease: cmp.Or(f.ExpectRelease, "process"),
		Interval: lasting(f.Interval, seconds(1)), Timeout: lasting(f.Timeout, seconds(5)),
		SuccessThreshold: given(f.SuccessThreshold, 1), FailureThreshold: given(f.FailureThreshold, 3),
		MinHealthyTime: lasting(f.MinHealthyTime, seconds(10)), HealthyDeadline: lasting(f.HealthyDeadline, seconds(300)),
	}
	b.secretFree(key+".headers", f.Headers, secretHeader)
	if len(h.ExpectStatus) == 0 {
		h.ExpectStatus = []int{200}
	}
	how, arg, _ := strings.Cut(h.ExpectRelease, ":")
	_, reErr := regexp.Compile(arg)
	switch {
	case !strings.HasPrefix(h.Path, "/"):
		b.fail(key+".path", "%q does not begin with /", h.Path)
	case how != "process" && (how != "header" && how != "body" || arg == ""):
		b.fail(key+".expect_release", "%q is not process, header:NAME or body:REGEX", h.ExpectRelease)
	case how == "body" && reErr != nil:
		b.fail(key+".expect_release", "%v", reErr)
	case h.Interval <= 0 || h.Timeout <= 0:
		b.fail(key, "interval and timeout are more than zero")
	case h.SuccessThreshold < 1 || h.FailureThreshold < 1:
		b.fail(key, "success_threshold and failure_threshold are at least 1")
	case h.MinHealthyTime >= h.HealthyDeadline:
		b.fail(key, "min_healthy_time (%s) must be less than healthy_deadline (%s), or nothing can ever pass", h.MinHealthyTime, h.HealthyDeadline)
	}
	return h
}

func (b *building) verify(key string, f verifyFile) *deploy.Verify {
	u, err := url.Parse(f.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		b.fail(key+".url", "%q is not an http or https URL", f.URL)
	}
	v := &deploy.Verify{
		URL: f.URL, Connect: f.Connect, Interval: lasting(f.Interval, deploy.Duration(200*time.Millisecond)), MaxFailures: f.MaxFailures,
		Body: f.Body, ExpectBody: f.ExpectBody,
		Health: deploy.Health{
			Method: cmp.Or(f.Method, "GET"), Headers: f.Headers, FollowRedirects: given(f.FollowRedirects, true),
			ExpectStatus: f.ExpectStatus, Timeout: lasting(f.Timeout, seconds(5)), SuccessThreshold: 1, FailureThreshold: 1,
		},
	}
	b.secretFree(key+".headers", f.Headers, secretHeader)
	if len(v.ExpectStatus) == 0 {
		v.ExpectStatus = []int{200}
	}
	if v.Connect != "" {
		if _, _, err := net.SplitHostPort(v.Connect); err != nil {
			b.fail(key+".connect", "%q is not host:port", v.Connect)
		}
	}
	if _, err := regexp.Compile(v.ExpectBody); err != nil {
		b.fail(key+".expect_body", "%v", err)
	}
	b.expand(key+".body", f.Body)
	b.textFree(key+".body", f.Body)
	if v.Body != "" && v.Method == http.MethodGet {
		b.fail(key+".body", "a GET has none: give the method that it is for, such as method: POST")
	}
	if v.MaxFailures < 0 {
		b.fail(key+".max_failures", "it is zero or more")
	}
	if v.Interval < deploy.Duration(50*time.Millisecond) {
		b.fail(key+".interval", "at least 50ms, so that the probes are no load")
	}
	return v
}

func seconds(n int) deploy.Duration { return deploy.Duration(time.Duration(n) * time.Second) }

// given is the value of a key, or its default where it is absent.
func given[T any](v *T, fallback T) T {
	if v == nil {
		return fallback
	}
	return *v
}

// lasting is given for durations.
func lasting(v *duration, fallback deploy.Duration) deploy.Duration {
	if v == nil {
		return fallback
	}
	return deploy.Duration(*v)
}

// slug is the repository's full name as its URL tells it: "acme/shop".
func slug(repository string) string {
	path := repository
	if u, err := url.Parse(repository); err == nil && u.Scheme != "" {
		path = u.Path
	} else if _, after, ok := strings.Cut(repository, ":"); ok {
		path = after
	}
	return strings.TrimSuffix(strings.Trim(path, "/"), ".git")
}
