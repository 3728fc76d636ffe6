// Package house holds the rules of the code base that a compiler does not
// check: which package may import which, and what every file owes its reader.
package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/gespann/gespann/"

// walls says for each external or internal import which folders may have it.
// Everything that is not named here may be imported from everywhere.
var walls = []struct {
	imports string   // import path, and all below it
	only    []string // folders that may import it; nil: see never
	never   []string // folders that may not
	why     string
}{
	{imports: "gorgonia.org/gorgonia", only: []string{"model", "bench"}, why: "backends run programs, not graphs"},
	{imports: "gorgonia.org/tensor", only: []string{"model", "bench"}, why: "as gorgonia"},
	{imports: "github.com/chewxy/hm", only: []string{"model"}, why: "as gorgonia"},
	{imports: "github.com/spf13/viper", only: []string{"cmd", "model/spec"}, why: "settings are resolved once"},
	{imports: "github.com/spf13/cobra", only: []string{"cmd"}, why: "libraries have no flags"},
	{imports: "gonum.org/v1/plot", only: []string{"internal/train", "bench"}, why: "only runs and benchmarks draw"},
	{imports: module + "backend/cpu", only: []string{"backend/cpu", "cmd", "bench"}, why: "backends are reached through the registry"},
	{imports: module + "backend/ref", only: []string{"backend/ref", "backend/backendtest", "cmd", "bench"}, why: "backends are reached through the registry"},
	{imports: module + "backend/cuda", only: []string{"backend/cuda", "cmd", "kernels/emulator"}, why: "backends are reached through the registry"},
	{imports: "gorgonia.org/cu", only: []string{"backend/cuda"}, why: "it ends the process where there is no driver"},
	{imports: "google.golang.org/grpc", only: []string{"dist/rpc"}, why: "the rest of a cluster knows connections, not what carries them"},
	{imports: "net/http", only: []string{"dist/web", "dist/launch", "internal/data/source", "bench"}, why: "one page, Spark, downloads, and who looks at the page in a race"},
	{imports: "github.com/chromedp", only: []string{}, why: "tests drive a browser, programs do not"},
	{imports: module + "dist/web", only: []string{"cmd", "bench"}, why: "a coordinator does not know that it is looked at"},
	{imports: "net", never: []string{"dist/coord", "dist/server", "dist/strategy"}, why: "connections come from outside"},
	{imports: "os", never: []string{"dist/coord", "dist/strategy"}, why: "they decide and calculate; dist/server acts"},
	{imports: "sync", never: []string{"dist/coord"}, why: "it decides one thing after the other"},
	{imports: "context", never: []string{"dist/coord", "dist/strategy"}, why: "as os"},
	{imports: "math/rand", never: []string{"dist/coord", "dist/strategy"}, why: "the same events have the same actions"},
	{imports: module + "model", never: []string{"backend", "dist", "internal/data/*.go", "internal/checkpoint"}, why: "backends know programs, not layers"},
	{imports: module + "internal/train", only: []string{"cmd", "bench", "internal/train"}, why: "the loop is the top of the library"},
}

// TestWalls checks the imports of every file that is not a test.
func TestWalls(t *testing.T) {
	root := filepath.Join("..", "..")
	fset := token.NewFileSet()
	eachGoFile(t, root, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		f, err := parser.ParseFile(fset, filepath.Join(root, path), nil, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			return
		}
		for _, spec := range f.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			for _, w := range walls {
				if within(imported, w.imports) && !allowed(path, w.only, w.never) {
					t.Errorf("%s imports %s: %s", path, imported, w.why)
				}
			}
		}
	})
}

func allowed(path string, only, never []string) bool {
	for _, folder := range never {
		if glob, _ := filepath.Match(folder, path); glob || within(path, folder) {
			return false
		}
	}
	for _, folder := range only {
		if within(path, folder) {
			return true
		}
	}
	return only == nil
}

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// eachGoFile calls f with the slash-separated path below root of every Go file
// of the module.
func eachGoFile(t *testing.T, root string, f func(path string)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2
		if d.IsDir() && (hidden || d.Name() == "testdata" || d.Name() == "runs") {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(path, ".go") {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			files++
			f(filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Fatalf("found %d Go files below %s, want the whole module", files, root)
	}
}
