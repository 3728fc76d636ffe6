package cpu

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cpu/gemm"
	"github.com/gespann/gespann/backend/ir"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestPlanGolden compares plans with texts, for the kernels in Go, which plan alike on
// every machine.
func TestPlanGolden(t *testing.T) {
	for name, b := range map[string]*builder{"perceptron": perceptron(t, 128), "everything": everything(t)} {
		b.p.Name = name
		got, err := plan(gemm.Portable(), 2, []*ir.Program{&b.p})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "plan-"+name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s (go test -update rewrites it): got\n%s\nwant\n%s", file, got, want)
		}
	}
}

// TestPlan checks that the backend plans for its own kernels and the threads of the
// job, a line for each instruction.
func TestPlan(t *testing.T) {
	b := everything(t)
	planner, ok := any(cpu{}).(backend.Planner)
	if !ok {
		t.Fatal("the backend is no Planner")
	}
	got, err := planner.Plan(backend.Job{Threads: 3}, &b.p, &b.p)
	if err != nil {
		t.Fatal(err)
	}
	if head := Kernels() + " kernels, 3 threads"; strings.Count(got, head) != 2 {
		t.Errorf("want %q twice in\n%s", head, got)
	}
	if lines, want := strings.Count(got, "\n"), 2*(1+len(b.p.Instrs))+1; lines != want {
		t.Errorf("%d lines, want %d:\n%s", lines, want, got)
	}
}
