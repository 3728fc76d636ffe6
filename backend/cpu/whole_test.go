package cpu

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/numtest"
)

// wholeText is the gradient of a perceptron 20-256-160-10 for any number of rows. The
// weights b are large enough to be updated with their gradient.
const wholeText = `program gradient batch B
input %0 x f[B,20]
variable %1 a f[20,256] var 0
variable %2 b f[256,160] var 1
variable %3 c f[160,10] var 2
input %4 y i[B]
output %5 loss f[1]
input %6 seed f[1]
grad %7 da f[20,256] var 0
grad %8 db f[256,160] var 1
grad %9 dc f[160,10] var 2

%10 = matmul x, a act=relu : f[B,256] ; first
%11 = matmul %10, b act=relu : f[B,160] ; second
%12 = matmul %11, c : f[B,10] ; third
loss, %13 = softmax_xent %12, y : f[B,10] ; loss
%14 = softmax_xent_grad %13, y, seed : f[B,10] ; loss
%15 = matmul %14, c, %11 trans_b grad_act act=relu : f[B,160] ; third
dc = matmul %11, %14 trans_a ; third
%16 = matmul %15, b, %10 trans_b grad_act act=relu : f[B,256] ; second
db = matmul %10, %15 trans_a ; second
da = matmul x, %16 trans_a ; first
`

// wholePrograms are those of wholeText, after a change, and of an update. It has slots
// other variables for each parameter.
type wholePrograms struct {
	change *strings.Replacer
	update string // without inputs and outputs
	slots  int
	tail   string // lines after the update, which then has no slots
}

var wholeShapes = [][]int{{20, 256}, {256, 160}, {160, 10}}

func (w wholePrograms) Vars() []ir.Var {
	var all []ir.Var
	for j := range w.slots + 1 {
		for k, shape := range wholeShapes {
			role := ir.OptState
			if j == 0 {
				role = ir.Param
			}
			all = append(all, ir.Var{Name: "abcdefghijkl"[3*j+k:][:1], Shape: shape, Role: role})
		}
	}
	return all
}

func (w wholePrograms) Forward(bool) (*ir.Program, error) {
	text, _, _ := strings.Cut(wholeText, "input %6")
	for _, line := range []string{"", "%6 = matmul x, a act=relu : f[B,256] ; first", "%7 = matmul %6, b act=relu : f[B,160] ; second",
		"%8 = matmul %7, c : f[B,10] ; third", "loss, %9 = softmax_xent %8, y : f[B,10] ; loss", ""} {
		text += line + "\n"
	}
	return ir.Parse(strings.Replace(text, "gradient", "forward", 1))
}

func (w wholePrograms) Gradient(bool) (*ir.Program, error) {
	return ir.Parse(w.change.Replace(wholeText))
}

func (w wholePrograms) Update() (*ir.Program, error) {
	p := &ir.Program{Name: "update"}
	value := func(v ir.Value) string {
		if v.Kind == ir.Input {
			v.Var = -1
		}
		v.Of = ir.None
		p.Values = append(p.Values, v)
		return v.Name
	}
	in := []string{value(ir.Value{Name: ir.InRate, Kind: ir.Input, Shape: []int{1}}),
		value(ir.Value{Name: ir.InStep, Kind: ir.Input, Type: ir.Int, Shape: []int{1}})}
	var grads, out []string
	for i, v := range w.Vars()[:3] {
		grads = append(grads, value(ir.Value{Name: "d" + v.Name, Kind: ir.Grad, Shape: v.Shape, Var: i}))
	}
	for i, v := range w.Vars() {
		out = append(out, value(ir.Value{Name: v.Name, Kind: ir.Variable, Shape: v.Shape, Var: i}))
	}
	if w.tail != "" {
		out = out[:3]
	}
	var clip string
	if strings.HasSuffix(w.update, " scale") {
		clip = fmt.Sprintf("%%%d = clip_norm %s max=0.1 : f[1] ; optimizer\n", len(p.Values), strings.Join(grads, ", "))
		in = append(in, fmt.Sprintf("%%%d", len(p.Values)))
	}
	name, attrs, _ := strings.Cut(w.update, " ")
	return ir.Parse(fmt.Sprintf("%s%s%s = %s %s %s ; optimizer\n%s", p, clip, strings.Join(out, ", "), name,
		strings.Join(append(in, grads...), ", "), attrs, w.tail))
}

// wholeJob returns a job of 70 rows, 32 a batch.
func wholeJob(w wholePrograms) backend.Job {
	rng := rand.New(rand.NewPCG(5, 6))
	part := data.Part{Rows: 70, X: data.Table{Shape: []int{20}, F32: make([]float32, 70*20)}, Y: data.Table{I32: make([]int32, 70)}}
	for i := range part.X.F32 {
		part.X.F32[i] = float32(rng.NormFloat64())
	}
	for i := range part.Y.I32 {
		part.Y.I32[i] = rng.Int32N(10)
	}
	set := &data.Set{Classes: 10}
	set.Parts[data.Train] = part
	return backend.Job{Programs: w, Data: set, Seed: 3, BatchSize: 32, Accumulate: 1, Shuffle: true}
}

// plain hides that an executor has whole steps.
type plain struct{ host.Executor }

// counting counts the whole steps that an executor makes.
type counting struct {
	*executor
	whole *int
}

func (c counting) Step(gradient, update host.Runner) host.StepRunner {
	s := c.executor.Step(gradient, update)
	if s != nil {
		*c.whole++
	}
	return s
}

// train opens a session, sets its variables and takes an epoch of steps.
func train(t *testing.T, job backend.Job, ex host.Executor, vars [][]float32, epochs int) ([][]float32, error) {
	t.Helper()
	s, err := host.Open(job, ex)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Restore(t.Context(), vars); err != nil {
		t.Fatal(err)
	}
	for e := range epochs {
		span := backend.Span{Epoch: e, Last: 3, Step: int64(3 * e), Rates: []float32{0.01, 0.02, 0.005}}
		if _, _, err = s.Train(t.Context(), span); err != nil {
			break
		}
	}
	got, snapErr := s.Snapshot(t.Context())
	if snapErr != nil {
		t.Fatal(snapErr)
	}
	return got, err
}

// initial returns small random numbers, 0 for the optimiser.
func initial(w wholePrograms) [][]float32 {
	rng := rand.New(rand.NewPCG(1, 2))
	var all [][]float32
	for _, v := range w.Vars() {
		x := make([]float32, ir.Size(v.Shape))
		if v.Role == ir.Param {
			for i := range x {
				x[i] = float32(rng.NormFloat64()) * 0.1
			}
		}
		all = append(all, x)
	}
	return all
}

// TestWhole compares steps taken as a whole with gradients and updates one after the
// other: the same bits, for whole and for cut batches, and whole where it is possible.
func TestWhole(t *testing.T) {
	adam := "adam eps=1e-07 beta1=0.9 beta2=0.999"
	for _, tc := range []struct {
		name   string
		change []string
		update string
		slots  int
		whole  bool
		tail   string
	}{
		{"sgd", nil, "sgd", 0, true, ""},
		{"decay and clipped values", nil, "sgd clip_value=0.01 weight_decay=0.1", 0, true, ""},
		{"momentum", nil, "sgd momentum=0.9 nesterov", 1, true, ""},
		{"adam", nil, adam, 2, true, ""},
		{"amsgrad", nil, adam + " amsgrad", 3, true, ""},
		{"rmsprop", nil, "rmsprop beta2=0.9 momentum=0.5 eps=1e-07 centered", 3, true, ""},
		{"adagrad", nil, "adagrad eps=1e-07", 1, true, ""},
		{"clipped norm", nil, adam + " scale", 2, false, ""},
		{"weights read later", []string{"%16 = matmul %15, b, %10 trans_b grad_act act=relu : f[B,256] ; second\ndb = matmul %10, %15 trans_a ; second\n",
			"db = matmul %10, %15 trans_a ; second\n%16 = matmul %15, b, %10 trans_b grad_act act=relu : f[B,256] ; second\n"}, adam, 2, false, ""},
		{"gradient read", []string{"da = matmul x, %16 trans_a ; first\n",
			"da = matmul x, %16 trans_a ; first\n%17 = bias_grad db : f[160] ; second\n"}, adam, 2, false, ""},
		{"activation of the gradient", []string{"db = matmul %10, %15 trans_a", "db = matmul %10, %15 trans_a act=tanh"}, adam, 2, false, ""},
		{"loss only later", []string{"loss, %13 = softmax_xent %12, y : f[B,10] ; loss\n", "%17, %13 = softmax_xent %12, y : f[1] f[B,10] ; loss\n",
			"da = matmul x, %16 trans_a ; first\n", "da = matmul x, %16 trans_a ; first\nloss = activation %17 act=relu ; loss\n"}, adam, 2, false, ""},
		{"averages after it", nil, "sgd", 1, true, "d = ema a momentum=0.9 ; optimizer\n"},
		{"an average of the gradient", nil, "sgd", 1, false, "e = ema db momentum=0.9 ; optimizer\n"},
		{"another optimiser", nil, "sgd", 1, false, "d, e, f = sgd rate, step, da, db, dc ; optimizer\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := wholePrograms{strings.NewReplacer(tc.change...), tc.update, tc.slots, tc.tail}
			testWhole(t, w, tc.whole, allExecutors()["fp32"])
		})
	}
	for name, executor := range lowExecutors() {
		t.Run("bf16 "+name, func(t *testing.T) {
			testWhole(t, wholePrograms{strings.NewReplacer(), adam, 2, ""}, true, executor)
		})
	}
}

// testWhole compares whole steps with others.
func testWhole(t *testing.T, w wholePrograms, wantWhole bool, executor func(threads int) *executor) {
	t.Helper()
	want, err := train(t, wholeJob(w), plain{executor(1)}, initial(w), 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{1, 3} {
		steps := 0
		got, err := train(t, wholeJob(w), counting{executor(threads), &steps}, initial(w), 3)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range w.Vars() {
			if !numtest.Close(t, got[i], want[i], numtest.Tol{Why: "the same bits"}) {
				t.Errorf("%d threads: %s differs", threads, v.Name)
			}
		}
		if whole := steps == 2; whole != wantWhole || steps%2 != 0 { // 32 rows and 6
			t.Errorf("%d programs are run as a whole, want both: %v", steps, wantWhole)
		}
	}
}

// TestPays checks where a product is used row by row.
func TestPays(t *testing.T) {
	for _, tc := range []struct {
		n, depth, variables int
		want                bool
	}{
		{512, 128, 2 << 20, true}, {500, 256, 2 << 20, false}, {2000, 128, 12 << 20, true},
	} {
		if got := pays(tc.n, tc.depth, tc.variables); got != tc.want {
			t.Errorf("%d columns, depth %d, %d elements: %v, want %v", tc.n, tc.depth, tc.variables, got, tc.want)
		}
	}
}

// TestWholeNotFinite checks that a loss that is not finite is found before a variable
// changes, and explained as it is otherwise.
func TestWholeNotFinite(t *testing.T) {
	w := wholePrograms{strings.NewReplacer(), "sgd", 0, ""}
	job := wholeJob(w)
	job.Shuffle = false
	for i := range 20 { // a row of the second step
		job.Data.Parts[data.Train].X.F32[40*20+i] = float32(math.Inf(1))
	}
	var want [][]float32
	for _, ex := range []host.Executor{plain{New(1)}, New(1), New(2)} {
		got, err := train(t, job, ex, initial(w), 1)
		var e *backend.NotFiniteError
		if !errors.As(err, &e) || e.Step != 2 || e.Value != "input x" {
			t.Fatalf("Train: %v, want input x at step 2", err)
		}
		if want == nil {
			want = got
		}
		for i := range got {
			numtest.Close(t, got[i], want[i], numtest.Tol{Why: "the same bits"})
		}
	}
}

// TestWholeAllocs checks that whole steps allocate nothing.
func TestWholeAllocs(t *testing.T) {
	w := wholePrograms{strings.NewReplacer(), "sgd momentum=0.9", 1, ""}
	job := wholeJob(w)
	s, err := host.Open(job, New(2))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Restore(t.Context(), initial(w)); err != nil {
		t.Fatal(err)
	}
	run := func(steps int) float64 {
		return testing.AllocsPerRun(5, func() {
			if _, _, err := s.Train(t.Context(), backend.Span{Last: steps, Rates: []float32{0.01, 0.01, 0.01}}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if one, all := run(1), run(3); all != one {
		t.Errorf("a span of 3 steps allocates %v times, one of 1 step %v times", all, one)
	}
}
