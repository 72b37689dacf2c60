package config

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

var reference = regexp.MustCompile(`\$\{([^}]*)\}`)

// Expand replaces ${NAME} by an environment variable and ${file:/path} by a
// file's content without its last newline. A variable that is not set, or a file
// that cannot be read, is an error that names it and never its value.
func Expand(text string) (string, error) {
	var bad error
	out := reference.ReplaceAllStringFunc(text, func(ref string) string {
		v, err := lookup(ref[2 : len(ref)-1])
		if err != nil && bad == nil {
			bad = err
		}
		return v
	})
	return out, bad
}

func lookup(name string) (string, error) {
	if path, ok := strings.CutPrefix(name, "file:"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("${file:%s} cannot be read: %w", path, err)
		}
		return strings.TrimSuffix(string(b), "\n"), nil
	}
	v, ok := os.LookupEnv(name)
	if !ok {
		return "", fmt.Errorf("${%s}: the environment variable %s is not set", name, name)
	}
	return v, nil
}

// ExpandAll expands every value into a new map.
func ExpandAll(values map[string]string) (map[string]string, error) {
	out := make(map[string]string, len(values))
	for k, v := range values {
		e, err := Expand(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		out[k] = e
	}
	return out, nil
}

// ExpandJSON expands every string of a decoded JSON value.
func ExpandJSON(v any) (any, error) {
	switch t := v.(type) {
	case string:
		return Expand(t)
	case []any:
		for i := range t {
			e, err := ExpandJSON(t[i])
			if err != nil {
				return nil, err
			}
			t[i] = e
		}
	case map[string]any:
		for k := range t {
			e, err := ExpandJSON(t[k])
			if err != nil {
				return nil, err
			}
			t[k] = e
		}
	}
	return v, nil
}

// literal reports whether a secret stands in the file itself.
func literal(secret string) bool {
	return secret != "" && strings.TrimSpace(reference.ReplaceAllString(secret, "")) != ""
}
