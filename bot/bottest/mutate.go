package bottest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Mutation is a JSON document with one value replaced.
type Mutation struct {
	Name string // where and by what: "repository.full_name = null"
	JSON []byte
}

// Mutations returns doc once for each of its values and each hostile
// replacement: null, an empty or filled list or object, numbers out of every
// range, a truth, a deeply nested list, a huge text; and cut short. The whole
// document is one of the values.
func Mutations(doc []byte) []Mutation {
	root := decode(doc)
	var out []Mutation
	for _, where := range paths(root, nil) {
		for _, with := range replacements() {
			replaced := mustJSON(replace(root, where, placeholder))
			out = append(out, Mutation{
				Name: strings.Join(where, ".") + " = " + with.name,
				JSON: bytes.Replace(replaced, []byte(`"`+placeholder+`"`), []byte(with.json), 1),
			})
		}
	}
	for _, cut := range []int{0, 1, len(doc) / 2, len(doc) - 1} {
		out = append(out, Mutation{Name: fmt.Sprintf("cut to %d bytes", cut), JSON: doc[:cut]})
	}
	return append(out, Mutation{Name: "said twice", JSON: slices.Concat(doc, doc)})
}

const placeholder = "placeholder-8c1f"

type replacement struct{ name, json string }

func replacements() []replacement {
	const depth = 10500 // beyond what encoding/json takes
	return []replacement{
		{"null", "null"}, {"[]", "[]"}, {"{}", "{}"}, {"[null]", "[null]"}, {"[[]]", "[[]]"}, {`{"":null}`, `{"":null}`},
		{"1e999", "1e999"}, {"-1", "-1"}, {"2^64", "18446744073709551616"}, {"true", "true"},
		{"empty text", `""`}, {"control characters", `"\u0000\u001b[2J\r\n"`}, {"lone surrogate", `"\ud800"`},
		{"deep nesting", strings.Repeat("[", depth) + strings.Repeat("]", depth)},
		{"deep objects", strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)},
		{"huge text", `"` + strings.Repeat("A", 1<<15) + `"`},
	}
}

func decode(doc []byte) any {
	var v any
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		panic(err) // the document that is to be mutated is valid
	}
	return v
}

// paths lists every value of v by the keys and indices that lead to it.
func paths(v any, at []string) [][]string {
	out := [][]string{slices.Clone(at)}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range sortedKeys(v) {
			out = append(out, paths(v[key], append(slices.Clone(at), key))...)
		}
	case []any:
		for i, item := range v {
			out = append(out, paths(item, append(slices.Clone(at), fmt.Sprint(i)))...)
		}
	}
	return out
}

// replace returns v with the value at the path replaced; v itself is unchanged.
func replace(v any, path []string, by any) any {
	if len(path) == 0 {
		return by
	}
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = item
		}
		out[path[0]] = replace(v[path[0]], path[1:], by)
		return out
	case []any:
		out := slices.Clone(v)
		for i := range out {
			if fmt.Sprint(i) == path[0] {
				out[i] = replace(out[i], path[1:], by)
			}
		}
		return out
	}
	return v
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
