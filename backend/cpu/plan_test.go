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

// imagesText is a program of convolutions: without padding, before a pooling, with one tap,
// and their gradients.
const imagesText = `program images batch 16
input %0 x f[16,18,18,1]
variable %1 a f[3,3,1,8] var 0
variable %3 b f[3,3,8,16] var 1
variable %7 c f[1,1,16,8] var 2
output %8 prediction f[16,7,7,8]

%2 = conv2d x, a act=relu win=3x3 groups=1 : f[16,16,16,8] ; first
%4 = conv2d %2, b win=3x3 groups=1 : f[16,14,14,16] ; second
%5, %6 = max_pool %4 win=2x2/s2x2 : f[16,7,7,16] i[16,7,7,16] ; pool
prediction = conv2d %5, c act=gelu win=1x1 groups=1 ; third
`

// TestPlanGolden compares plans with texts, for the kernels in Go, which plan alike on
// every machine.
func TestPlanGolden(t *testing.T) {
	images, err := ir.Parse(imagesText)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*ir.Program{
		"images": images, "perceptron": &perceptron(t, 128).p, "everything": &everything(t).p,
		"everything-bf16": &everything(t).p,
	} {
		p.Name = name
		got, err := plan(gemm.Portable(), strings.HasSuffix(name, "-bf16"), backend.Job{Threads: 2}, []*ir.Program{p})
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
	if low, err := planner.Plan(backend.Job{Precision: "bf16"}, &b.p); err != nil || !strings.Contains(low, "kernels, bf16") {
		t.Errorf("in bf16: %v\n%s", err, low)
	}
	if _, err := planner.Plan(backend.Job{Precision: "tf32"}, &b.p); err == nil {
		t.Error("a plan in tf32, which the CPU has not")
	}
	if head := Kernels() + " kernels, 3 threads"; strings.Count(got, head) != 2 {
		t.Errorf("want %q twice in\n%s", head, got)
	}
	if lines, want := strings.Count(got, "\n"), 2*(1+len(b.p.Instrs))+1; lines != want {
		t.Errorf("%d lines, want %d:\n%s", lines, want, got)
	}
}
