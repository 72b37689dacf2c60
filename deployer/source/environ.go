package source

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"ipublish/deploy"
)

// passedOn are the only variables of the bot's own environment that a build
// sees. The rule: who and where we are, where tools keep their homes and caches
// (a build without cache downloads the world), and where dependencies come
// from (a machine behind a package mirror cannot build without). Everything
// else, and above all the bot's secrets, stays out; build.env adds to it.
func passedOn() []string {
	return []string{
		"PATH", "HOME", "USER", "LOGNAME", "SHELL",
		"LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ",
		"XDG_CACHE_HOME", "XDG_CONFIG_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"GOCACHE", "GOMODCACHE", "GOPATH", "GOROOT", "GOTOOLCHAIN", "GOFLAGS", "GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE",
		"JAVA_HOME", "M2_HOME", "MAVEN_HOME", "MAVEN_OPTS", "GRADLE_USER_HOME",
		"NPM_CONFIG_CACHE", "NPM_CONFIG_REGISTRY", "PIP_INDEX_URL", "PIP_CACHE_DIR", "CARGO_HOME", "RUSTUP_HOME",
	}
}

// environ is the environment of a build: what is passed on, the build's own
// folder for temporary files, build.env with its references resolved, and
// COMMIT, the full hash. secrets are the values that came out of references.
//
// HOME is the bot's own, unless build.cache keeps folders below it: then it is a
// folder of this build, empty but for those, and Java is told so, which takes
// its user.home from the system's users and not from HOME.
func (w *Workshop) environ(p deploy.Settings, commit string, place site) (env, secrets []string, err error) {
	values := map[string]string{}
	for _, name := range passedOn() {
		if v, ok := os.LookupEnv(name); ok {
			values[name] = v
		}
	}
	values["TMPDIR"] = place.tmp
	ownHome := belowHome(p.Build.Cache)
	if ownHome {
		values["HOME"] = place.home
	}
	for name, ref := range p.Build.Env {
		v, err := w.o.Resolve(ref)
		if err != nil {
			return nil, nil, fault(deploy.CodeInvalid, "build", name,
				fmt.Sprintf("build.env.%s holds a reference that cannot be resolved", name), err)
		}
		if v != ref {
			secrets = append(secrets, v)
		}
		values[name] = v
	}
	values["COMMIT"] = commit
	if ownHome {
		values[javaOptions] = strings.TrimSpace(javaHome(place.home) + " " + values[javaOptions])
	}
	for name, v := range values {
		env = append(env, name+"="+v)
	}
	slices.Sort(env)
	return env, secrets, nil
}

// javaOptions is read by every Java virtual machine; what comes later wins.
const javaOptions = "JAVA_TOOL_OPTIONS"

func javaHome(home string) string { return `"-Duser.home=` + home + `"` }
