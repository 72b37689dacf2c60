package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"ipublish/deploy"
)

// Decode reads a runtime's section strictly into the struct that into points
// to, whose fields carry json tags. Every error has deploy.CodeInvalid and names
// the key; an unknown key is an error that names the nearest known one.
func Decode(driver string, raw json.RawMessage, into any) error {
	var values map[string]json.RawMessage
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, &values); err != nil {
		return Invalid(driver, "", "the section is not a list of keys with values")
	}
	fields := settingsOf(into)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		field, ok := fields[key]
		if !ok {
			return Invalid(driver, key, "there is no such key; did you mean "+nearest(key, slices.Sorted(maps.Keys(fields)))+"?")
		}
		if err := json.Unmarshal(values[key], field.Addr().Interface()); err != nil {
			return Invalid(driver, key, wrongType(err, field.Type()))
		}
	}
	return nil
}

// Invalid is the error for a runtime's section whose key is wrong.
func Invalid(driver, key, message string) error {
	name := driver
	if key != "" {
		name += "." + key
	}
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "configure", Subject: "runtime", Message: "runtime." + name + ": " + message}
}

func settingsOf(into any) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	v := reflect.ValueOf(into).Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		fields[name] = v.Field(i)
	}
	return fields
}

func wrongType(err error, want reflect.Type) string {
	var t *json.UnmarshalTypeError
	if !errors.As(err, &t) {
		return err.Error()
	}
	kinds := map[reflect.Kind]string{reflect.String: "text", reflect.Int: "a number", reflect.Slice: "a list of texts", reflect.Bool: "true or false"}
	return fmt.Sprintf("it is a %s, but has to be %s", t.Value, kinds[want.Kind()])
}

// nearest returns the known word with the smallest edit distance.
func nearest(word string, known []string) string {
	best, least := "", -1
	for _, k := range known {
		if d := distance(word, k); least < 0 || d < least {
			best, least = k, d
		}
	}
	return best
}

func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
