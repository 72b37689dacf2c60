package process

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"ipublish/deploy"
)

// endOfEnv proves that the environment arrived whole.
const endOfEnv = "# end of env"

// markName is the variable by which the children of a dead instance are known.
const markName = "IPUBLISH_INSTANCE"

// Env returns what every app gets: the step's own variables, then PORT, RELEASE
// (the full commit) and SLOT, which win over variables of the same name.
func Env(s deploy.Step) map[string]string {
	env := map[string]string{}
	maps.Copy(env, s.Env)
	env["PORT"] = strconv.Itoa(s.Port)
	env["RELEASE"] = s.Release.Commit.SHA
	env["SLOT"] = string(s.Slot)
	return env
}

// envFile renders the environment as shell text that sets it and does nothing
// else. An error names the variable and never its value.
func envFile(s deploy.Step, env map[string]string) (string, error) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !variable(name) {
			return "", fault(s, "start", deploy.CodeInvalid, "env: "+strconv.Quote(name)+
				" is not a variable's name: use letters, digits and underscores, no digit first")
		}
		if name == markName {
			return "", fault(s, "start", deploy.CodeInvalid, "env: "+markName+" is set by ipublish: remove it")
		}
		if strings.ContainsRune(env[name], 0) {
			return "", fault(s, "start", deploy.CodeInvalid, "env: the value of "+name+" holds a NUL byte, which no environment can")
		}
		b.WriteString("export " + name + "=" + Quote(env[name]) + "\n")
	}
	b.WriteString(endOfEnv + "\n")
	return b.String(), nil
}

// Quote makes text one word of a POSIX shell, whatever it holds.
func Quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func variable(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
