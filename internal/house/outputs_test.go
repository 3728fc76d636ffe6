package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writers are the ways to make a file that know nothing of links, modes and pipes
// where a user has put them.
var writers = []string{"Create", "WriteFile", "Rename"}

// ownFiles are the folders that write only files of their own, which no user names.
var ownFiles = []struct{ folder, why string }{
	{"internal/outfile", "it is the way to write files"},
	{"internal/disk", "what outfile writes by, and folders of tests"},
	{"dist/server/jobs/disk.go", "renames folders of jobs, and asks for room"},
	{"internal/train/damaged.go", "sets damaged checkpoints aside"},
	{"dist/server/rows/rows.go", "a temporary file"},
	{"kernels", "generated files, and the cache of the emulator"},
	{"backend/cpu", "generated files"},
	{"bench", "results in the repository"},
}

// durable are the folders whose files outlive a crash: all that changes them goes through
// internal/disk, or no test could lose it.
var durable = []string{"internal/outfile", "internal/checkpoint", "dist/server/jobs"}

// changes are the functions of package os that internal/disk stands for.
var changes = []string{"Create", "CreateTemp", "WriteFile", "Rename", "Remove", "RemoveAll", "Mkdir", "MkdirAll", "Truncate"}

// TestDurable checks that durable files are written by what tests can have fail.
func TestDurable(t *testing.T) {
	root := filepath.Join("..", "..")
	fset := token.NewFileSet()
	eachGoFile(t, root, func(path string) {
		if strings.HasSuffix(path, "_test.go") || !slices.ContainsFunc(durable, func(folder string) bool { return within(path, folder) }) {
			return
		}
		f, err := parser.ParseFile(fset, filepath.Join(root, path), nil, 0)
		if err != nil {
			t.Error(err)
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains(changes, s.Sel.Name) {
				if pkg, ok := s.X.(*ast.Ident); ok && pkg.Obj == nil && pkg.Name == "os" {
					t.Errorf("%s: os.%s: internal/disk has it", fset.Position(s.Pos()), s.Sel.Name)
				}
			}
			return true
		})
	})
}

// TestOutputs checks that files which users may look for are written by outfile.
func TestOutputs(t *testing.T) {
	root := filepath.Join("..", "..")
	fset := token.NewFileSet()
	eachGoFile(t, root, func(path string) {
		if strings.HasSuffix(path, "_test.go") || slices.ContainsFunc(ownFiles, func(f struct{ folder, why string }) bool {
			return within(path, f.folder)
		}) {
			return
		}
		f, err := parser.ParseFile(fset, filepath.Join(root, path), nil, 0)
		if err != nil {
			t.Error(err)
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := s.X.(*ast.Ident); ok && pkg.Obj == nil && pkg.Name == "os" && slices.Contains(writers, s.Sel.Name) {
				t.Errorf("%s: os.%s: internal/outfile keeps links, modes and pipes", fset.Position(s.Pos()), s.Sel.Name)
			}
			return true
		})
	})
}
