package deploy_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ipublish/deploy"
)

func TestEveryValueIsTheSameAfterJSON(t *testing.T) {
	t.Run("App", roundTrip[deploy.App])
	t.Run("Environment", roundTrip[deploy.Environment])
	t.Run("Host", roundTrip[deploy.Host])
	t.Run("Release", roundTrip[deploy.Release])
	t.Run("Request", roundTrip[deploy.Request])
	t.Run("Plan", roundTrip[deploy.Plan])
	t.Run("Step", roundTrip[deploy.Step])
	t.Run("Observation", roundTrip[deploy.Observation])
	t.Run("Evidence", roundTrip[deploy.Evidence])
	t.Run("Event", roundTrip[deploy.Event])
	t.Run("Report", roundTrip[deploy.Report])
	t.Run("State", roundTrip[deploy.State])
	t.Run("Live", roundTrip[deploy.Live])
	t.Run("Letter", roundTrip[deploy.Letter])
	t.Run("Error", roundTrip[deploy.Error])
}

func roundTrip[T any](t *testing.T) {
	values := rapid.MakeCustom[T](anyValue())
	rapid.Check(t, func(t *rapid.T) {
		v := values.Draw(t, "value")
		b, err := json.Marshal(&v)
		if err != nil {
			t.Fatal(err)
		}
		var back T
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		if where := difference(reflect.ValueOf(v), reflect.ValueOf(back)); where != "" {
			t.Fatalf("%s differs after %s", where, b)
		}
	})
}

// anyValue draws what reflection alone cannot: small lists, times without a
// monotonic clock, durations that are not negative, causes, and JSON within.
func anyValue() rapid.MakeConfig {
	word := rapid.StringMatching(`[a-zA-Z0-9/:. "<>&é中]{0,8}`)
	return rapid.MakeConfig{
		Types: map[reflect.Type]*rapid.Generator[any]{
			reflect.TypeFor[time.Time](): rapid.Custom(func(t *rapid.T) any {
				return time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC()
			}),
			reflect.TypeFor[deploy.Duration](): rapid.Custom(func(t *rapid.T) any {
				return deploy.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "d"))
			}),
			reflect.TypeFor[json.RawMessage](): rapid.Custom(func(t *rapid.T) any {
				return rapid.SampledFrom([]json.RawMessage{nil, []byte(`{"run":["./server"]}`), []byte(`[1,2]`)}).Draw(t, "raw")
			}),
			reflect.TypeFor[error](): rapid.Custom(func(t *rapid.T) any {
				return errors.New("because of " + word.Draw(t, "cause"))
			}),
			// A release without a commit is no release, and is left out.
			reflect.TypeFor[deploy.Release](): rapid.Custom(func(t *rapid.T) any {
				if rapid.Bool().Draw(t, "none") {
					return deploy.Release{}
				}
				return deploy.Release{
					App: word.Draw(t, "app"), Commit: deploy.Commit{SHA: sha("b"), Title: word.Draw(t, "title")}, Recipe: word.Draw(t, "recipe"),
					SHA256: word.Draw(t, "sum"), Kind: deploy.ArtifactFile, Name: word.Draw(t, "name"), Size: rapid.Int64().Draw(t, "size"),
				}
			}),
			reflect.TypeFor[[]byte](): rapid.Custom(func(t *rapid.T) any {
				return rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "bytes")
			}),
		},
		Kinds: map[reflect.Kind]*rapid.Generator[any]{
			reflect.String: rapid.Custom(func(t *rapid.T) any { return word.Draw(t, "word") }),
		},
		Fields: map[reflect.Type]map[string]*rapid.Generator[any]{
			// The health check within Verify gives way to Verify's own interval.
			reflect.TypeFor[deploy.Verify](): {"Health": rapid.Custom(func(t *rapid.T) any {
				return deploy.Health{Method: word.Draw(t, "method"), ExpectStatus: []int{200}, FollowRedirects: rapid.Bool().Draw(t, "follow")}
			})},
		},
	}
}

// difference names the first place where two values differ; an empty list or
// map is the same as none, and what is bound at execution stays in the process.
func difference(a, b reflect.Value) string {
	switch v := a.Interface().(type) {
	case time.Time:
		return unlike(v.Equal(b.Interface().(time.Time)), "time")
	case error:
		w, ok := b.Interface().(error)
		if !ok || v == nil || w == nil {
			return unlike(v == nil && w == nil, "error")
		}
		if _, coded := v.(*deploy.Error); !coded {
			return unlike(v.Error() == w.Error(), "cause")
		}
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return unlike(a.IsNil() == b.IsNil(), "pointer")
		}
		return difference(a.Elem(), b.Elem())
	case reflect.Struct:
		return differentField(a, b)
	case reflect.Slice:
		if a.Len() != b.Len() {
			return "length"
		}
		for i := range a.Len() {
			if where := difference(a.Index(i), b.Index(i)); where != "" {
				return "[]." + where
			}
		}
		return ""
	case reflect.Map:
		if a.Len() != b.Len() {
			return "size"
		}
		for _, k := range a.MapKeys() {
			if !b.MapIndex(k).IsValid() {
				return "key " + k.String()
			}
			if where := difference(a.MapIndex(k), b.MapIndex(k)); where != "" {
				return k.String() + "." + where
			}
		}
		return ""
	}
	return unlike(a.Equal(b), a.Kind().String())
}

func differentField(a, b reflect.Value) string {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		bound := f.Tag.Get("json") == "-" && a.Type() != reflect.TypeFor[deploy.Error]()
		if bound || !f.IsExported() {
			continue
		}
		if where := difference(a.Field(i), b.Field(i)); where != "" {
			return strings.TrimSuffix(f.Name+"."+where, ".")
		}
	}
	return ""
}

func unlike(same bool, what string) string {
	if same {
		return ""
	}
	return what
}

func TestWhatIsBoundAtExecutionNeverLeavesTheProcess(t *testing.T) {
	b, err := json.Marshal(deploy.Step{Deploy: 777, Env: map[string]string{"PASSWORD": "hunter2"}})
	if err != nil {
		t.Fatal(err)
	}
	if s := string(b); strings.Contains(s, "hunter2") || strings.Contains(s, "777") {
		t.Errorf("%s", s)
	}
}
