package cpu

import (
	"math/rand/v2"
	"testing"

	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// A builder writes a program by hand. Every value has its own memory.
type builder struct {
	t testing.TB
	p ir.Program
}

// value adds an input of the program.
func (b *builder) value(typ ir.Type, shape ...int) ir.Slot {
	v := ir.Value{Type: typ, Kind: ir.Input, Shape: shape, Var: -1, Of: ir.None}
	b.p.Values = append(b.p.Values, v)
	return ir.Slot(len(b.p.Values) - 1)
}

func (b *builder) float(shape ...int) ir.Slot { return b.value(ir.Float, shape...) }

// view adds another shape of v.
func (b *builder) view(v ir.Slot, shape ...int) ir.Slot {
	s := b.value(b.p.Values[v].Type, shape...)
	b.p.Values[s].Kind, b.p.Values[s].Of = ir.View, v
	return s
}

// op adds an instruction and returns its outputs.
func (b *builder) op(op ir.Op, a ir.Attrs, in ...ir.Slot) []ir.Slot {
	b.t.Helper()
	var values []ir.Value
	for _, s := range in {
		values = append(values, b.p.Values[s])
	}
	out, err := ir.Infer(op, a, values)
	if err != nil {
		b.t.Fatalf("%s: %v", op, err)
	}
	ins := ir.Instr{Op: op, Attrs: a, In: in, Layer: op.String()}
	for _, v := range out {
		b.p.Values = append(b.p.Values, v)
		ins.Out = append(ins.Out, ir.Slot(len(b.p.Values)-1))
	}
	b.p.Instrs = append(b.p.Instrs, ins)
	return ins.Out
}

// one is op for instructions whose first output is all that matters.
func (b *builder) one(op ir.Op, a ir.Attrs, in ...ir.Slot) ir.Slot { return b.op(op, a, in...)[0] }

// memory allocates all values, filled with small random numbers, not negative
// where an optimiser expects squares, or integers below 10.
func (b *builder) memory(seed uint64) host.Slots {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := host.Slots{F: make([][]float32, len(b.p.Values)), I: make([][]int32, len(b.p.Values))}
	for i, v := range b.p.Values {
		switch {
		case v.Kind == ir.View:
			s.F[i], s.I[i] = s.F[v.Of], s.I[v.Of]
		case v.Type == ir.Int:
			s.I[i] = make([]int32, v.Size())
			for j := range s.I[i] {
				s.I[i][j] = rng.Int32N(10)
			}
		default:
			s.F[i] = host.Alloc(v.Size())
			for j := range s.F[i] {
				s.F[i][j] = float32(rng.NormFloat64()) * 0.1
			}
		}
	}
	for _, ins := range b.p.Instrs {
		if !ins.Op.Updates() {
			continue
		}
		for _, out := range ins.Out {
			for j, v := range s.F[out] {
				s.F[out][j] = abs(v)
			}
		}
	}
	return s
}

// compile compiles the program for so many threads.
func (b *builder) compile(s host.Slots, threads int) host.Runner {
	b.t.Helper()
	return b.compileOn(s, New(threads))
}

// compileOn is compile for an executor, which it closes at the end of the test.
func (b *builder) compileOn(s host.Slots, ex host.Executor) host.Runner {
	b.t.Helper()
	b.t.Cleanup(ex.Close)
	r, err := ex.Compile(&b.p, s)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

var (
	square  = ir.Window{KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1}
	halving = ir.Window{KH: 2, KW: 2, SH: 2, SW: 2, DH: 1, DW: 1}
	lapping = ir.Window{KH: 3, KW: 3, SH: 2, SW: 2, DH: 1, DW: 1, PT: 1, PB: 1, PL: 1, PR: 1}
)

// everything is a program with every op at sizes that are split among threads.
func everything(t testing.TB) *builder {
	b := &builder{t: t}
	b.elementwise()
	b.images()
	b.normalisations()
	b.losses()
	b.structure()
	b.updates()
	return b
}

func (b *builder) structure() {
	x, row, col := b.float(350, 96), b.float(96), b.float(350, 1)
	b.op(ir.Map, ir.Attrs{Expr: "mul(x0,x1);add(t0,x2);tanh(t1);sub(t2,0.5)"}, x, row, col)
	for _, r := range []ir.Reduction{ir.Sum, ir.Maximum} {
		b.op(ir.Reduce, ir.Attrs{Axes: ir.AxesOf(0), Reduction: r}, x)
		b.op(ir.Reduce, ir.Attrs{Axes: ir.AxesOf(1), Reduction: r}, x)
		b.op(ir.Reduce, ir.Attrs{Axes: ir.AxesOf(0, 2), Reduction: r}, b.float(40, 33, 27))
	}
	b.op(ir.Permute, ir.Attrs{Perm: "0213"}, b.float(6, 20, 4, 96))
	b.op(ir.BatchMatMul, ir.Attrs{TransB: true}, b.float(6, 4, 40, 33), b.float(6, 4, 50, 33))
}

func (b *builder) elementwise() {
	x, dy := b.float(350, 96), b.float(350, 96)
	bias, tick := b.float(96), b.value(ir.Int, 1)
	for act := ir.NoAct; act <= ir.SiLU; act++ {
		a := ir.Attrs{Act: act}
		if act == ir.LeakyReLU || act == ir.ELU {
			a.Alpha = 0.3
		}
		b.op(ir.ActGrad, a, b.one(ir.Activation, a, x), dy)
		b.op(ir.Add, a, x, dy)
		w := b.float(96, 40)
		y := b.one(ir.MatMul, ir.Attrs{Act: act, Alpha: a.Alpha, Bias: true}, x, w, b.float(40))
		if act != ir.NoAct {
			b.op(ir.MatMul, ir.Attrs{Act: act, Alpha: a.Alpha, TransB: true, GradAct: true}, y, w, x)
		}
	}
	b.op(ir.BiasAdd, ir.Attrs{}, x, bias)
	b.op(ir.BiasGrad, ir.Attrs{}, dy)
	b.op(ir.Dropout, ir.Attrs{Rate: 0.4, Seed: 11}, x, tick)
	b.op(ir.SoftmaxGrad, ir.Attrs{}, b.one(ir.Softmax, ir.Attrs{}, x), dy)
	b.op(ir.Logit, ir.Attrs{Alpha: 1}, x)
	b.op(ir.Concat, ir.Attrs{Axis: 1}, x, dy, b.float(350, 5))
	b.op(ir.Slice, ir.Attrs{Axis: 1, Start: 3, Count: 50}, x)
	ids := b.value(ir.Int, 70, 13)
	y := b.one(ir.Embedding, ir.Attrs{}, b.float(300, 96), ids)
	b.op(ir.EmbeddingGrad, ir.Attrs{Dims: [4]int{300, 96}}, ids, y)
}

func (b *builder) images() {
	x, w := b.float(5, 23, 25, 32), b.float(3, 3, 32, 16)
	a := ir.Attrs{Win: square, Groups: 1}
	y := b.one(ir.Conv2D, a, x, w)
	b.op(ir.Conv2DDW, a, x, y)
	a.Dims = [4]int{5, 23, 25, 32}
	b.op(ir.Conv2DDX, a, w, y)
	for _, win := range []ir.Window{halving, lapping} {
		max := b.op(ir.MaxPool, ir.Attrs{Win: win}, x)
		b.op(ir.MaxPoolGrad, ir.Attrs{Dims: a.Dims}, max[1], max[0])
		mean := b.one(ir.AvgPool, ir.Attrs{Win: win}, x)
		b.op(ir.AvgPoolGrad, ir.Attrs{Win: win, Dims: a.Dims}, mean)
	}
}

func (b *builder) normalisations() {
	x, dy := b.float(350, 96), b.float(350, 96)
	gamma, beta := b.float(96), b.float(96)
	n := b.op(ir.BatchNorm, ir.Attrs{Eps: 1e-3, Act: ir.Tanh}, x, gamma, beta)
	b.op(ir.BatchNormInfer, ir.Attrs{Eps: 1e-3}, x, gamma, beta, n[1], n[2])
	b.op(ir.BatchNormGrad, ir.Attrs{Eps: 1e-3}, x, gamma, n[1], n[2], dy)
	n = b.op(ir.LayerNorm, ir.Attrs{Eps: 1e-3}, x, gamma, beta)
	b.op(ir.LayerNormGrad, ir.Attrs{Eps: 1e-3}, x, gamma, n[1], n[2], dy)
}

func (b *builder) losses() {
	x, labels, dense := b.float(350, 96), b.value(ir.Int, 350), b.float(350, 96)
	seed := b.float(1)
	for _, target := range []ir.Slot{labels, dense} {
		l := b.op(ir.SoftmaxXent, ir.Attrs{}, x, target)
		b.op(ir.SoftmaxXentGrad, ir.Attrs{}, l[1], target, seed)
		b.op(ir.Metric, ir.Attrs{Metric: ir.Accuracy}, x, target)
		b.op(ir.Metric, ir.Attrs{Metric: ir.TopK, K: 5}, x, target)
		b.op(ir.Metric, ir.Attrs{Metric: ir.Confusion}, x, target)
	}
	b.op(ir.Metric, ir.Attrs{Metric: ir.BinaryAccuracy}, x, dense)
	b.op(ir.Metric, ir.Attrs{Metric: ir.MAE}, x, dense)
	for l := ir.SquaredError; l <= ir.SigmoidXent; l++ {
		a := ir.Attrs{Loss: l}
		if l == ir.Huber {
			a.Delta = 0.1
		}
		b.op(ir.PointLoss, a, x, dense)
		b.op(ir.PointLossGrad, a, x, dense, seed)
	}
}

func (b *builder) updates() {
	rate, count := b.float(1), b.value(ir.Int, 1)
	g := []ir.Slot{b.float(300, 200), b.float(200), b.float(17)}
	b.op(ir.Accumulate, ir.Attrs{}, g[0])
	b.op(ir.EMA, ir.Attrs{Momentum: 0.9}, g...)
	scale := b.one(ir.ClipNorm, ir.Attrs{Max: 0.5}, g...)
	in := append([]ir.Slot{rate, count, scale}, g...)
	a := ir.Attrs{Scale: true, WeightDecay: 0.01, ClipValue: 0.05}
	b.op(ir.SGD, a, in...)
	a.Momentum = 0.9
	b.op(ir.SGD, a, in...)
	a.Nesterov = true
	b.op(ir.SGD, a, in...)
	a.Nesterov, a.Momentum, a.Eps = false, 0, 1e-3
	b.op(ir.Adagrad, a, in...)
	a.Beta2 = 0.9
	b.op(ir.RMSProp, a, in...)
	a.Centered, a.Momentum = true, 0.9
	b.op(ir.RMSProp, a, in...)
	a.Centered, a.Momentum, a.Beta1 = false, 0, 0.9
	b.op(ir.Adam, a, in...)
	a.AMSGrad = true
	b.op(ir.Adam, a, in...)
}
