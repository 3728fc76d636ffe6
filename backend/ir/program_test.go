package ir_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/ref"
	"github.com/gespann/gespann/internal/numtest"
)

// randomProgram returns a verified program of n instructions over matrices of a
// few shapes, with views, several outputs, and values that are used never, once
// or much later.
func randomProgram(t testing.TB, r *rand.Rand, n int) (*ir.Program, []ir.Var) {
	vars := []ir.Var{{Name: "w", Shape: []int{4, 6}}, {Name: "odd name", Shape: []int{6, 4}}}
	b := backendtest.NewBuilder(t, "random", 6, vars)
	live := []ir.Slot{b.Input("x", ir.Float, 4, 6), b.Variable(0), b.Input("z", ir.Float, 6, 4),
		b.Variable(1), b.Input("unused", ir.Float, 3)}
	used := map[ir.Slot]bool{}
	pick := func(shape ...int) ir.Slot {
		for {
			if s := live[r.IntN(len(live))]; slices.Equal(b.P.Values[s].Shape, shape) {
				used[s] = true
				return s
			}
		}
	}
	x, z := []int{4, 6}, []int{6, 4}
	for range n {
		switch r.IntN(6) {
		case 0:
			live = append(live, b.Do(ir.Add, ir.Attrs{Act: ir.ReLU}, pick(x...), pick(x...))...)
		case 1:
			live = append(live, b.Do(ir.Softmax, ir.Attrs{}, pick(z...))...)
		case 2:
			square := b.Do(ir.MatMul, ir.Attrs{}, pick(x...), pick(z...))[0]
			live = append(live, b.Do(ir.MatMul, ir.Attrs{TransB: true}, square, pick(z...))[0])
		case 3:
			live = append(live, b.View(pick(x...), 6, 4))
		case 4:
			live = append(live, b.Do(ir.ActGrad, ir.Attrs{Act: ir.Tanh}, pick(z...), pick(z...))...)
		case 5:
			long := b.Do(ir.Concat, ir.Attrs{Axis: 0}, pick(x...), pick(x...))[0]
			live = append(live, b.Do(ir.Slice, ir.Attrs{Axis: 0, Start: 2, Count: 4}, long)...)
		}
	}
	for i := range b.P.Values {
		v := &b.P.Values[i]
		if v.Kind == ir.Temp && r.IntN(3) == 0 {
			b.Name(ir.Slot(i), "out/"+string(rune('a'+i%26))+strings.Repeat("'", i/26))
		} else if v.Kind == ir.Temp && r.IntN(3) == 0 {
			v.Name = "some name"
		}
	}
	return b.Done(), vars
}

func TestTextRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		p, _ := randomProgram(t, r, 1+r.IntN(30))
		roundTrip(t, p)
	}
	tiny := backendtest.Job(t, 8, 2).Programs
	for _, p := range []func() (*ir.Program, error){
		func() (*ir.Program, error) { return tiny.Forward(true) },
		func() (*ir.Program, error) { return tiny.Gradient(true) },
		tiny.Update,
	} {
		p, err := p()
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, p)
		roundTrip(t, p.At(8))
	}
}

func roundTrip(t testing.TB, p *ir.Program) {
	t.Helper()
	text := p.String()
	got, err := ir.Parse(text)
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, text)
	}
	if !reflect.DeepEqual(got, p) {
		t.Fatalf("Parse(String(p)) is another program:\n%s\nfrom\n%s", got, text)
	}
}

func TestText(t *testing.T) {
	const want = `program forward batch 128
input %0 x f[128,28,28]
variable %1 dense.kernel f[784,10] var 0
variable %2 "dense bias" f[10] var 1
output %5 prediction f[128,10]

%3(flat) = view x : f[128,784]
%4 = matmul %3, dense.kernel, "dense bias" bias act=leaky_relu alpha=0.2 : f[128,10] ; model[1] dense
prediction = softmax %4 ; model[2] softmax
`
	p, err := ir.Parse(want)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	vars := []ir.Var{{Name: "dense.kernel", Shape: []int{784, 10}}, {Name: "dense bias", Shape: []int{10}}}
	if err := ir.Verify(p, vars); err != nil {
		t.Error(err)
	}
}

func TestParseErrors(t *testing.T) {
	const head = "program p batch 1\ninput %0 x f[2]\n"
	for text, want := range map[string]string{
		"":                                               "no line says program",
		"input %0 x f[2]":                                `line 1: got "input %0 x f[2]", want "program"`,
		"program p batch x":                              `line 1: got "x", want a number`,
		head + "input %0 y f[2]":                         "line 3: %0 is there twice",
		head + "input %1 x f[2]":                         `line 3: name "x" is there twice`,
		head + "input %2 y f[2]":                         "2 values, but none is %1",
		head + "input %1 y g[2]":                         `line 3: got "g[2]", want a type and shape`,
		head + "%1 = softmax y : f[2]":                   `line 3: no value is named "y"`,
		head + "%1 = softmix x : f[2]":                   `line 3: "softmix" is no op`,
		head + "%1 = softmax x":                          "line 3: %1 has no type",
		head + "%1 = softmax x foo=1 : f[2]":             `line 3: "foo" is no attribute`,
		head + "%1 = softmax x axis=a : f[2]":            `line 3: axis: strconv.Atoi: parsing "a": invalid syntax`,
		"program p batch -1":                             "line 1: got batch -1, want a number of rows or B",
		head + "%1 = softmax x : f[-2]":                  `line 3: shape "[-2]": got dim -2, want a number or a multiple of B`,
		head + "%1 = softmax x : f[0B]":                  `line 3: shape "[0B]": got dim 0B, want a number or a multiple of B`,
		head + "%1 = softmax %7 : f[2]":                  "no value is %7",
		head + "%1 = view %1 : f[2]\n%1 = view x : f[2]": "line 4: a view is one new value",
	} {
		if _, err := ir.Parse(text); err == nil || err.Error() != want {
			t.Errorf("Parse(%q):\n got %v\nwant %s", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	tiny := backendtest.Job(f, 8, 2).Programs
	for rows := range 2 {
		p, err := tiny.Gradient(rows == 1)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p.String())
		f.Add(p.At(rows + 2).String())
	}
	f.Add("program _ batch 0\n\"_\" = conv2d _, %1 win=3x3/s2x2/d1x2/p1,2,3,4 dims=[1,2] : f[1] ; \"x\\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ir.Parse(text)
		if err != nil {
			return
		}
		vars := []ir.Var{{Name: "w", Shape: []int{12, 9}}}
		for i := range p.Values {
			if n := p.Values[i].Var; n >= len(vars) && n < 100 {
				vars = append(vars, make([]ir.Var, n+1-len(vars))...)
			}
			if n := p.Values[i].Var; n >= 0 && n < len(vars) {
				vars[n].Shape = p.Values[i].Shape
			}
		}
		if ir.Verify(p, vars) == nil {
			roundTrip(t, p)
			for _, rows := range []int{1, 2, 3, 1000} {
				at := p.At(rows)
				if err := ir.Verify(at, vars); err != nil && !strings.Contains(err.Error(), "elements") {
					t.Errorf("right for any number of rows, but for %d: %v\n%v", rows, err, p)
				} else if plan := ir.PlanMemory(at); plan.Size < 0 {
					t.Errorf("plan has size %d", plan.Size)
				}
			}
		}
	})
}

// TestRows says what a program for any number of rows may be.
func TestRows(t *testing.T) {
	const text = `program p batch B
input %0 x f[B,4,6]
input %1 y i[4B]
variable %2 w f[6,5] var 0
output %3 out f[4B,10]

%4 = view x : f[4B,6]
%5 = matmul %4, w : f[4B,5] ; dense
out = concat %5, %5 axis=1 ; joined
`
	vars := []ir.Var{{Name: "w", Shape: []int{6, 5}}}
	for _, c := range []struct{ old, new, want string }{
		{"", "", ""},
		{"x f[B,4,6]", "x f[4,B,6]", "value 0: shape [4,B,6], want B in the first dim only"},
		{"w f[6,5]", "w f[6B,5]", "variable w f[6B,5]: a variable has no rows of a batch"},
		{"view x : f[4B,6]", "view x : f[24,6]", "view %4 f[24,6]: view of input x f[B,4,6], want another kind, the same type and size"},
		{"view x : f[4B,6]", "view x : f[3B,6]", "view %4 f[3B,6]: view of input x f[B,4,6], want another kind, the same type and size"},
		{"w : f[4B,5]", "w : f[4,5]", "instruction 0 (dense): matmul: output 0: temp %5 f[4,5], want f[4B,5]"},
		{"matmul %4, w : f[4B,5]", "matmul w, %4 trans_b trans_a : f[5,4B]", "value 5: shape [5,4B], want B in the first dim only"},
		{"%5 = matmul %4, w :", "%5 = matmul w, %4 trans_b trans_a :", "instruction 0 (dense): matmul: output: shape [5,4B], want B in the first dim only"},
		{"out f[4B,10]", "out f[8B,5]", "instruction 1 (joined): concat: output 0: output out f[8B,5], want f[4B,10]"},
		{"concat %5, %5 axis=1", "concat %5, w axis=0", "instruction 1 (joined): concat: cannot join 4B and 6 elements along axis 0"},
		{"concat %5, %5 axis=1", "slice %5 count=2", "instruction 1 (joined): slice: got 2 elements from 0 along axis 0 of [4B,5]"},
	} {
		p, err := ir.Parse(strings.Replace(text, c.old, c.new, 1))
		if err != nil {
			t.Errorf("%s: %v", c.new, err)
			continue
		}
		err = ir.Verify(p, vars)
		if got := fmt.Sprint(err); c.want != "" && got != "program p: "+c.want || c.want == "" && err != nil {
			t.Errorf("with %q:\n got %v\nwant %v", c.new, err, c.want)
		}
	}
	p, err := ir.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, p)
	if err := ir.Verify(&ir.Program{Name: "p", Batch: -2}, nil); fmt.Sprint(err) != "program p: batch is -2, want >= 0 or B" {
		t.Errorf("batch -2: got %v", err)
	}
	seven, err := ir.Parse(strings.NewReplacer("[4B", "[28", "B", "7").Replace(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.At(7); !reflect.DeepEqual(got, seven) {
		t.Errorf("got\n%v\nwant\n%v", got, seven)
	}
	if got := seven.At(3); got != seven {
		t.Errorf("a program of 7 rows has become\n%v", got)
	}
}

// FuzzInfer gives Infer hostile shapes and attributes.
func FuzzInfer(f *testing.F) {
	f.Add(uint8(1), uint64(1), 3, 3, 1)
	f.Fuzz(func(t *testing.T, op uint8, seed uint64, a, b, c int) {
		r := rand.New(rand.NewPCG(seed, 0))
		number := func() int {
			return []int{a, b, c, 1, 2, 3, 4, 0, -1, ir.MaxSize, math.MaxInt / 2, math.MaxInt, math.MinInt}[r.IntN(13)]
		}
		attrs := ir.Attrs{Win: ir.Window{KH: number(), KW: number(), SH: number(), SW: number(), DH: 1, DW: 1},
			Groups: number(), Dims: [4]int{number(), number(), number(), number()}}
		if r.IntN(2) == 0 {
			attrs = ir.Attrs{Axis: number(), Start: number(), Count: number()}
		}
		in := make([]ir.Value, r.IntN(6))
		for i := range in {
			in[i].Type = ir.Type(r.IntN(3))
			for range r.IntN(6) {
				in[i].Shape = append(in[i].Shape, number())
			}
		}
		out, err := ir.Infer(ir.Op(op%uint8(ir.NumOps+1)), attrs, in)
		if err != nil {
			return
		}
		for _, v := range out {
			if n := max(v.Size(), -v.Size()); n < 1 || n > ir.MaxSize {
				t.Errorf("output of shape %v", v.Shape)
			}
		}
	})
}

// TestPlan checks that values that live at the same time do not overlap, and
// that programs compute in an arena what they compute in memory of their own.
func TestPlan(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 200 {
		p, _ := randomProgram(t, r, 1+r.IntN(60))
		plan := ir.PlanMemory(p)
		checkPlan(t, p, plan)
		own, arena := ref.NewSlots[float64](p), ref.NewSlots[float64](p)
		memory := make([]float64, plan.Size)
		for i := range p.Values {
			if off := plan.Offset[i]; off >= 0 {
				arena.F[i] = memory[off:][:p.Values[i].Size()]
			}
			if kind := p.Values[i].Kind; kind == ir.Input || kind == ir.Variable {
				for k := range own.F[i] {
					own.F[i][k] = r.NormFloat64()
				}
				copy(arena.F[i], own.F[i])
			}
		}
		arena.ShareViews(p)
		ref.Run(p, own)
		ref.Run(p, arena)
		for i, v := range p.Values {
			if v.Kind == ir.Output {
				numtest.Close(t, arena.F[i], own.F[i], numtest.Tol{Why: "the same arithmetic"})
			}
		}
	}
}

// checkPlan compares all pairs of values.
func checkPlan(t *testing.T, p *ir.Program, plan ir.Plan) {
	t.Helper()
	lives := ir.Lifetimes(p)
	for a, la := range lives {
		off, size := plan.Offset[a], p.Values[a].Size()
		if la.First > la.Last {
			continue
		}
		if off < 0 || off%ir.Align != 0 || off+size > plan.Size {
			t.Fatalf("value %d of %d elements is at %d of %d", a, size, off, plan.Size)
		}
		for b := range a {
			lb := lives[b]
			apart := off+size <= plan.Offset[b] || plan.Offset[b]+p.Values[b].Size() <= off
			if lb.First <= lb.Last && la.First <= lb.Last && lb.First <= la.Last && !apart {
				t.Fatalf("values %d %v and %d %v overlap", a, la, b, lb)
			}
		}
	}
}

// TestPlanReuses checks that a chain takes the memory of two links.
func TestPlanReuses(t *testing.T) {
	b := backendtest.NewBuilder(t, "chain", 1, nil)
	s := b.Input("x", ir.Float, 100)
	for range 20 {
		s = b.Do(ir.Softmax, ir.Attrs{}, s)[0]
	}
	b.Name(s, "y")
	if got, want := ir.PlanMemory(b.Done()).Size, 2*112; got != want {
		t.Errorf("arena has %d elements, want %d", got, want)
	}
}

// TestVerify breaks a program in every way that Verify speaks of.
func TestVerify(t *testing.T) {
	const text = `program p batch 2
input %0 x f[2,3]
variable %1 w f[3,4] var 0
grad %2 dw f[3,4] var 0
output %5 y f[2,4]

%3 = view x : f[3,2]
%4 = matmul x, w : f[2,4] ; dense
y = activation %4 act=relu
dw = matmul %3, %4 ; dense
`
	vars := []ir.Var{{Name: "w", Shape: []int{3, 4}}, {Name: "m", Shape: []int{3, 4}, Role: ir.OptState}}
	for _, c := range []struct{ old, new, want string }{
		{"", "", ""},
		{"batch 2\ninput %0 x f[2,3]", "batch 2\ninput %0 x f[2B,3]", "input x f[2B,3]: has rows of any number, but the batch is 2"},
		{"w f[3,4] var 0", "w f[3B,4] var 0", "variable w f[3B,4]: has rows of any number, but the batch is 2"},
		{"w f[3,4] var 0", "w f[3,4] var 7", "variable w f[3,4]: var is 7, want 0 to 1"},
		{"w f[3,4] var 0", "w f[4,4] var 0", "variable w f[4,4]: variable w is f[3,4]"},
		{"dw f[3,4] var 0", "dw f[3,4] var 1", "grad dw f[3,4]: variable m belongs to the optimizer and has no gradient"},
		{"x f[2,3]", "x f[2,0]", "value 0: shape [2,0], want dims >= 1"},
		{"view x : f[3,2]", "view x : f[3,3]", "view %3 f[3,3]: view of input x f[2,3], want another kind, the same type and size"},
		{"view x : f[3,2]", "view %3 : f[3,2]", "view %3 f[3,2]: view of view %3 f[3,2], want another kind, the same type and size"},
		{"view x : f[3,2]", "view x : i[3,2]", "view %3 i[3,2]: view of input x f[2,3], want another kind, the same type and size"},
		{"y = activation %4", "y = activation %4 bias", "instruction 1 (): activation: attribute bias is bias, but the op does not read it"},
		{"%4 = matmul x, w : f[2,4]", "%4 = matmul x, w : f[2,5]", "instruction 0 (dense): matmul: output 0: temp %4 f[2,5], want f[2,4]"},
		{"%4 = matmul x, w", "%4 = matmul x, y", "instruction 0 (dense): matmul: reads output y f[2,4] before it is assigned"},
		{"%4 = matmul x, w", "%4 = matmul x, dw", "instruction 0 (dense): matmul: reads grad dw f[3,4] before it is assigned"},
		{"%4 = matmul x, w", "%4 = matmul x, _", "instruction 0 (dense): matmul: input 1 is slot -1, want 0 to 5"},
		{"dw = matmul %3, %4", "w = matmul %3, %4", "instruction 2 (dense): matmul: output 0: variable w f[3,4]: update ops assign variables, and only they do"},
		{"dw = matmul %3, %4", "_ = matmul %3, %4", "instruction 2 (dense): matmul: output 0: slot -1, want 0 to 5"},
		{"dw = matmul %3, %4", "%3 = activation %3", "instruction 2 (dense): activation: output 0: input x f[2,3] is an input, and never assigned"},
		{"dw = matmul %3, %4", "y = activation %4", "instruction 2 (dense): activation: output 0: output y f[2,4] is assigned twice"},
		{"y = activation %4 act=relu\n", "", "output y f[2,4] is never assigned"},
		{"dw = matmul %3, %4", "y = accumulate %4", "instruction 2 (dense): accumulate: output 0: output y f[2,4]: accumulate adds to gradients only"},
		{"dw = matmul %3, %4", "dw = accumulate w", ""},
		{"dw = matmul %3, %4", "w = ema dw momentum=0.5", "instruction 2 (dense): ema: changes variables, but the program has batch 2, want 0"},
		{"dw = matmul %3, %4", "dw = matmul %3", "instruction 2 (dense): matmul: got 1 inputs, want b too"},
		{"dw = matmul %3, %4", "dw, %4 = matmul %3, %4", "instruction 2 (dense): matmul: has 2 outputs, want 1"},
	} {
		p, err := ir.Parse(strings.Replace(text, c.old, c.new, 1))
		if err != nil {
			t.Errorf("%s: %v", c.new, err)
			continue
		}
		want := error(nil)
		if c.want != "" {
			want = errors.New("program p: " + c.want)
		}
		if err := ir.Verify(p, vars); (err == nil) != (want == nil) || err != nil && err.Error() != want.Error() {
			t.Errorf("with %q:\n got %v\nwant %v", c.new, err, want)
		}
	}
}
