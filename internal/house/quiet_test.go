package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// loud lists what libraries leave to their callers: to print, and to end the
// process. "" stands for every name of the package.
var loud = map[string][]string{
	"fmt": {"Print", "Printf", "Println"},
	"log": {""},
	"os":  {"Exit", "Stdout", "Stderr"},
}

// TestQuiet checks that only commands and tests print or exit.
func TestQuiet(t *testing.T) {
	root := filepath.Join("..", "..")
	fset := token.NewFileSet()
	eachGoFile(t, root, func(path string) {
		if strings.HasSuffix(path, "_test.go") || within(path, "kernels/emulator") { // for tests
			return
		}
		f, err := parser.ParseFile(fset, filepath.Join(root, path), nil, 0)
		if err != nil {
			t.Error(err)
			return
		}
		if f.Name.Name == "main" {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && isLoud(s) {
				t.Errorf("%s: %v.%s in a library", fset.Position(s.Pos()), s.X, s.Sel.Name)
			}
			return true
		})
	})
}

func isLoud(s *ast.SelectorExpr) bool {
	// A local variable of the package's name has an Obj; the package has none.
	pkg, ok := s.X.(*ast.Ident)
	if !ok || pkg.Obj != nil {
		return false
	}
	for _, name := range loud[pkg.Name] {
		if name == "" || name == s.Sel.Name {
			return true
		}
	}
	return false
}
