package phrase_test
import ("testing";"fmt";"go/ast";"go/token";"regexp";"strings")
func TestExtra(t *testing.T) {
	tr := readTree(t)
	known := ""
	for _, x := range tr.texts() { known += x.format+"\x00" }
	prose := regexp.MustCompile(`[A-Za-z]+ [A-Za-z%]+`)
	for _, f := range tr.files {
		c := &collector{tree: tr, file: f, seen: map[string]bool{}}
		var walk func(n ast.Node) bool
		walk = func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if n.Op == token.ADD { c.tell(n); }
			case *ast.CallExpr:
				if s, ok := n.Fun.(*ast.SelectorExpr); ok {
					switch s.Sel.Name { case "Warn","Error","Info","Log", "Debug": 
					if strings.Contains(fmt.Sprint(s.X), "Log") || true { return false } }
				}
			case *ast.BasicLit: c.tell(n)
			}
			return true
		}
		for _, d := range f.ast.Decls { c.fn, _ = d.(*ast.FuncDecl); ast.Inspect(d, walk) }
		for _, x := range c.out {
			if prose.MatchString(x.format) && !strings.Contains(known, x.format) { fmt.Printf("X\t%s\t%q\n", x.at, x.format) }
		}
	}
}
