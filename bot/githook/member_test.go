package githook

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestOneMemberIsTakenOutOfAPayload(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":1,"commits":[{"m":"]\"}\\"}],"b":2}`:  `{"a":1,"commits":null,"b":2}`,
		"{\"commits\" :\n {\"x\":[1]} }":            "{\"commits\" :\n null }",
		`{"a":"commits","commits":[]}`:              `{"a":"commits","commits":null}`,
		`{"a":{"commits":[1]},"b":["commits",[1]]}`: `{"a":{"commits":[1]},"b":["commits",[1]]}`,
		`{"commits":"text"}`:                        `{"commits":"text"}`,
		`{"commits":[1,"`:                           `{"commits":[1,"`,
		`{"commits":[1`:                             `{"commits":[1`,
		`{"commits":`:                               `{"commits":`,
		`{"commits`:                                 `{"commits`,
		`]}"commits":[]`:                            `]}"commits":[]`,
		``:                                          ``,
		`{"message":"a \\\" [ \"commits\":[","ref":"x"}`:  `{"message":"a \\\" [ \"commits\":[","ref":"x"}`,
		`{"c":"\\","commits":[["\\\\"]],"d":{"e":"]\\"}}`: `{"c":"\\","commits":null,"d":{"e":"]\\"}}`,
	} {
		if got := string(without([]byte(in), "commits")); got != want {
			t.Errorf("%s became %s", in, got)
		}
	}
}

// FuzzWithout holds it against encoding/json: whatever is valid stays valid, and
// all else that it says stays the same.
func FuzzWithout(f *testing.F) {
	for _, seed := range []string{
		`{"ref":"refs/heads/main","commits":[{"id":"1","message":"a \"b\" ]"}],"after":"1"}`,
		`{"commits":{},"a":["\\","commits"],"commits":[[]]}`, `[{"commits":[]}]`, `"commits"`, "{\"\xff\":0,\"commits\":[0]}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cut := without(text, "commits")
		if !json.Valid(text) {
			return
		}
		var before, after any
		if err := json.Unmarshal(text, &before); err != nil {
			return // too deep, or a number too large
		}
		if err := json.Unmarshal(cut, &after); err != nil {
			t.Fatalf("%q became %q: %v", text, cut, err)
		}
		for _, v := range []any{before, after} {
			if o, ok := v.(map[string]any); ok {
				delete(o, "commits")
			}
		}
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("%q became %q", text, cut)
		}
	})
}
