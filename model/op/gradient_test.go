package op_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/ref"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/model/op"
)

func TestMain(m *testing.M) {
	op.SetEvaluator(func(p *ir.Program, floats [][]float64, ints [][]int32) error {
		ref.Run(p, ref.Slots[float64]{F: floats, I: ints})
		return nil
	})
	m.Run()
}

// A gradCase is one op with inputs. Integer inputs hold 0 ≤ i < limit.
type gradCase struct {
	name   string
	kind   ir.Op
	attrs  ir.Attrs
	floats [][]int // shapes of the float inputs, which come first
	ints   []int   // shape of the integer input, if any
	limit  int
	idsAt  int // index of the integer input
}

func window(k, s, d, pad int) ir.Window {
	return ir.Window{KH: k, KW: k, SH: s, SW: s, DH: d, DW: d, PT: pad, PB: pad, PL: pad, PR: pad}
}

func shapes(s ...[]int) [][]int { return s }

// gradCases has every op that a forward pass can contain, in every form that
// differs in its derivative.
func gradCases() []gradCase {
	cases := []gradCase{
		{name: "matmul", kind: ir.MatMul, floats: shapes([]int{3, 4}, []int{4, 5})},
		{name: "matmul_ta", kind: ir.MatMul, attrs: ir.Attrs{TransA: true}, floats: shapes([]int{4, 3}, []int{4, 5})},
		{name: "matmul_tb", kind: ir.MatMul, attrs: ir.Attrs{TransB: true}, floats: shapes([]int{3, 4}, []int{5, 4})},
		{name: "matmul_tatb", kind: ir.MatMul, attrs: ir.Attrs{TransA: true, TransB: true}, floats: shapes([]int{4, 3}, []int{5, 4})},
		{name: "matmul_1", kind: ir.MatMul, floats: shapes([]int{1, 1}, []int{1, 1})},
		{name: "conv2d", kind: ir.Conv2D, attrs: ir.Attrs{Win: window(3, 1, 1, 1), Groups: 1}, floats: shapes([]int{2, 4, 5, 3}, []int{3, 3, 3, 2})},
		{name: "conv2d_stride", kind: ir.Conv2D, attrs: ir.Attrs{Win: window(2, 2, 1, 0), Groups: 1}, floats: shapes([]int{1, 5, 5, 1}, []int{2, 2, 1, 3})},
		{name: "conv2d_dilated", kind: ir.Conv2D, attrs: ir.Attrs{Win: window(2, 1, 2, 1), Groups: 1}, floats: shapes([]int{2, 4, 4, 1}, []int{2, 2, 1, 2})},
		{name: "conv2d_groups", kind: ir.Conv2D, attrs: ir.Attrs{Win: window(2, 1, 1, 0), Groups: 2}, floats: shapes([]int{1, 3, 3, 4}, []int{2, 2, 2, 6})},
		{name: "bias_add", kind: ir.BiasAdd, floats: shapes([]int{2, 3, 4}, []int{4})},
		{name: "softmax", kind: ir.Softmax, floats: shapes([]int{3, 4})},
		{name: "softmax_rank3", kind: ir.Softmax, floats: shapes([]int{2, 3, 4})},
		{name: "dropout", kind: ir.Dropout, attrs: ir.Attrs{Rate: 0.4, Seed: 7}, floats: shapes([]int{5, 6}), ints: []int{1}, limit: 9, idsAt: 1},
		{name: "add", kind: ir.Add, floats: shapes([]int{2, 3}, []int{2, 3})},
		{name: "concat", kind: ir.Concat, attrs: ir.Attrs{Axis: 1}, floats: shapes([]int{2, 3}, []int{2, 1}, []int{2, 4})},
		{name: "concat_last", kind: ir.Concat, attrs: ir.Attrs{Axis: 3}, floats: shapes([]int{1, 2, 2, 3}, []int{1, 2, 2, 2})},
		{name: "reduce", kind: ir.Reduce, attrs: ir.Attrs{Axes: ir.AxesOf(0, 2), Reduction: ir.Sum}, floats: shapes([]int{3, 2, 4})},
		{name: "reduce_max", kind: ir.Reduce, attrs: ir.Attrs{Axes: ir.AxesOf(1), Reduction: ir.Maximum}, floats: shapes([]int{3, 5})},
		{name: "permute", kind: ir.Permute, attrs: ir.Attrs{Perm: "2013"}, floats: shapes([]int{2, 3, 4, 2})},
		{name: "batch_matmul", kind: ir.BatchMatMul, floats: shapes([]int{2, 3, 4}, []int{2, 4, 5})},
		{name: "batch_matmul_ta", kind: ir.BatchMatMul, attrs: ir.Attrs{TransA: true}, floats: shapes([]int{2, 2, 4, 3}, []int{2, 2, 4, 5})},
		{name: "batch_matmul_tb", kind: ir.BatchMatMul, attrs: ir.Attrs{TransB: true}, floats: shapes([]int{3, 3, 4}, []int{3, 5, 4})},
		{name: "batch_matmul_tatb", kind: ir.BatchMatMul, attrs: ir.Attrs{TransA: true, TransB: true}, floats: shapes([]int{1, 4, 3}, []int{1, 5, 4})},
		{name: "map_broadcast", kind: ir.Map, attrs: ir.Attrs{Expr: "mul(x0,x1);add(t0,x2);mul(t1,x3);tanh(t2)"},
			floats: shapes([]int{2, 3, 4}, []int{2, 1, 4}, []int{4}, []int{1})},
		{name: "map_grows", kind: ir.Map, attrs: ir.Attrs{Expr: "mul(x0,x1)"}, floats: shapes([]int{3, 1}, []int{2, 1, 4})},
		{name: "map_shared", kind: ir.Map, attrs: ir.Attrs{Expr: "tanh(x0);mul(t0,t0);mul(t1,t0);sub(t2,t1)"}, floats: shapes([]int{7})},
		{name: "map_unused", kind: ir.Map, attrs: ir.Attrs{Expr: "exp(x1)"}, floats: shapes([]int{2, 3}, []int{3})},
		{name: "max_pool", kind: ir.MaxPool, attrs: ir.Attrs{Win: window(2, 2, 1, 0)}, floats: shapes([]int{2, 4, 4, 3})},
		{name: "max_pool_overlap", kind: ir.MaxPool, attrs: ir.Attrs{Win: window(3, 1, 1, 1)}, floats: shapes([]int{1, 4, 4, 2})},
		{name: "avg_pool", kind: ir.AvgPool, attrs: ir.Attrs{Win: window(2, 2, 1, 0)}, floats: shapes([]int{2, 4, 4, 3})},
		{name: "avg_pool_padded", kind: ir.AvgPool, attrs: ir.Attrs{Win: window(3, 2, 1, 1)}, floats: shapes([]int{1, 5, 5, 2})},
		{name: "batch_norm", kind: ir.BatchNorm, attrs: ir.Attrs{Eps: 1e-3}, floats: shapes([]int{7, 3}, []int{3}, []int{3})},
		{name: "batch_norm_image", kind: ir.BatchNorm, attrs: ir.Attrs{Eps: 0.1}, floats: shapes([]int{2, 2, 3, 2}, []int{2}, []int{2})},
		{name: "layer_norm", kind: ir.LayerNorm, attrs: ir.Attrs{Eps: 1e-3}, floats: shapes([]int{4, 5}, []int{5}, []int{5})},
		{name: "layer_norm_rank3", kind: ir.LayerNorm, attrs: ir.Attrs{Eps: 1e-3}, floats: shapes([]int{2, 3, 5}, []int{5}, []int{5})},
		{name: "embedding", kind: ir.Embedding, floats: shapes([]int{5, 3}), ints: []int{2, 4}, limit: 5, idsAt: 1},
		{name: "softmax_xent", kind: ir.SoftmaxXent, floats: shapes([]int{4, 5}), ints: []int{4}, limit: 5, idsAt: 1},
	}
	for act := ir.ReLU; act <= ir.SiLU; act++ {
		a := ir.Attrs{Act: act}
		if act == ir.LeakyReLU || act == ir.ELU {
			a.Alpha = 0.7
		}
		cases = append(cases, gradCase{name: act.String(), kind: ir.Activation, attrs: a, floats: shapes([]int{3, 5})})
	}
	for fn := range ir.Fn(ir.NumFns) {
		if fn == ir.FnGT || fn == ir.FnGE || fn == ir.FnEQ {
			continue // their derivative is 0; see select
		}
		// Arguments away from kinks and from where there is no value.
		e := map[int]ir.Expr{1: "F(div(1,add(mul(x0,x0),0.5)))", 2: "F(x0,add(mul(x1,x1),0.5))", 3: "F(gt(x0,x1),mul(x0,x0),exp(x1))"}[fn.Arity()]
		f, err := ir.Expr(strings.Replace(string(e), "F", fn.String(), 1)).Parse()
		if err != nil {
			panic(err)
		}
		cases = append(cases, gradCase{name: "map_" + fn.String(), kind: ir.Map, attrs: ir.Attrs{Expr: f.Expr()},
			floats: shapes([]int{4, 5}, []int{4, 5})[:min(fn.Arity(), 2)]})
	}
	for loss := ir.SquaredError; loss <= ir.SigmoidXent; loss++ {
		a := ir.Attrs{Loss: loss}
		if loss == ir.Huber {
			a.Delta = 0.5
		}
		cases = append(cases, gradCase{name: loss.String(), kind: ir.PointLoss, attrs: a, floats: shapes([]int{3, 4}, []int{3, 4})})
	}
	return append(cases, gradCase{name: "softmax_xent_rows", kind: ir.SoftmaxXent, floats: shapes([]int{3, 4}, []int{3, 4})})
}

// withoutGradient lists the ops that no forward pass of training contains, and
// so need no derivative.
var withoutGradient = map[ir.Op]string{
	ir.Conv2DDX: "gradient", ir.Conv2DDW: "gradient", ir.BiasGrad: "gradient", ir.ActGrad: "gradient",
	ir.SoftmaxGrad: "gradient", ir.Slice: "gradient", ir.MaxPoolGrad: "gradient", ir.AvgPoolGrad: "gradient",
	ir.BatchNormGrad: "gradient", ir.LayerNormGrad: "gradient", ir.EmbeddingGrad: "gradient",
	ir.SoftmaxXentGrad: "gradient", ir.PointLossGrad: "gradient",
	ir.BatchNormInfer: "inference", ir.Logit: "inference", ir.Metric: "metric",
	ir.Accumulate: "lowering", ir.ClipNorm: "update", ir.SGD: "update", ir.Adam: "update",
	ir.RMSProp: "update", ir.Adagrad: "update", ir.EMA: "update",
}

func TestEveryOpHasAGradientCase(t *testing.T) {
	cased := map[ir.Op]bool{}
	for _, c := range gradCases() {
		cased[c.kind] = true
	}
	for kind := ir.Invalid + 1; int(kind) < ir.NumOps; kind++ {
		differentiable := false
		for _, d := range (op.Op{Kind: kind, Attrs: ir.Attrs{Expr: "x0"}}).DiffWRT(3) {
			differentiable = differentiable || d
		}
		why, without := withoutGradient[kind]
		switch {
		case differentiable && without:
			t.Errorf("%v has a row in rules, but is listed as %s", kind, why)
		case differentiable && !cased[kind]:
			t.Errorf("%v has a row in rules, but no case in gradCases", kind)
		case !differentiable && !without:
			t.Errorf("%v: add a row to rules in gradient.go and a case to gradCases, or list it in withoutGradient", kind)
		}
		for _, d := range (op.Op{Kind: kind, Which: 1}).DiffWRT(3) {
			if d {
				t.Errorf("side output of %v is differentiable", kind)
			}
		}
	}
}

func TestGradients(t *testing.T) {
	for _, c := range gradCases() {
		t.Run(c.name, func(t *testing.T) { newRig(t, c).check(t) })
	}
}

// A rig is the graph of loss = mean (op(x) − t)², or of a loss op alone.
type rig struct {
	g      *G.ExprGraph
	inputs []*G.Node // float inputs
	values [][]float64
	loss   *G.Node
	diff   []bool
}

func newRig(t *testing.T, c gradCase) *rig {
	rng := rand.New(rand.NewPCG(1, 2))
	r := &rig{g: G.NewGraph()}
	var in []*G.Node
	for i, shape := range c.floats {
		n, v := r.leaf(fmt.Sprint("x", i), shape, rng)
		r.inputs, r.values = append(r.inputs, n), append(r.values, v)
		in = append(in, n)
	}
	if c.ints != nil {
		in = append(in, nil)
		copy(in[c.idsAt+1:], in[c.idsAt:])
		n := op.Leaf(r.g, "ids", ir.Int, c.ints...)
		ids := make([]int32, ir.Size(c.ints))
		for i := range ids {
			ids[i] = rng.Int32N(int32(c.limit))
		}
		let(t, n, tensor.New(tensor.WithShape(c.ints...), tensor.WithBacking(ids)))
		in[c.idsAt] = n
	}
	y := apply(t, c.kind, c.attrs, 0, in...)
	r.diff = y.Op().(op.Op).DiffWRT(len(in))
	r.loss = y
	if c.kind != ir.SoftmaxXent && c.kind != ir.PointLoss {
		target, _ := r.leaf("target", y.Shape(), rng)
		r.loss = apply(t, ir.PointLoss, ir.Attrs{Loss: ir.SquaredError}, 0, y, target)
	}
	return r
}

func (r *rig) leaf(name string, shape []int, rng *rand.Rand) (*G.Node, []float64) {
	n := op.Leaf(r.g, name, ir.Float, shape...)
	v := make([]float64, ir.Size(shape))
	for i := range v {
		v[i] = rng.NormFloat64()
	}
	if err := G.Let(n, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(v))); err != nil {
		panic(err)
	}
	return n, v
}

func let(t *testing.T, n *G.Node, v G.Value) {
	t.Helper()
	if err := G.Let(n, v); err != nil {
		t.Fatal(err)
	}
}

// check compares Gorgonia's gradients, run by its TapeMachine, with central
// differences of the loss.
func (r *rig) check(t *testing.T) {
	var wrt G.Nodes
	for i, n := range r.inputs {
		if r.diff[i] {
			wrt = append(wrt, n)
		}
	}
	seed := op.Leaf(r.g, "seed", ir.Float, 1)
	let(t, seed, tensor.New(tensor.WithShape(1), tensor.WithBacking([]float64{1})))
	grads, err := G.Backpropagate(G.Nodes{r.loss}, G.Nodes{seed}, wrt)
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(r.g)
	defer vm.Close()
	run := func() float64 {
		vm.Reset()
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		return r.loss.Value().Data().([]float64)[0]
	}
	run()
	symbolic := make([][]float64, len(grads))
	for k, g := range grads {
		symbolic[k] = append([]float64(nil), g.Value().Data().([]float64)...)
	}
	k := 0
	for i, x := range r.values {
		if !r.diff[i] {
			continue
		}
		origin := slices.Clone(x)
		want := numtest.Grad(func(at []float64) float64 {
			copy(x, at)
			return run()
		}, origin)
		copy(x, origin)
		numtest.Close(t, symbolic[k], want, numtest.Tol{Abs: 1e-8, Rel: 1e-7, Why: "central differences"})
		k++
	}
}
