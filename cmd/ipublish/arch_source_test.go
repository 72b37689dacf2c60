package main_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// longest is how many lines a file may have.
const longest = 400

func filesAreShort(f file) []string {
	if f.test() || f.size <= longest {
		return nil
	}
	return []string{fmt.Sprintf("%s has %d lines, %d at most: is it still one responsibility?", f.path, f.size, longest)}
}

func nothingRunsBeforeMain(f file) []string {
	var out []string
	for _, fn := range functions(f) {
		if fn.Name.Name == "init" && fn.Recv == nil {
			out = append(out, f.at(fn, "an init function runs unasked: let the caller call it"))
		}
	}
	return out
}

func functions(f file) []*ast.FuncDecl {
	var out []*ast.FuncDecl
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			out = append(out, fn)
		}
	}
	return out
}

// variable is one package-level variable with its value.
type variable struct {
	file  file
	name  *ast.Ident
	value ast.Expr // nil: zero, or one of several from one call
	embed bool
}

func variables(f file) []variable {
	var out []variable
	for _, d := range f.ast.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.VAR {
			continue
		}
		for _, s := range gen.Specs {
			spec := s.(*ast.ValueSpec)
			for i, name := range spec.Names {
				v := variable{file: f, name: name, embed: embedded(gen.Doc) || embedded(spec.Doc)}
				if len(spec.Values) == len(spec.Names) {
					v.value = spec.Values[i]
				}
				out = append(out, v)
			}
		}
	}
	return out
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// packageVariablesNeverChange allows a package variable only where its value is
// a constant in all but name (see constantValue) and nothing in its package
// writes to it.
func packageVariablesNeverChange(files []file) []string {
	packages := map[string][]file{}
	for _, f := range files {
		if !f.test() {
			packages[f.dir()] = append(packages[f.dir()], f)
		}
	}
	var out []string
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		written := writes(packages[dir])
		for _, f := range packages[dir] {
			for _, v := range variables(f) {
				out = append(out, changing(v, written)...)
			}
		}
	}
	return out
}

func changing(v variable, written map[string]string) []string {
	name := v.name.Name
	if name == "_" {
		return nil
	}
	if !v.embed && !constantValue(v.value) {
		return []string{v.file.at(v.name, "the package variable %s is no constant in all but name: pass it in", name)}
	}
	if where := written[name]; where != "" {
		return []string{v.file.at(v.name, "the package variable %s is written to at %s", name, where)}
	}
	return nil
}

// constantValue: an error, a compiled pattern, an address range, a replacer,
// bytes of a text, another package's error, or a literal.
func constantValue(value ast.Expr) bool {
	switch v := value.(type) {
	case *ast.CompositeLit:
		return true
	case *ast.UnaryExpr:
		lit, ok := v.X.(*ast.CompositeLit)
		return ok && strings.HasSuffix(text(lit.Type), "Error")
	case *ast.SelectorExpr:
		return strings.HasPrefix(v.Sel.Name, "Err")
	case *ast.CallExpr:
		switch text(v.Fun) {
		case "errors.New", "fmt.Errorf", "regexp.MustCompile", "netip.MustParsePrefix", "netip.MustParseAddr", "strings.NewReplacer", "[]byte", "template.Must":
			return true
		}
	}
	return false
}

// writes finds what a package assigns to, deletes from, clears or copies into,
// by the name at the root of the expression.
func writes(files []file) map[string]string {
	out := map[string]string{}
	for _, f := range files {
		note := func(e ast.Expr) {
			if name := root(e); name != "" {
				out[name] = fmt.Sprintf("%s:%d", f.path, f.set.Position(e.Pos()).Line)
			}
		}
		for _, fn := range functions(f) {
			own := locals(fn)
			ast.Inspect(fn, func(n ast.Node) bool {
				for _, e := range written(n) {
					if !own[root(e)] {
						note(e)
					}
				}
				return true
			})
		}
	}
	return out
}

// written gives the expressions that a node writes to.
func written(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.CallExpr:
		if fun := text(n.Fun); (fun == "delete" || fun == "clear" || fun == "copy") && len(n.Args) > 0 {
			return n.Args[:1]
		}
	}
	return nil
}

// locals are the names that a function declares itself, which hide package variables.
func locals(fn *ast.FuncDecl) map[string]bool {
	own := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, name := range n.Names {
				own[name.Name] = true
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, e := range n.Lhs {
					own[root(e)] = true
				}
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				own[root(n.Key)], own[root(n.Value)] = true, true
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				own[name.Name] = true
			}
		}
		return true
	})
	return own
}

// root is the name at the bottom of a.b[c].d, empty for anything else.
func root(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return root(e.X)
	case *ast.IndexExpr:
		return root(e.X)
	case *ast.StarExpr:
		return root(e.X)
	case *ast.ParenExpr:
		return root(e.X)
	case *ast.SliceExpr:
		return root(e.X)
	}
	return ""
}

// text gives "pkg.Name", "Name" or "[]Name"; empty for anything else.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return text(e.X) + "." + e.Sel.Name
	case *ast.ArrayType:
		if e.Len == nil {
			return "[]" + text(e.Elt)
		}
	}
	return ""
}

// sentinelsAreNamedErr: a package variable that is an error begins with err or Err.
func sentinelsAreNamedErr(f file) []string {
	var out []string
	for _, v := range variables(f) {
		call, ok := v.value.(*ast.CallExpr)
		if !ok || text(call.Fun) != "errors.New" && text(call.Fun) != "fmt.Errorf" || v.name.Name == "_" {
			continue
		}
		if !strings.HasPrefix(strings.ToLower(v.name.Name), "err") {
			out = append(out, f.at(v.name, "%s is an error and not named so", v.name.Name))
		}
	}
	return out
}

// exportedNamesHaveComments: functions, methods of exported types, types,
// constants and variables. A group's comment, or one on the line, will do.
func exportedNamesHaveComments(f file) []string {
	if f.test() {
		return nil
	}
	var out []string
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && exportedReceiver(d) && d.Doc == nil {
				out = append(out, f.at(d, "%s has no comment", d.Name.Name))
			}
		case *ast.GenDecl:
			out = append(out, uncommented(f, d)...)
		}
	}
	return out
}

func uncommented(f file, d *ast.GenDecl) []string {
	var out []string
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
				out = append(out, f.at(s, "%s has no comment", s.Name.Name))
			}
		case *ast.ValueSpec:
			if d.Doc != nil || s.Doc != nil || s.Comment != nil {
				continue
			}
			for _, name := range s.Names {
				if name.IsExported() {
					out = append(out, f.at(s, "%s has no comment", name.Name))
				}
			}
		}
	}
	return out
}

// exportedReceiver reports whether others can see the method; true for a function.
func exportedReceiver(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return true
	}
	t := fn.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if generic, ok := t.(*ast.IndexExpr); ok {
		t = generic.X
	}
	return ast.IsExported(root(t))
}

// packagesHaveADocument: each package has its comment in doc.go; a command and
// a folder of tests in any file.
func packagesHaveADocument(files []file) []string {
	type state struct{ any, doc, inDoc bool }
	found := map[string]*state{}
	for _, f := range files {
		if f.test() {
			continue
		}
		s := found[f.dir()]
		if s == nil {
			s = &state{}
			found[f.dir()] = s
		}
		s.any = true
		s.doc = s.doc || f.ast.Doc != nil
		s.inDoc = s.inDoc || f.ast.Doc != nil && (f.base() == "doc.go" || f.ast.Name.Name == "main")
	}
	var out []string
	for _, dir := range slices.Sorted(maps.Keys(found)) {
		switch s := found[dir]; {
		case !s.doc:
			out = append(out, dir+": the package has no comment: write a doc.go")
		case !s.inDoc:
			out = append(out, dir+": the package's comment is not in doc.go")
		}
	}
	return out
}

var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX|for n` + `ow|not yet implemented)\b`)

// nothingIsLeftForLater finds the words of unfinished work in comments.
func nothingIsLeftForLater(f file) []string {
	var out []string
	for _, group := range f.ast.Comments {
		for _, c := range group.List {
			if word := unfinished.FindString(c.Text); word != "" {
				out = append(out, f.at(c, "%q: finish it, or leave it out", word))
			}
		}
	}
	return out
}
