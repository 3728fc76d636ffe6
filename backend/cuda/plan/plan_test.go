package plan_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// build returns the model of a config for images of those sizes.
func build(t *testing.T, config string, shape ...int) *model.Model {
	t.Helper()
	s, err := spec.Load(filepath.Join("..", "..", "..", "configs", config+".yaml"), spec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Build(s, model.Input{Shape: shape, Classes: 10})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// programs returns the programs of a model that training runs, by name.
func programs(t *testing.T, m *model.Model, rows int) []*ir.Program {
	t.Helper()
	gradient, err := m.Gradient(false)
	if err != nil {
		t.Fatal(err)
	}
	forward, err := m.Forward(true)
	if err != nil {
		t.Fatal(err)
	}
	up, err := m.Update()
	if err != nil {
		t.Fatal(err)
	}
	return []*ir.Program{gradient.At(rows), forward.At(rows), up}
}

// TestGolden compares the plans of whole models with texts.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name, config string
		shape        []int
		rows         int
		o            plan.Options
	}{
		{"mnist-mlp", "mnist-mlp", []int{28, 28, 1}, 128, plan.Options{SM: 90}},
		{"mnist-mlp-sm75", "mnist-mlp", []int{28, 28, 1}, 96, plan.Options{Multiprocessors: 40}},
		{"mnist-cnn", "mnist-cnn", []int{28, 28, 1}, 128, plan.Options{SM: 90}},
		{"mnist-cnn-bf16", "mnist-cnn", []int{28, 28, 1}, 128, plan.Options{SM: 80, Precision: plan.BF16}},
		{"digits-resnet-tf32", "digits-resnet", []int{8, 8, 1}, 32, plan.Options{SM: 90, Precision: plan.TF32}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var text strings.Builder
			for _, p := range programs(t, build(t, c.config, c.shape...), c.rows) {
				p = plan.Arrange(p)
				c.o.Layout = plan.Layout(p)
				built, err := plan.Build(p, c.o)
				if err != nil {
					t.Fatal(err)
				}
				text.WriteString(built.String() + "\n")
			}
			golden(t, c.name, text.String())
		})
	}
}

// TestGoldenSession compares the launches around a batch with a text.
func TestGoldenSession(t *testing.T) {
	m := build(t, "mnist-mlp", 28, 28, 1)
	list := programs(t, m, 128)
	gradient, err := plan.Build(list[0], plan.Options{SM: 90})
	if err != nil {
		t.Fatal(err)
	}
	up, err := plan.Build(list[2], plan.Options{SM: 90})
	if err != nil {
		t.Fatal(err)
	}
	x := data.Table{Shape: []int{28, 28, 1}, U8: make([]byte, 784), Scale: []float32{1}, Shift: []float32{0}}
	y := data.Table{U8: make([]byte, 1)}
	batch := plan.Batch{X: plan.ColumnOf(&x), Y: plan.ColumnOf(&y), Weight: 0.5, Micro: 1, Accumulate: 2}
	golden(t, "session", strings.Join([]string{
		gradient.Gather(batch).String(),
		gradient.EndBatch(plan.End{Rows: 128}).String(),
		gradient.EndBatch(plan.End{Rows: 128, Last: true, Update: up}).String(),
	}, "\n")+"\n")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		var g, w string
		if i < len(gotLines) {
			g = gotLines[i]
		}
		if i < len(wantLines) {
			w = wantLines[i]
		}
		if g != w {
			t.Fatalf("%s:%d (go test -update rewrites it):\n got %s\nwant %s", file, i+1, g, w)
		}
	}
}

// TestLimits checks that a plan asks for nothing that a device cannot launch.
func TestLimits(t *testing.T) {
	for _, sms := range []int{1, 14, 132, 1000} {
		for _, c := range []struct {
			config string
			shape  []int
		}{{"mnist-mlp", []int{28, 28, 1}}, {"mnist-cnn", []int{28, 28, 1}}, {"digits-resnet", []int{8, 8, 1}}} {
			m := build(t, c.config, c.shape...)
			for _, rows := range []int{1, 7, 1024} {
				for _, p := range programs(t, m, rows) {
					for _, p := range []*ir.Program{p, plan.Arrange(p)} {
						built, err := plan.Build(p, plan.Options{Multiprocessors: sms, Layout: plan.Layout(p)})
						if err != nil {
							t.Fatal(err)
						}
						checkLaunches(t, built)
					}
				}
			}
		}
	}
}

func checkLaunches(t *testing.T, p *plan.Plan) {
	t.Helper()
	at, also := 0, map[int]bool{}
	for _, l := range p.Launches {
		for _, i := range l.Also {
			also[i] = true
		}
	}
	for i := range p.Program.Instrs {
		launches := p.Instr(i)
		if (len(launches) == 0) != also[i] {
			t.Errorf("instruction %d has %d launches, and is part of another's: %v", i, len(launches), also[i])
		}
		at += len(launches)
	}
	if at != len(p.Launches) {
		t.Errorf("instructions have %d launches, the plan %d", at, len(p.Launches))
	}
	for _, l := range p.Launches {
		if l.Grid[0] < 1 || l.Grid[0] > 1<<31-1 || l.Grid[1] < 1 || l.Grid[1] > 65535 || l.Grid[2] < 1 ||
			l.Grid[2] > 65535 || l.Block[0] < 32 || l.Block[0] > 1024 {
			t.Errorf("a device cannot launch %v", l)
		}
		for _, a := range l.Args {
			checkAddress(t, p, l, a.Ref)
		}
	}
}

func checkAddress(t *testing.T, p *plan.Plan, l plan.Launch, r plan.Ref) {
	t.Helper()
	sizes := map[plan.Buffer]int64{plan.Arena: p.ArenaBytes, plan.Scratch: p.ScratchBytes,
		plan.AsideScratch: p.AsideBytes, plan.AsideCounters: p.CountersBytes, plan.Counters: p.CountersBytes, plan.Tables: p.TableBytes(), plan.Control: plan.ControlBytes}
	if size, ok := sizes[r.Buffer]; ok && (r.Offset < 0 || r.Offset >= size) {
		t.Errorf("%v: %v is not in a buffer of %d bytes", l.Kernel, r, size)
	}
	if r.Offset%4 != 0 {
		t.Errorf("%v: %v is not aligned", l.Kernel, r)
	}
}

func TestBuildErrors(t *testing.T) {
	m := build(t, "mnist-mlp", 28, 28, 1)
	p := programs(t, m, 1)[1]
	for _, c := range []struct {
		o    plan.Options
		want string
	}{
		{plan.Options{Precision: plan.TF32, SM: 75}, "plan: precision tf32 needs compute capability 8.0 or more, got 7.5"},
		{plan.Options{SM: 70}, "plan: compute capability is 7.0, want 7.5 or more"},
		{plan.Options{Precision: 9}, "plan: precision is 9, want 0 to 2"},
	} {
		if _, err := plan.Build(p, c.o); err == nil || err.Error() != c.want {
			t.Errorf("Build with %+v: got %v, want %s", c.o, err, c.want)
		}
	}
	huge := &ir.Program{Name: "huge", Batch: 1, Values: []ir.Value{
		{Name: "x", Kind: ir.Input, Shape: []int{1<<30 + 1, 2}, Var: -1, Of: ir.None},
		{Name: "y", Kind: ir.Output, Shape: []int{1<<30 + 1, 2}, Var: -1, Of: ir.None},
	}, Instrs: []ir.Instr{{Op: ir.Softmax, In: []ir.Slot{0}, Out: []ir.Slot{1}, Layer: "model[0] softmax"}}}
	const want = "plan: instruction 0 (model[0] softmax): softmax: shape is [1073741825 2], want at most 2^30 rows and columns"
	if _, err := plan.Build(huge, plan.Options{}); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestMapLimits plans expressions that the kernel has no room for.
func TestMapLimits(t *testing.T) {
	calls, numbers := new(ir.Formula), new(ir.Formula)
	calls.Result, numbers.Result = ir.InputOf(0), ir.InputOf(0)
	for i := range 200 {
		calls.Result = calls.Call(ir.FnExp, calls.Result)
		if i < 70 {
			numbers.Result = numbers.Call(ir.FnAdd, numbers.Result, ir.Number(float64(i)+0.5))
		}
	}
	wide := new(ir.Formula)
	var all []ir.Operand
	for i := range 30 {
		all = append(all, wide.Call(ir.FnMul, ir.InputOf(0), ir.Number(float64(i)+0.5)))
	}
	wide.Result = all[0]
	for _, v := range all[1:] {
		wide.Result = wide.Call(ir.FnAdd, v, wide.Result)
	}
	for e, want := range map[ir.Expr]string{
		calls.Expr():   "the expression has 200 calls, and 1 results at a time, want at most 192 and 24",
		numbers.Expr(): "the expression has 70 numbers, want at most 64",
		wide.Expr():    "the expression has 59 calls, and 30 results at a time, want at most 192 and 24",
	} {
		p := &ir.Program{Name: "map", Batch: 1, Values: []ir.Value{
			{Name: "x", Kind: ir.Input, Shape: []int{5}, Var: -1, Of: ir.None},
			{Name: "y", Kind: ir.Output, Shape: []int{5}, Var: -1, Of: ir.None},
		}, Instrs: []ir.Instr{{Op: ir.Map, Attrs: ir.Attrs{Expr: e}, In: []ir.Slot{0}, Out: []ir.Slot{1}, Layer: "l"}}}
		if err := ir.Verify(p, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := plan.Build(p, plan.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s...: got %v, want %s", e, err, want)
		}
	}
}

func TestPrecisionText(t *testing.T) {
	for _, p := range []plan.Precision{plan.FP32, plan.TF32, plan.BF16} {
		if got, err := plan.ParsePrecision(p.String()); got != p || err != nil {
			t.Errorf("ParsePrecision(%v) = %v, %v", p, got, err)
		}
	}
	if _, err := plan.ParsePrecision("fp8"); err == nil {
		t.Error("fp8 was accepted")
	}
}

// TestControl checks that a block survives the way to the device and back.
func TestControl(t *testing.T) {
	want := plan.ControlBlock{Done: 1 << 40, First: 7, Index: 3, Halt: 1, Loss: 2.5, Tick: -4}
	b := want.Bytes()
	if len(b) != plan.ControlBytes {
		t.Fatalf("the block has %d bytes, want %d", len(b), plan.ControlBytes)
	}
	if got := plan.ParseControl(b); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestLongColumns checks that the sum for a bias is part of a product only where no
// thread of it has many rows.
func TestLongColumns(t *testing.T) {
	for rows, want := range map[int]int{4096: 1, 1 << 20: 2} {
		b := backendtest.NewBuilder(t, "columns", 1, nil)
		x, dy := b.Input("x", ir.Float, rows, 64), b.Input("dy", ir.Float, rows, 32)
		b.Name(b.Do(ir.BiasGrad, ir.Attrs{}, dy)[0], "db")
		b.Name(b.Do(ir.MatMul, ir.Attrs{TransA: true}, x, dy)[0], "dw")
		p, err := plan.Build(b.Done(), plan.Options{Multiprocessors: 8})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Launches) != want {
			t.Errorf("%d rows: the launches are %v, want %d", rows, p.Launches, want)
		}
	}
}
