package phrase_test

import (
	"slices"
	"testing"
)

// The tests of completeness see a text in whatever shape the code gives it.
func TestEveryShapeOfATextIsRead(t *testing.T) {
	for name, c := range map[string]struct{ code, want string }{
		"a message":             {`return &deploy.Error{Message: "the disk is full"}`, "the disk is full"},
		"a format":              {`return refuse(code, "%s is not here", x)`, "%s is not here"},
		"a sum":                 {`return "the disk of " + x + " is full"`, "the disk of %s is full"},
		"a sum of sums":         {`return ("the disk " + "of ") + x`, "the disk of %s"},
		"within a sum":          {`return x + f("the disk is full")`, "the disk is full"},
		"a raw string":          {"return `say \"why\" now`", `say "why" now`},
		"a line of two":         {`return "first of all\n  then more"`, "then more"},
		"a constant":            {`const a = "the disk is full"`, "the disk is full"},
		"a variable":            {`why := "the disk is full"`, "the disk is full"},
		"a case's body":         {`switch { case x == "not this one": why = "the disk is full" }`, "the disk is full"},
		"an error to be shown":  {`return errors.New("the disk is full")`, "the disk is full"},
		"a step's own progress": {`tell("copied all of it")`, "copied all of it"},
	} {
		t.Run(name, func(t *testing.T) {
			if !slices.Contains(proseOf(t, c.code), c.want) {
				t.Errorf("%q gives %q, not %q", c.code, proseOf(t, c.code), c.want)
			}
		})
	}
}

func TestWhatIsNoTextIsNotRead(t *testing.T) {
	for name, code := range map[string]string{
		"what is compared":      `if x == "not this one" { return }`,
		"a case":                `switch x { case "not this one": }`,
		"what is looked for":    `return strings.Contains(x, "not this one")`,
		"a line of the log":     `s.Log.Warn("not this one", "err", err)`,
		"a defect":              `panic("not this one")`,
		"the name of a thing":   `return &deploy.Error{Subject: "not this one"}`,
		"a script":              "return `set -e\ncd here\nrm that file`",
		"one word":              `return "word"`,
		"a command to be typed": "return \"`deploy the thing`\"",
	} {
		t.Run(name, func(t *testing.T) {
			if got := proseOf(t, code); len(got) > 0 {
				t.Errorf("%q gives %q", code, got)
			}
		})
	}
}

func proseOf(t *testing.T, code string) []string {
	t.Helper()
	f, err := parse("bot/a.go", "a.go", "package p\nfunc f() { "+code+" }")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range literals(f) {
		if prose(l) {
			out = append(out, l.format)
		}
	}
	return out
}
