package phrase_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// silent lists the folders and files whose texts no chat shows, and why.
func silent() map[string]string {
	return map[string]string{
		"bot/api.go":               "answers to programs",
		"bot/bodies.go":            "answers to programs",
		"bot/server.go":            "answers to programs",
		"bot/peer_other.go":        "a line of the log",
		"bot/token.go":             "answers to programs",
		"bot/bottest":              "a rig of tests",
		"bot/githook":              "answers to git hosts, and lines of the log",
		"bot/hooks.go":             "answers to git hosts, and lines of the log",
		"bot/phrase":               "the catalogue itself",
		"bot/stream.go":            "answers to programs",
		"deployer/sim":             "a rig of tests",
		"deployer/drivertest":      "a rig of tests",
		"deployer/host/sshtest":    "a rig of tests",
		"deployer/source/gittest":  "a rig of tests",
		"deployer/source/gitserve": "a git server for tests and the demonstration",

		"deployer/balancer/haproxytest":        "a rig of tests",
		"deployer/balancer/nginxtest":          "a rig of tests",
		"deployer/balancer/slbtest":            "a rig of tests",
		"deployer/runtime/systemdtest":         "a rig of tests",
		"deployer/balancer/nginx/include.go":   "the text of nginx's file",
		"deployer/balancer/proxy/claim.go":     "the proxy's own process: its terminal and its log",
		"deployer/balancer/proxy/serve.go":     "the proxy's own process: its terminal and its log",
		"deployer/balancer/proxy/statefile.go": "the proxy's own process: its terminal and its log",
		"deployer/balancer/proxy/exchange.go":  "answers to the app's own visitors",
		"deployer/balancer/proxy/upload.go":    "answers to the app's own visitors",
	}
}

// reaching lists the files outside of the language, the engine and the bot whose
// errors reach the asker of a command, or a deploy's message.
func reaching() []string {
	return []string{
		"cmd/config/references.go",
		"store/batch.go", "store/damage.go", "store/events.go", "store/history.go", "store/journal.go", "store/load.go", "store/record.go",
		"store/submit.go", "store/transaction.go", "store/watched.go", "store/writer.go",
	}
}

// source is a parsed file of the product, "bot/help.go".
type source struct {
	path string
	fset *token.FileSet
	ast  *ast.File
}

// sources are the files whose texts reach people in a chat. The rest of cmd
// speaks to the operator's own terminal; what store says when it opens its
// database is told there and in the log.
func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var out []source
	for _, top := range []string{"deploy", "deployer", "bot"} {
		err := fs.WalkDir(os.DirFS(root), top, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && silent()[name] != "":
				return fs.SkipDir
			case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || silent()[name] != "":
				return nil
			}
			f, err := parse(name, filepath.Join(root, name), nil)
			out = append(out, f)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range reaching() {
		f, err := parse(name, filepath.Join(root, name), nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

func parse(name, file string, content any) (source, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, content, parser.SkipObjectResolution)
	return source{path: name, fset: fset, ast: f}, err
}

// literal is a string of the code, as a format: "a" + x + "b" is "a%sb".
type literal struct {
	format string
	at     string
	name   bool // of something: no text by itself
}

// literals lists every string of a file that can be a text: not what is
// compared, searched for, logged, or the name of something.
func literals(f source) []literal {
	var out []literal
	naming := false
	told := func(format string, at ast.Node) {
		if strings.Count(format, "\n") > 1 {
			return // a script, or a file
		}
		for line := range strings.SplitSeq(format, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				out = append(out, literal{line, fmt.Sprintf("%s:%d", f.path, f.fset.Position(at.Pos()).Line), naming})
			}
		}
	}
	var visit func(n ast.Node) bool
	visit = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec, *ast.StructType:
			return false
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Subject" {
				naming = true
				ast.Inspect(n.Value, visit)
				naming = false
				return false
			}
		case *ast.CaseClause:
			for _, s := range n.Body {
				ast.Inspect(s, visit)
			}
			return false
		case *ast.CallExpr:
			return !notTold(n)
		case *ast.BinaryExpr:
			if n.Op != token.ADD {
				return n.Op == token.LAND || n.Op == token.LOR
			}
			if format, ok := folded(n); ok {
				told(format, n)
			}
			operands(n, func(e ast.Expr) { ast.Inspect(e, visit) })
			return false
		case *ast.BasicLit:
			if s, ok := stringOf(n); ok {
				told(s, n)
			}
		}
		return true
	}
	ast.Inspect(f.ast, visit)
	return out
}

// notTold reports calls whose texts are compared, matched or logged.
func notTold(c *ast.CallExpr) bool {
	sel, ok := c.Fun.(*ast.SelectorExpr)
	if !ok {
		id, ok := c.Fun.(*ast.Ident)
		return ok && id.Name == "panic"
	}
	on := ""
	switch x := sel.X.(type) {
	case *ast.Ident:
		on = x.Name
	case *ast.SelectorExpr:
		on = x.Sel.Name
	}
	switch on + "." + sel.Sel.Name {
	case "strings.Contains", "strings.HasPrefix", "strings.HasSuffix", "strings.Cut", "strings.CutPrefix", "strings.CutSuffix",
		"bytes.Contains", "bytes.HasPrefix", "regexp.MustCompile", "http.Error", "strings.ContainsAny":
		return true
	}
	return on == "Log" || on == "log"
}

func stringOf(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// folded gives a sum of strings as a format; false if no literal is in it.
func folded(e ast.Expr) (string, bool) {
	if p, ok := e.(*ast.ParenExpr); ok {
		return folded(p.X)
	}
	if b, ok := e.(*ast.BinaryExpr); ok && b.Op == token.ADD {
		x, has := folded(b.X)
		y, also := folded(b.Y)
		return x + y, has || also
	}
	if s, ok := stringOf(e); ok {
		return s, true
	}
	return "%s", false
}

// operands visits what is added up, but for the literals.
func operands(e ast.Expr, visit func(ast.Expr)) {
	if p, ok := e.(*ast.ParenExpr); ok {
		e = p.X
	}
	if b, ok := e.(*ast.BinaryExpr); ok && b.Op == token.ADD {
		operands(b.X, visit)
		operands(b.Y, visit)
		return
	}
	if _, ok := stringOf(e); !ok {
		visit(e)
	}
}
