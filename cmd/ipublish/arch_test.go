package main_test

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
	"strings"
	"testing"
)

// The rules of the house, checked on the source of the whole module. Each rule
// is a function from parsed files to complaints; arch_rules_test.go shows on
// tiny inputs that each of them can complain.

func TestTheModuleKeepsTheRulesOfTheHouse(t *testing.T) {
	files := module(t)
	for name, rule := range houseRules() {
		t.Run(name, func(t *testing.T) {
			for _, complaint := range rule(files) {
				t.Error(complaint)
			}
		})
	}
}

// rule looks at all files of the module and says what is wrong.
type rule func([]file) []string

func houseRules() map[string]rule {
	return map[string]rule{
		"imports run one way":                     each(importsRunOneWay),
		"drivers are named in one place":          each(driversAreNamedInOnePlace),
		"rigs serve tests only":                   each(rigsServeTestsOnly),
		"nothing runs before main":                each(nothingRunsBeforeMain),
		"package variables never change":          packageVariablesNeverChange,
		"files are short":                         each(filesAreShort),
		"nothing sleeps outside a bubble":         nothingSleepsOutsideABubble,
		"a missing component fails under CI":      each(missingComponentsFailUnderCI),
		"every exported name has a comment":       each(exportedNamesHaveComments),
		"every package says what it is for":       packagesHaveADocument,
		"nothing is left for later":               each(nothingIsLeftForLater),
		"errors that a caller compares are named": each(sentinelsAreNamedErr),
	}
}

// each makes a rule of one that judges a file by itself.
func each(judge func(file) []string) rule {
	return func(files []file) []string {
		var out []string
		for _, f := range files {
			out = append(out, judge(f)...)
		}
		return out
	}
}

// file is one parsed Go file of the module.
type file struct {
	path string // slash-separated, from the module's root
	set  *token.FileSet
	ast  *ast.File
	size int // lines
}

func (f file) dir() string  { return path.Dir(f.path) }
func (f file) base() string { return path.Base(f.path) }
func (f file) test() bool   { return strings.HasSuffix(f.path, "_test.go") }

// at begins a complaint about a place in the file.
func (f file) at(n ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", f.path, f.set.Position(n.Pos()).Line) + fmt.Sprintf(format, args...)
}

// imports gives the import paths of the file with their places.
func (f file) imports() map[string]ast.Node {
	out := map[string]ast.Node{}
	for _, spec := range f.ast.Imports {
		out[strings.Trim(spec.Path.Value, `"`)] = spec
	}
	return out
}

// parse reads one file; text in place of a path on disk is for the rules' own tests.
func parse(name, text string) (file, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	return file{path: name, set: set, ast: tree, size: strings.Count(text, "\n")}, err
}

// module reads every Go file of the module, in the order of their paths.
func module(t *testing.T) []file {
	t.Helper()
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	var files []file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(root, name, d)
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(rel), string(text))
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	if len(files) < 100 {
		t.Fatalf("only %d files found below %s: the rules would pass for want of anything to judge", len(files), root)
	}
	return files
}

// enter skips what is not the module's source.
func enter(root, name string, d fs.DirEntry) error {
	hidden := strings.HasPrefix(d.Name(), ".") && name != root
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	if hidden || d.Name() == "testdata" || d.Name() == "bin" || err == nil && name != root {
		return fs.SkipDir
	}
	return nil
}
