package config

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
)

var (
	secretVariable = regexp.MustCompile(`(?i)(pass(w(or)?d|phrase|wd)?|pwd|secret|token|(api|access|private|secret|encryption|signing)[_-]?key([_-]?base)?|credentials?)$`)
	secretHeader   = regexp.MustCompile(`(?i)authorization|cookie|token|secret|key|password`)
	// secretInside finds name=value with a value of its own, as in a JDBC URL, a
	// query or an option.
	secretInside = regexp.MustCompile(`(?i)(passw(or)?d|passwd|pwd|secret|token|api_?key)=[^&;,\s$]`)
	// harmless is what no secret is: a number, a switch, nothing.
	harmless = regexp.MustCompile(`(?i)^([0-9]*|true|false|yes|no|on|off)$`)
)

// guardSecrets refuses a file that others can read while secrets stand in it.
func guardSecrets(s source, f file) error {
	info, err := os.Stat(s.path)
	if err != nil {
		return invalid(s.path, err.Error())
	}
	if info.Mode().Perm()&0o044 == 0 {
		return nil
	}
	found := f.secrets()
	for _, key := range slices.Sorted(maps.Keys(found)) {
		if literal(found[key]) {
			return invalid(s.where(key), fmt.Sprintf("%s holds a secret and others can read the file (mode %04o): `chmod 600 %s`, or write ${NAME} and set the environment variable", key, info.Mode().Perm(), s.path))
		}
	}
	return nil
}

// found collects secrets by their keys.
type found map[string]string

// secrets lists every secret of the file by its key.
func (f file) secrets() found {
	out := found{}
	for name, s := range f.Githooks {
		out["githooks."+name+".secret"] = s.Secret
	}
	for name, t := range f.Server.Tokens {
		out["server.tokens."+name] = t
	}
	f.Chat.secrets(out)
	for name, a := range f.Apps {
		a.secrets(out, "apps."+name)
	}
	return out
}

func (f chatFile) secrets(out found) {
	if s := f.Slack; s != nil {
		out["chat.slack.signing_secret"], out["chat.slack.bot_token"], out["chat.slack.app_token"] = s.SigningSecret, s.BotToken, s.AppToken
	}
	if f.DingTalk == nil {
		return
	}
	out["chat.dingtalk.client_secret"] = f.DingTalk.ClientSecret
	for name, w := range f.DingTalk.Webhooks {
		key := "chat.dingtalk.webhooks." + name
		out[key+".secret"] = w.Secret
		if u, err := url.Parse(w.URL); err == nil {
			out[key+".url"] = u.Query().Get("access_token")
		}
	}
}

func (f appFile) secrets(out found, key string) {
	out[key+".credentials.token"], out[key+".credentials.ssh_key"] = f.Credentials.Token, f.Credentials.SSHKey
	for provider, s := range f.Githooks {
		out[key+".githooks."+provider+".secret"] = s.Secret
	}
	if u, err := url.Parse(f.Repository); err == nil && u.User != nil {
		out[key+".repository"], _ = u.User.Password()
	}
}

// secretFree proves that each reference can be resolved, keeps none of the
// values, and wants those whose names or forms look like secrets to be references.
func (b *building) secretFree(key string, values map[string]string, names *regexp.Regexp) {
	for _, k := range slices.Sorted(maps.Keys(values)) {
		v := values[k]
		b.expand(key+"."+k, v)
		if !reference.MatchString(v) && names.MatchString(k) && !harmless.MatchString(v) {
			b.fail(key+"."+k, "%s", looksSecret)
		}
		b.textFree(key+"."+k, v)
	}
}

const looksSecret = "it looks like a secret, and would be journaled with every plan: write ${NAME} and set the environment variable, or ${file:/path}"

// textFree refuses a text with a literal password in it.
func (b *building) textFree(key string, texts ...string) {
	for _, text := range texts {
		if holdsPassword(text) && !reference.MatchString(text) || secretInside.MatchString(text) {
			b.fail(key, "%s", looksSecret)
		}
	}
}

// namedFree refuses literal values of a driver's settings whose names look like
// those of secrets.
func (b *building) namedFree(key string, v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			b.namedFree(key, e)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if text, ok := v[name].(string); ok && !reference.MatchString(text) && secretVariable.MatchString(name) && !harmless.MatchString(text) {
				b.fail(key+"."+name, "%s", looksSecret)
			}
			b.namedFree(key+"."+name, v[name])
		}
	}
}

func holdsPassword(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return false
	}
	_, set := u.User.Password()
	return set
}

// textsIn are all strings of a decoded value.
func textsIn(v any) []string {
	var out []string
	switch v := v.(type) {
	case string:
		out = []string{v}
	case []any:
		for _, e := range v {
			out = append(out, textsIn(e)...)
		}
	case map[string]any:
		for _, e := range v {
			out = append(out, textsIn(e)...)
		}
	}
	return out
}
