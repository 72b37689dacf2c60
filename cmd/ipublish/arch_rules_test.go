package main_test

import (
	"strings"
	"testing"
)

// Every rule is shown something that it has to complain about, and something
// like it that is in order.
func TestEachRuleOfTheHouseComplainsAboutWhatItForbidsAndNothingElse(t *testing.T) {
	rules := houseRules()
	judged := map[string]bool{}
	for _, c := range ruleCases() {
		judged[c.rule] = true
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			got := rules[c.rule](parsed(t, c.files))
			if c.want == "" && len(got) > 0 {
				t.Fatalf("complains about what is in order: %q", got)
			}
			if c.want != "" && !strings.Contains(strings.Join(got, "\n"), c.want) {
				t.Fatalf("complaints %q, none says %q", got, c.want)
			}
		})
	}
	for name := range rules {
		if !judged[name] {
			t.Errorf("no case shows that the rule %q can complain", name)
		}
	}
}

type ruleCase struct {
	rule, name string
	files      map[string]string
	want       string // part of a complaint; empty: none
}

func parsed(t *testing.T, texts map[string]string) []file {
	t.Helper()
	var out []file
	for name, text := range texts {
		f, err := parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// importing is a file that imports one package.
func importing(name, to string) map[string]string {
	return map[string]string{name: "package p\n\nimport _ \"" + to + "\"\n"}
}

// holding is a file of package p with a few declarations.
func holding(name, body string) map[string]string {
	return map[string]string{name: "package p\n\n" + body + "\n"}
}

func ruleCases() []ruleCase {
	var out []ruleCase
	for rule, cases := range map[string][]ruleCase{
		"imports run one way":                     importCases(),
		"drivers are named in one place":          driverCases(),
		"rigs serve tests only":                   rigCases(),
		"nothing runs before main":                initCases(),
		"package variables never change":          variableCases(),
		"files are short":                         lengthCases(),
		"nothing sleeps outside a bubble":         sleepCases(),
		"a missing component fails under CI":      skipCases(),
		"every exported name has a comment":       commentCases(),
		"every package says what it is for":       documentCases(),
		"nothing is left for later":               laterCases(),
		"errors that a caller compares are named": sentinelCases(),
	} {
		for _, c := range cases {
			c.rule = rule
			out = append(out, c)
		}
	}
	return out
}

func importCases() []ruleCase {
	return []ruleCase{
		{name: "deploy and a module", files: importing("deploy/plan.go", "golang.org/x/sync/errgroup"), want: "standard library only"},
		{name: "deploy and the store", files: importing("deploy/plan.go", "ipublish/store"), want: "standard library only"},
		{name: "deploy and the standard library", files: importing("deploy/plan.go", "encoding/json")},
		{name: "deploy's tests are free", files: importing("deploy/plan_test.go", "pgregory.net/rapid")},
		{name: "store and the bot", files: importing("store/claim.go", "ipublish/bot"), want: "deploy and bbolt only"},
		{name: "store and another database", files: importing("store/claim.go", "example.com/sql"), want: "deploy and bbolt only"},
		{name: "store and bbolt", files: importing("store/claim.go", "go.etcd.io/bbolt")},
		{name: "store and deploy", files: importing("store/claim.go", "ipublish/deploy")},
		{name: "bot and the deployer", files: importing("bot/server.go", "ipublish/deployer"), want: "bot imports deploy"},
		{name: "a chat and the store", files: importing("bot/chat/slack/post.go", "ipublish/store"), want: "bot imports deploy"},
		{name: "a chat and the bot", files: importing("bot/chat/slack/post.go", "ipublish/bot")},
		{name: "the engine and the store", files: importing("deployer/engine.go", "ipublish/store"), want: "deployer imports deploy"},
		{name: "the simulator's tests and the store", files: importing("deployer/sim/rig_test.go", "ipublish/store")},
		{name: "a driver and its neighbour", files: importing("deployer/host/local/host.go", "ipublish/deployer/host/ssh"), want: "never imports another driver"},
		{name: "a driver and a driver of another family", files: importing("deployer/runtime/tomcat/base.go", "ipublish/deployer/host/local"), want: "never imports another driver"},
		{name: "a driver and what its family shares", files: importing("deployer/host/local/host.go", "ipublish/deployer/host/posix")},
		{name: "a driver and its own part", files: importing("bot/chat/slack/post.go", "ipublish/bot/chat/slack/block")},
		{name: "the engine and cmd", files: importing("deployer/engine.go", "ipublish/cmd/config"), want: "nothing below cmd"},
	}
}

func driverCases() []ruleCase {
	return []ruleCase{
		{name: "the engine", files: importing("deployer/engine.go", "ipublish/deployer/host/ssh"), want: "names the driver"},
		{name: "another command", files: importing("cmd/demo/demo.go", "ipublish/bot/chat/slack"), want: "names the driver"},
		{name: "drivers.go", files: importing("cmd/ipublish/drivers.go", "ipublish/bot/chat/slack")},
		{name: "the proxy's process", files: importing("cmd/ipublish/serve.go", "ipublish/deployer/balancer/proxy")},
		{name: "another driver where the proxy's process starts", files: importing("cmd/ipublish/serve.go", "ipublish/deployer/balancer/nginx"), want: "names the driver"},
		{name: "the source is no driver", files: importing("cmd/demo/demo.go", "ipublish/deployer/source/gitserve")},
	}
}

func rigCases() []ruleCase {
	return []ruleCase{
		{name: "production code", files: importing("cmd/ipublish/serve.go", "ipublish/deployer/sim"), want: "is for tests"},
		{name: "a test", files: importing("cmd/ipublish/serve_test.go", "ipublish/deployer/sim")},
		{name: "a rig and a rig", files: importing("bot/bottest/forge.go", "ipublish/deployer/source/gittest")},
	}
}

func initCases() []ruleCase {
	return []ruleCase{
		{name: "init", files: holding("bot/a.go", "func init() {}"), want: "runs unasked"},
		{name: "a method called init", files: holding("bot/a.go", "type t struct{}\nfunc (t) init() {}")},
	}
}

func variableCases() []ruleCase {
	list := "var names = []string{\"a\"}\n"
	return []ruleCase{
		{name: "a counter", files: holding("bot/a.go", "var calls int"), want: "no constant in all but name"},
		{name: "a lock", files: holding("bot/a.go", "var mu sync.Mutex"), want: "no constant in all but name"},
		{name: "a hook for tests", files: holding("bot/a.go", "var now = time.Now"), want: "no constant in all but name"},
		{name: "a list", files: holding("bot/a.go", list+"func f() string { return names[0] }")},
		{name: "a list with a new element", files: holding("bot/a.go", list+"func f() { names[0] = \"b\" }"), want: "is written to at bot/a.go"},
		{name: "a list that grows in another file", files: map[string]string{
			"bot/a.go": "package p\n" + list, "bot/b.go": "package p\nfunc f() { names = append(names, \"b\") }",
		}, want: "is written to at bot/b.go"},
		{name: "a map that loses a key", files: holding("bot/a.go", "var m = map[string]int{}\nfunc f() { delete(m, \"a\") }"), want: "is written to"},
		{name: "a local of the same name", files: holding("bot/a.go", list+"func f() { names := []string{}; names = append(names, \"b\"); _ = names }")},
		{name: "a pattern and an error", files: holding("bot/a.go", "var errGone = errors.New(\"gone\")\nvar form = regexp.MustCompile(`a`)")},
		{name: "an assertion", files: holding("bot/a.go", "var _ io.Reader = (*r)(nil)")},
		{name: "an embedded file", files: holding("bot/a.go", "//go:embed page.html\nvar page string")},
		{name: "a test", files: holding("bot/a_test.go", "var calls int")},
	}
}

func lengthCases() []ruleCase {
	return []ruleCase{
		{name: "too long", files: holding("bot/a.go", strings.Repeat("//\n", longest)), want: "is it still one responsibility"},
		{name: "a long test", files: holding("bot/a_test.go", strings.Repeat("//\n", longest))},
		{name: "just short enough", files: holding("bot/a.go", strings.Repeat("//\n", longest-3))},
	}
}

func sleepCases() []ruleCase {
	const pause = "func pause() { time.Sleep(1) }\n"
	const bubble = "func inBubble(t *testing.T, f func()) { synctest.Test(t, func(t *testing.T) { f() }) }\n"
	return []ruleCase{
		{name: "production code", files: holding("bot/a.go", "func f() { time.Sleep(1) }"), want: "bot/a.go:3: time.Sleep"},
		{name: "a test", files: holding("bot/a_test.go", "func TestA(t *testing.T) { time.Sleep(1) }"), want: "reached by TestA"},
		{name: "a test in a bubble", files: holding("bot/a_test.go", "func TestA(t *testing.T) { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }")},
		{name: "a helper of a test", files: holding("bot/a_test.go", pause+"func TestA(t *testing.T) { pause() }"), want: "reached by TestA → pause"},
		{name: "a helper within a bubble", files: holding("bot/a_test.go", pause+"func TestA(t *testing.T) { synctest.Test(t, func(t *testing.T) { pause() }) }")},
		{name: "a helper that opens a bubble", files: holding("bot/a_test.go", pause+bubble+"func TestA(t *testing.T) { inBubble(t, func() { pause() }) }")},
		{name: "beside a bubble", files: holding("bot/a_test.go", pause+bubble+"func TestA(t *testing.T) { inBubble(t, func() {}); pause() }"), want: "reached by TestA → pause"},
		{name: "a rig's method", files: map[string]string{
			"bot/bottest/a.go":      "package p\nfunc (r rig) wait() { time.Sleep(1) }",
			"bot/bottest/a_test.go": "package p\nfunc TestA(t *testing.T) { rig{}.wait() }",
		}, want: "reached by TestA → .wait"},
	}
}

func skipCases() []ruleCase {
	return []ruleCase{
		{name: "a plain skip", files: holding("bot/a_test.go", "func TestA(t *testing.T) { t.Skip(\"no nginx\") }"), want: "skips also where CI=true"},
		{name: "asked and ignored", files: holding("bot/a_test.go", "func TestA(t *testing.T) { if os.Getenv(\"CI\") == \"\" { t.Log() }; t.SkipNow() }"), want: "skips also where CI=true"},
		{name: "asked first", files: holding("bot/a_test.go", "func TestA(t *testing.T) { if os.Getenv(\"CI\") == \"true\" { t.Fatal(\"no nginx\") }; t.Skip(\"no nginx\") }")},
		{name: "a drawn input", files: holding("bot/a_test.go", "func TestA(t *testing.T) { rapid.Check(t, func(t *rapid.T) { t.Skip() }) }")},
		{name: "short tests", files: holding("bot/a_test.go", "func TestA(t *testing.T) { if testing.Short() { return } }"), want: "leaves tests out"},
	}
}

func commentCases() []ruleCase {
	return []ruleCase{
		{name: "a function", files: holding("bot/a.go", "func Run() {}"), want: "Run has no comment"},
		{name: "a method", files: holding("bot/a.go", "type T struct{} // T is\nfunc (t *T) Run() {}"), want: "Run has no comment"},
		{name: "a method of a hidden type", files: holding("bot/a.go", "type t struct{}\nfunc (t) Run() {}")},
		{name: "a type", files: holding("bot/a.go", "type T struct{}"), want: "T has no comment"},
		{name: "a constant", files: holding("bot/a.go", "const A = 1"), want: "A has no comment"},
		{name: "a constant in a group with a comment", files: holding("bot/a.go", "// The letters.\nconst (\n\tA = 1\n)")},
		{name: "a constant with a comment of its own", files: holding("bot/a.go", "const (\n\tA = 1 // first\n)")},
		{name: "a function with a comment", files: holding("bot/a.go", "// Run runs.\nfunc Run() {}")},
	}
}

func documentCases() []ruleCase {
	return []ruleCase{
		{name: "none", files: holding("bot/a.go", ""), want: "bot: the package has no comment"},
		{name: "elsewhere", files: map[string]string{"bot/a.go": "// Package p is.\npackage p\n"}, want: "not in doc.go"},
		{name: "in doc.go", files: map[string]string{"bot/doc.go": "// Package p is.\npackage p\n"}},
		{name: "a command", files: map[string]string{"cmd/x/main.go": "// Command x does.\npackage main\n"}},
		{name: "a folder of tests", files: holding("cmd/e2e/a_test.go", "")},
	}
}

func laterCases() []ruleCase {
	return []ruleCase{
		{name: "a reminder", files: holding("bot/a.go", "// TO"+"DO: retries"), want: "finish it"},
		{name: "a makeshift", files: holding("bot/a.go", "// good enough for n"+"ow"), want: "finish it"},
		{name: "the state of a step", files: holding("bot/a.go", "// \"todo\" or \"done\"")},
	}
}

func sentinelCases() []ruleCase {
	return []ruleCase{
		{name: "another name", files: holding("bot/a.go", "var gone = errors.New(\"gone\")"), want: "gone is an error"},
		{name: "the usual name", files: holding("bot/a.go", "var ErrGone, errLost = errors.New(\"gone\"), errors.New(\"lost\")")},
	}
}
