package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// unknownKey says which key was probably meant.
func unknownKey(key string) string {
	near := nearest(key, knownKeys(reflect.TypeFor[file](), nil))
	if near == "" {
		return fmt.Sprintf("unknown key %q", key)
	}
	return fmt.Sprintf("unknown key %q: did you mean %q?", key, near)
}

// knownKeys collects the yaml names of a type and of all that it holds.
func knownKeys(t reflect.Type, keys []string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
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
