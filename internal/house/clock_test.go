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

// clocks are the folders in which the wall clock is read, and why it decides nothing there.
// The rest of a cluster asks internal/clock, which a test can have jump.
var clocks = []struct{ folder, why string }{
	{"dist/worker", "how long something took: the difference has monotonic readings"},
	{"dist/collective", "as dist/worker"},
	{"dist/rpc/lane", "as dist/worker"},
	{"dist/launch/crew.go", "as dist/worker: how long a process has stayed"},
	{"dist/rpc/listener.go", "as dist/worker: how long a connection has been there"},
	{"dist/rpc/line.go", "package net takes deadlines by their monotonic readings"},
	{"dist/web/gate.go", "as dist/worker: how long a connection has been silent"},
	{"dist/web/events.go", "as dist/rpc/line.go"},
	{"dist/rpc/host.go", "it is compared with times of files, and asks sockets besides"},
	{"dist/rpc/account", "a claim is of this minute, by the wall clock, which both sides share"},
	{"dist/rpc/certs", "certificates are valid by the wall clock"},
}

// walls of time: what takes the monotonic reading from a time, or has none.
var timeless = []struct {
	name string
	only []string
	why  string
}{
	{"UnixNano", []string{"bench", "kernels", "dist/rpc/account"}, "its difference jumps with the clock"},
	{"UnixMilli", []string{"dist/web/metrics.go", "dist/web/process.go"}, "as UnixNano"},
	{"ModTime", []string{"internal/train", "dist/rpc/host.go", "backend/cluster/local.go"},
		"times of files are by the wall clock"},
}

// TestClocks checks that a coordinator decides nothing by the wall clock.
func TestClocks(t *testing.T) {
	root := filepath.Join("..", "..")
	fset := token.NewFileSet()
	seen := map[string]bool{}
	eachGoFile(t, root, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
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
			for _, rule := range timeless {
				if s.Sel.Name == rule.name && !slices.ContainsFunc(rule.only, func(folder string) bool { return within(path, folder) }) {
					t.Errorf("%s: %s: %s", fset.Position(s.Pos()), rule.name, rule.why)
				}
			}
			pkg, ok := s.X.(*ast.Ident)
			if !ok || pkg.Obj != nil || pkg.Name != "time" || !within(path, "dist") {
				return true
			}
			if !slices.Contains([]string{"Now", "Since", "Until"}, s.Sel.Name) {
				return true
			}
			for _, c := range clocks {
				if within(path, c.folder) {
					seen[c.folder] = true
					return true
				}
			}
			t.Errorf("%s: time.%s: internal/clock has the time that passes, and the wall's", fset.Position(s.Pos()), s.Sel.Name)
			return true
		})
	})
	for _, c := range clocks {
		if !seen[c.folder] {
			t.Errorf("%s reads no clock: it needs no exception", c.folder)
		}
	}
}
