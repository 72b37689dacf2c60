package phrase_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// untold lists the folders whose texts no chat shows, and why.
func untold() map[string]string {
	return map[string]string{
		"cmd":                         "the operator's own terminal, in English like the configuration",
		"store":                       "a damaged or foreign database is the operator's to read, at the start and in the log",
		"bot/bottest":                 "a rig of tests",
		"bot/githook":                 "answers to git hosts, and lines of the log",
		"bot/phrase":                  "the catalogue itself",
		"deployer/sim":                "a rig of tests",
		"deployer/drivertest":         "a rig of tests",
		"deployer/balancer/nginxtest": "a rig of tests",
		"deployer/host/sshtest":       "a rig of tests",
		"deployer/source/gittest":     "a rig of tests",
		"deployer/source/gitserve":    "a git server, for tests and the demonstration",
	}
}

// spoken lists the files that build texts for people besides errors: every
// string in them is judged.
func spoken() []string {
	return []string{
		"deploy/describe.go", "deploy/report.go", "deploy/fold.go",
		"bot/plantext.go", "bot/status.go", "bot/help.go", "bot/handler.go", "bot/verb.go", "bot/control.go",
	}
}

// text is one literal that people read, as a format string.
type text struct {
	format string
	at     string
	op     bool // the operation of an error, its first word
}

// tree is the product's source, parsed.
type tree struct {
	fset    *token.FileSet
	files   []source
	tellers map[teller]bool
	funcs   map[string]*ast.FuncDecl // "bot.noWayBack"
	consts  map[string]string        // "deploy.damagedLine"
}

// teller is an argument of a function that is told: "deployer/source.refuse", 1.
type teller struct {
	function string
	argument int
	op       bool
}

type source struct {
	path string
	ast  *ast.File
}

func (s source) dir() string { return path.Dir(s.path) }

// readTree parses everything that a chat may show.
func readTree(t *testing.T) *tree {
	t.Helper()
	root := filepath.Join("..", "..")
	tr := &tree{fset: token.NewFileSet(), tellers: map[teller]bool{}, funcs: map[string]*ast.FuncDecl{}, consts: map[string]string{}}
	for _, top := range []string{"deploy", "deployer", "bot"} {
		err := fs.WalkDir(os.DirFS(root), top, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && untold()[name] != "" {
				return fs.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return nil
			}
			f, err := parser.ParseFile(tr.fset, filepath.Join(root, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			tr.files = append(tr.files, source{path: name, ast: f})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	tr.index()
	tr.findTellers()
	return tr
}

func (tr *tree) index() {
	for _, f := range tr.files {
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				tr.funcs[f.dir()+"."+d.Name.Name] = d
			case *ast.GenDecl:
				tr.indexConsts(f, d)
			}
		}
	}
}

func (tr *tree) indexConsts(f source, d *ast.GenDecl) {
	if d.Tok != token.CONST {
		return
	}
	for _, spec := range d.Specs {
		v := spec.(*ast.ValueSpec)
		for i, name := range v.Names {
			if i < len(v.Values) {
				if s, ok := literal(v.Values[i]); ok {
					tr.consts[f.dir()+"."+name.Name] = s
				}
			}
		}
	}
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// findTellers finds the constructors: functions that put a parameter of theirs
// into an error's message, or hand it to one that does.
func (tr *tree) findTellers() {
	for grown := true; grown; {
		grown = false
		for _, f := range tr.files {
			tr.eachTold(f, func(fn *ast.FuncDecl, e ast.Expr, op bool) {
				i := parameter(fn, formatOf(e))
				if i < 0 {
					return
				}
				key := teller{f.dir() + "." + fn.Name.Name, i, op}
				grown = grown || !tr.tellers[key]
				tr.tellers[key] = true
			})
		}
	}
}

// eachTold visits every expression that becomes an error's message or operation.
func (tr *tree) eachTold(f source, visit func(fn *ast.FuncDecl, e ast.Expr, op bool)) {
	for _, d := range f.ast.Decls {
		fn, _ := d.(*ast.FuncDecl)
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if !strings.HasSuffix(typeName(n.Type), "Error") {
					return true
				}
				for _, el := range n.Elts {
					kv, ok := el.(*ast.KeyValueExpr)
					if !ok {
						continue
					}
					switch key := kv.Key.(*ast.Ident); key.Name {
					case "Message":
						visit(fn, kv.Value, false)
					case "Op":
						visit(fn, kv.Value, true)
					}
				}
			case *ast.CallExpr:
				name := tr.callee(f, n)
				for i, a := range n.Args {
					for _, op := range []bool{false, true} {
						if tr.tellers[teller{name, i, op}] {
							visit(fn, a, op)
						}
					}
				}
			}
			return true
		})
	}
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// callee names the function that is called, "folder.name"; methods by their
// name, in the folder of the caller.
func (tr *tree) callee(f source, c *ast.CallExpr) string {
	switch fun := c.Fun.(type) {
	case *ast.Ident:
		return f.dir() + "." + fun.Name
	case *ast.SelectorExpr:
		if x, ok := fun.X.(*ast.Ident); ok {
			if dir := imported(f, x.Name); dir != "" {
				return dir + "." + fun.Sel.Name
			}
		}
		return f.dir() + "." + fun.Sel.Name
	}
	return ""
}

func imported(f source, name string) string {
	for _, im := range f.ast.Imports {
		p, _ := strconv.Unquote(im.Path.Value)
		if im.Name != nil && im.Name.Name == name || im.Name == nil && path.Base(p) == name {
			return strings.TrimPrefix(p, "ipublish/")
		}
	}
	return ""
}

// formatOf gives the format of a Sprintf, else the expression itself.
func formatOf(e ast.Expr) ast.Expr {
	if c, ok := e.(*ast.CallExpr); ok && isSprintf(c) {
		return c.Args[0]
	}
	return e
}

func isSprintf(c *ast.CallExpr) bool {
	sel, ok := c.Fun.(*ast.SelectorExpr)
	return ok && typeName(sel.X) == "fmt" && (sel.Sel.Name == "Sprintf" || sel.Sel.Name == "Errorf") && len(c.Args) > 0
}

// parameter gives the index of the function's parameter that the expression is, or -1.
func parameter(fn *ast.FuncDecl, e ast.Expr) int {
	id, ok := e.(*ast.Ident)
	if !ok || fn == nil {
		return -1
	}
	i := 0
	for _, field := range fn.Type.Params.List {
		for _, name := range field.Names {
			if name.Name == id.Name && typeName(field.Type) == "string" {
				return i
			}
			i++
		}
	}
	return -1
}

// texts collects every literal that people read.
func (tr *tree) texts() []text {
	c := &collector{tree: tr, seen: map[string]bool{}}
	for _, f := range tr.files {
		c.file = f
		tr.eachTold(f, func(fn *ast.FuncDecl, e ast.Expr, op bool) {
			c.fn, c.op = fn, op
			c.tell(e)
		})
		if slices.Contains(spoken(), f.path) {
			c.op = false
			c.all()
		}
	}
	return c.out
}

// collector turns expressions into formats.
type collector struct {
	tree *tree
	file source
	fn   *ast.FuncDecl
	op   bool
	seen map[string]bool
	out  []text
}

func (c *collector) tell(e ast.Expr) {
	format := c.format(e)
	if strings.Trim(format, "%sdvq ") == "" {
		return
	}
	for line := range strings.SplitSeq(format, "\n") {
		c.add(strings.TrimSpace(line), e)
	}
}

func (c *collector) add(format string, e ast.Node) {
	key := fmt.Sprint(c.op, format)
	if format == "" || c.seen[key] {
		return
	}
	c.seen[key] = true
	p := c.tree.fset.Position(e.Pos())
	c.out = append(c.out, text{format: format, at: fmt.Sprintf("%s:%d", c.file.path, p.Line), op: c.op})
}

// format gives an expression as a format string: "a" + x + "b" is "a%sb". What
// stands for %s is told by itself.
func (c *collector) format(e ast.Expr) string {
	if s, ok := literal(e); ok {
		return s
	}
	switch e := e.(type) {
	case *ast.ParenExpr:
		return c.format(e.X)
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return c.format(e.X) + c.format(e.Y)
		}
	case *ast.CallExpr:
		return c.call(e)
	case *ast.Ident:
		return c.ident(e)
	}
	return "%s"
}

func (c *collector) call(e *ast.CallExpr) string {
	if isSprintf(e) {
		for _, a := range e.Args[1:] {
			c.aside(a)
		}
		return c.format(e.Args[0])
	}
	if sel, ok := e.Fun.(*ast.SelectorExpr); ok && typeName(sel.X) == "strings" && strings.HasPrefix(sel.Sel.Name, "Trim") {
		return c.format(e.Args[0])
	}
	c.aside(e)
	return "%s"
}

func (c *collector) ident(e *ast.Ident) string {
	if s, ok := c.tree.consts[c.file.dir()+"."+e.Name]; ok {
		return s
	}
	c.aside(e)
	return "%s"
}

// aside tells what an argument may stand for: the phrases that a local variable
// is given, or that a function of the package returns.
func (c *collector) aside(e ast.Expr) {
	outer := *c
	defer func() { c.fn, c.op = outer.fn, outer.op }()
	c.op = false
	switch e := e.(type) {
	case *ast.Ident:
		c.assigned(e.Name)
	case *ast.CallExpr:
		fn := c.tree.funcs[c.tree.callee(c.file, e)]
		if fn == nil || fn == c.fn || !strings.HasPrefix(c.tree.callee(c.file, e), c.file.dir()+".") {
			return
		}
		c.fn = fn
		c.returned(fn)
	}
}

func (c *collector) assigned(name string) {
	if c.fn == nil || c.fn.Body == nil {
		return
	}
	ast.Inspect(c.fn.Body, func(n ast.Node) bool {
		as, ok := n.(*ast.AssignStmt)
		if !ok || len(as.Lhs) != len(as.Rhs) {
			return true
		}
		for i, l := range as.Lhs {
			if id, ok := l.(*ast.Ident); ok && id.Name == name {
				c.phrase(as.Rhs[i])
			}
		}
		return true
	})
}

func (c *collector) returned(fn *ast.FuncDecl) {
	if fn.Body == nil || fn.Type.Results == nil || typeName(fn.Type.Results.List[0].Type) != "string" {
		return
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if _, ok := n.(*ast.FuncLit); ok {
			return false
		}
		if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) > 0 {
			c.phrase(r.Results[0])
		}
		return true
	})
}

// phrase tells an expression if it holds a literal itself.
func (c *collector) phrase(e ast.Expr) {
	holds := false
	ast.Inspect(e, func(n ast.Node) bool {
		x, ok := n.(ast.Expr)
		if s, lit := literal(x); ok && lit && strings.Contains(strings.TrimSpace(s), " ") {
			holds = true
		}
		return true
	})
	if holds {
		c.tell(e)
	}
}

// all tells every string of a file but what is compared, indexed or logged.
func (c *collector) all() {
	for _, d := range c.file.ast.Decls {
		c.fn, _ = d.(*ast.FuncDecl)
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec, *ast.IndexExpr, *ast.StructType:
				return false
			case *ast.CaseClause:
				for _, s := range n.Body {
					ast.Inspect(s, func(ast.Node) bool { return true })
				}
			case *ast.BinaryExpr:
				if n.Op != token.ADD {
					return false
				}
				c.tell(n)
				return true
			case *ast.CallExpr:
				if isSprintf(n) {
					c.tell(n)
				}
			case *ast.BasicLit:
				c.tell(n)
			}
			return true
		})
	}
}
