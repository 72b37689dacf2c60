package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The README's table of keys has exactly the keys of the file.
func TestTheReferenceHasEveryKeyAndNoOther(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(b), "<!-- every key -->\n\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var told []string
	for line := range strings.Lines(table) {
		if m := regexp.MustCompile("^\\| `([^`]+)` \\|").FindStringSubmatch(line); m != nil {
			told = append(told, m[1])
		}
	}
	if !ok || len(told) == 0 {
		t.Fatal("README.md has no table of keys")
	}
	keys := paths("", reflect.TypeFor[file]())
	for _, k := range keys {
		if !slices.Contains(told, k) {
			t.Errorf("%s is not in the reference", k)
		}
	}
	for _, k := range told {
		if !slices.Contains(keys, k) && k != "apps.APP.environments.ENV.hosts" {
			t.Errorf("%s is in the reference and not in the file", k)
		}
	}
}

// paths gives every key that takes a value, by its way from the top; a map's
// own keys are written as the reference writes them.
func paths(prefix string, t reflect.Type) []string {
	switch t.Kind() {
	case reflect.Pointer:
		return paths(prefix, t.Elem())
	case reflect.Map:
		return paths(prefix+"."+placeholder(prefix), t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return paths(prefix, t.Elem())
		}
	case reflect.Struct:
		var out []string
		for i := range t.NumField() {
			if key := t.Field(i).Tag.Get("yaml"); key != "" {
				out = append(out, paths(strings.TrimPrefix(prefix+"."+key, "."), t.Field(i).Type)...)
			}
		}
		return out
	}
	return []string{prefix}
}

func placeholder(prefix string) string {
	switch last := prefix[strings.LastIndex(prefix, ".")+1:]; last {
	case "apps":
		return "APP"
	case "environments":
		return "ENV"
	case "githooks":
		return "HOST"
	case "roles":
		return "ROLE"
	case "runtime", "balancer":
		return "DRIVER"
	default:
		return "NAME"
	}
}
