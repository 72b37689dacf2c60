package main_test

import (
	"go/ast"
	"maps"
	"slices"
	"strings"
)

// nothingSleepsOutsideABubble: production code waits on a context and a timer;
// a test sleeps only in a synctest bubble, where it costs nothing. A helper
// that sleeps is allowed where every way to it leads through a bubble: the
// ways are followed by name, from the entry points of each package's tests.
// deployer/sim is left out: its scenarios are data that only play, which runs
// in a bubble, ever calls.
func nothingSleepsOutsideABubble(files []file) []string {
	packages := map[string][]file{}
	for _, f := range files {
		if f.dir() != "deployer/sim" {
			packages[f.dir()] = append(packages[f.dir()], f)
		}
	}
	var out []string
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		out = append(out, sleepers(packages[dir])...)
	}
	return out
}

// walked is what one function does outside of any bubble.
type walked struct {
	sleeps   []string // complaints
	mentions []string // names, as called gives them
	seen     bool
}

func sleepers(files []file) []string {
	found := map[string]*walked{}
	bubbles := openers(files)
	var ways, out []string
	for _, f := range files {
		for _, fn := range functions(f) {
			if !f.test() && !rig(f.dir()) {
				var w walked
				w.walk(f, fn, bubbles)
				out = append(out, w.sleeps...)
				continue // production code never calls a test's helper
			}
			name := called(fn)
			if found[name] == nil {
				found[name] = &walked{}
			}
			found[name].walk(f, fn, bubbles)
			if entry(fn) {
				ways = append(ways, name)
			}
		}
	}
	from := map[string]string{}
	for len(ways) > 0 {
		name := ways[0]
		ways = ways[1:]
		w := found[name]
		if w == nil || w.seen {
			continue
		}
		w.seen = true
		for _, s := range w.sleeps {
			out = append(out, s+" (reached by "+from[name]+name+")")
		}
		for _, next := range w.mentions {
			if from[next] == "" {
				from[next] = from[name] + name + " → "
			}
			ways = append(ways, next)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// called is how a function is mentioned: "name", or ".name" of a method.
func called(fn *ast.FuncDecl) string {
	if fn.Recv != nil {
		return "." + fn.Name.Name
	}
	return fn.Name.Name
}

func entry(fn *ast.FuncDecl) bool {
	for _, prefix := range []string{"Test", "Benchmark", "Fuzz", "Example"} {
		if fn.Recv == nil && strings.HasPrefix(fn.Name.Name, prefix) {
			return true
		}
	}
	return false
}

// openers are the names of what runs a function that it is given in a bubble:
// synctest.Test, and each helper whose last statement is a call of it.
func openers(files []file) map[string]bool {
	out := map[string]bool{"synctest.Test": true}
	for _, f := range files {
		for _, fn := range functions(f) {
			if fn.Body == nil || len(fn.Body.List) == 0 {
				continue
			}
			last, ok := fn.Body.List[len(fn.Body.List)-1].(*ast.ExprStmt)
			if !ok {
				continue
			}
			if call, ok := last.X.(*ast.CallExpr); ok && text(call.Fun) == "synctest.Test" && !entry(fn) {
				out[fn.Name.Name] = true
			}
		}
	}
	return out
}

// walk notes sleeps and mentioned names, and does not enter bubbles.
func (w *walked) walk(f file, fn *ast.FuncDecl, bubbles map[string]bool) {
	if fn.Body == nil {
		return
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if bubbles[text(n.Fun)] {
				return false
			}
		case *ast.SelectorExpr:
			if text(n) == "time.Sleep" {
				w.sleeps = append(w.sleeps, f.at(n, "time.Sleep: wait for the event itself, or sleep in a synctest bubble"))
			}
			w.mentions = append(w.mentions, "."+n.Sel.Name)
		case *ast.Ident:
			w.mentions = append(w.mentions, n.Name)
		}
		return true
	})
}

// missingComponentsFailUnderCI: a function that skips its test asks for CI
// before, and fails there. Within rapid.Check and Fuzz a skip only drops an input.
func missingComponentsFailUnderCI(f file) []string {
	var out []string
	for _, fn := range functions(f) {
		if fn.Body == nil {
			continue
		}
		guarded := failsUnderCI(fn.Body)
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch {
			case text(sel) == "rapid.Check" || sel.Sel.Name == "Fuzz":
				return false
			case text(sel) == "testing.Short":
				out = append(out, f.at(call, "testing.Short leaves tests out"))
			case slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) && !guarded:
				out = append(out, f.at(call, "skips also where CI=true, where a missing component must fail"))
			}
			return true
		})
	}
	return out
}

// failsUnderCI reports whether a body has `if os.Getenv("CI") == "true" { …Fatal… }`.
func failsUnderCI(body *ast.BlockStmt) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		cond, ok := n.(*ast.IfStmt)
		if ok && asksForCI(cond.Cond) && callsFatal(cond.Body) {
			found = true
		}
		return !found
	})
	return found
}

func asksForCI(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if ok && text(call.Fun) == "os.Getenv" && len(call.Args) == 1 {
			lit, ok := call.Args[0].(*ast.BasicLit)
			found = found || ok && lit.Value == `"CI"`
		}
		return true
	})
	return found
}

func callsFatal(b *ast.BlockStmt) bool {
	found := false
	ast.Inspect(b, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		found = found || ok && strings.HasPrefix(sel.Sel.Name, "Fatal")
		return true
	})
	return found
}
