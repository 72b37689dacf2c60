package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// unknownKey says which key was probably meant, or where this one belongs.
func unknownKey(key string) string {
	if above := holders(key, "the file", reflect.TypeFor[file](), nil); len(above) > 0 {
		return fmt.Sprintf("the key %q does not belong here: it is one of %s", key, strings.Join(above, ", "))
	}
	near := nearest(key, knownKeys(reflect.TypeFor[file](), nil))
	if near == "" {
		return fmt.Sprintf("unknown key %q", key)
	}
	return fmt.Sprintf("unknown key %q: did you mean %q?", key, near)
}

// holders collects the keys below which a key may stand.
func holders(key, above string, t reflect.Type, found []string) []string {
	t = element(t)
	if t.Kind() != reflect.Struct {
		return found
	}
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("yaml")
		if name == key && !slices.Contains(found, above) {
			found = append(found, above)
		}
		found = holders(key, name, t.Field(i).Type, found)
	}
	return found
}

// element is what pointers, lists and mappings of a type lead to.
func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t
}

// knownKeys collects the yaml names of a type and of all that it holds.
func knownKeys(t reflect.Type, keys []string) []string {
	t = element(t)
	if t.Kind() != reflect.Struct {
		return keys
	}
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" {
			keys = append(keys, name)
		}
		keys = knownKeys(t.Field(i).Type, keys)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// nearest returns the word at the smallest edit distance, if it is near at all.
func nearest(word string, known []string) string {
	best, far := "", max(len(word)/2, 2)+1
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); d < far {
			best, far = k, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			last, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, last+cost)
		}
	}
	return row[len(b)]
}
