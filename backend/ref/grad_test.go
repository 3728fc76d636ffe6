package ref_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/ref"
	"github.com/gespann/gespann/internal/numtest"
)

// A gradCase is a function of inputs and the instructions of its gradient.
type gradCase struct {
	name string
	// in is the shapes of the float inputs.
	in [][]int
	// ints, if not nil, is the shape of an integer input below limit, the last.
	ints  []int
	limit int
	// f builds the function and, once asked with dy, the gradient of each float
	// input; None where there is none.
	f func(b *backendtest.Builder, in []ir.Slot) (y ir.Slot, grad func(dy ir.Slot) []ir.Slot)
}

// TestGradients compares every gradient op, for every input that has one, with
// central differences of Σ dy·y in float64.
func TestGradients(t *testing.T) {
	covered := map[ir.Op]bool{}
	for _, c := range gradCases() {
		t.Run(c.name, func(t *testing.T) {
			for _, ins := range c.run(t) {
				covered[ins.Op] = true
			}
		})
	}
	for op := ir.Op(1); int(op) < ir.NumOps; op++ {
		name := op.String()
		isGrad := strings.HasSuffix(name, "_grad") || strings.HasSuffix(name, "_dx") || strings.HasSuffix(name, "_dw")
		if isGrad && !covered[op] {
			t.Errorf("%v has no case", op)
		}
	}
}

// run checks a case and returns its instructions.
func (c gradCase) run(t *testing.T) []ir.Instr {
	b := backendtest.NewBuilder(t, "case", 1, nil)
	var in []ir.Slot
	for k, shape := range c.in {
		in = append(in, b.Input(fmt.Sprint("in", k), ir.Float, shape...))
	}
	if c.ints != nil {
		in = append(in, b.Input("ids", ir.Int, c.ints...))
	}
	y, grad := c.f(b, in)
	dy := b.Input("dy", ir.Float, b.P.Values[y].Shape...)
	grads := grad(dy)
	p := b.Done()

	r := rand.New(rand.NewPCG(11, uint64(len(c.name))))
	s := ref.NewSlots[float64](p)
	for _, slot := range append(in[:len(c.in):len(c.in)], dy) {
		for i := range s.F[slot] {
			s.F[slot][i] = r.NormFloat64()
		}
	}
	if c.ints != nil {
		for i := range s.I[in[len(c.in)]] {
			s.I[in[len(c.in)]][i] = int32(r.IntN(c.limit))
		}
	}
	for k, g := range grads {
		if g == ir.None {
			continue
		}
		x := append([]float64(nil), s.F[in[k]]...)
		want := numtest.Grad(func(at []float64) (sum float64) {
			copy(s.F[in[k]], at)
			ref.Run(p, s)
			for i, v := range s.F[y] {
				sum += v * s.F[dy][i]
			}
			return sum
		}, x)
		copy(s.F[in[k]], x)
		ref.Run(p, s)
		if !numtest.Close(t, s.F[g], want, numtest.Tol{Abs: 1e-7, Rel: 1e-7,
			Why: "measured: central differences err by 2e-8; margin 4"}) {
			t.Logf("input %d", k)
		}
	}
	return p.Instrs
}

func gradCases() []gradCase {
	var cases []gradCase
	for _, family := range [][]gradCase{
		matMulGrads(), convGrads(), poolGrads(), activationGrads(), normGrads(), lossGrads(), copyGrads(),
	} {
		cases = append(cases, family...)
	}
	return cases
}

func matMulGrads() []gradCase {
	var cases []gradCase
	for trans := range 4 {
		at := ir.Attrs{TransA: trans&1 != 0, TransB: trans&2 != 0}
		a, w := []int{3, 5}, []int{5, 4}
		if at.TransA {
			a = []int{5, 3}
		}
		if at.TransB {
			w = []int{4, 5}
		}
		cases = append(cases, gradCase{name: fmt.Sprint("matmul", trans), in: [][]int{a, w, {4}},
			f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
				forward := at
				forward.Bias = true
				y := b.Do(ir.MatMul, forward, in...)[0]
				return y, func(dy ir.Slot) []ir.Slot { return matMulGrad(b, at, in[0], in[1], dy) }
			}})
	}
	for _, act := range acts() {
		cases = append(cases, gradCase{name: "matmul after " + act.Act.String(), in: [][]int{{3, 5}, {5, 4}},
			f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
				h := b.Do(ir.Activation, act, in[0])[0]
				y := b.Do(ir.MatMul, ir.Attrs{}, h, in[1])[0]
				return y, func(dy ir.Slot) []ir.Slot {
					at := ir.Attrs{TransB: true, GradAct: true, Act: act.Act, Alpha: act.Alpha}
					return b.Do(ir.MatMul, at, dy, in[1], refOf(act, in[0], h))
				}
			}})
	}
	return cases
}

// matMulGrad returns the gradients of a, b and the bias of a matrix product.
func matMulGrad(b *backendtest.Builder, at ir.Attrs, x, w, dy ir.Slot) []ir.Slot {
	dx := [2]ir.Slot{dy, w}
	if at.TransA {
		dx = [2]ir.Slot{w, dy}
	}
	dw := [2]ir.Slot{x, dy}
	if at.TransB {
		dw = [2]ir.Slot{dy, x}
	}
	return []ir.Slot{
		b.Do(ir.MatMul, ir.Attrs{TransA: at.TransA && at.TransB, TransB: at.TransA || !at.TransB}, dx[:]...)[0],
		b.Do(ir.MatMul, ir.Attrs{TransA: at.TransB || !at.TransA, TransB: at.TransA && at.TransB}, dw[:]...)[0],
		b.Do(ir.BiasGrad, ir.Attrs{}, dy)[0],
	}
}

// acts are all activations.
func acts() []ir.Attrs {
	return []ir.Attrs{{Act: ir.ReLU}, {Act: ir.LeakyReLU, Alpha: 0.2}, {Act: ir.ELU, Alpha: 0.7},
		{Act: ir.GELU}, {Act: ir.Sigmoid}, {Act: ir.Tanh}, {Act: ir.Softplus}, {Act: ir.SiLU}}
}

// refOf returns what the gradient of an activation takes: x or y.
func refOf(act ir.Attrs, x, y ir.Slot) ir.Slot {
	if act.Act.FromInput() {
		return x
	}
	return y
}

func convGrads() []gradCase {
	var cases []gradCase
	for _, g := range []struct {
		x      [4]int
		o      int
		groups int
		win    ir.Window
	}{
		{[4]int{2, 4, 5, 2}, 3, 1, ir.Window{KH: 3, KW: 2, SH: 1, SW: 1, DH: 1, DW: 1}},
		{[4]int{1, 5, 6, 2}, 4, 2, ir.Window{KH: 2, KW: 3, SH: 2, SW: 1, DH: 1, DW: 2, PT: 1, PB: 0, PL: 2, PR: 3}},
		{[4]int{1, 2, 3, 1}, 2, 1, ir.Window{KH: 4, KW: 1, SH: 1, SW: 3, DH: 1, DW: 1, PT: 2, PB: 3}},
	} {
		x, w := g.x, []int{g.win.KH, g.win.KW, g.x[3] / g.groups, g.o}
		at := ir.Attrs{Win: g.win, Groups: g.groups}
		for _, act := range append(acts(), ir.Attrs{}) {
			cases = append(cases, gradCase{name: fmt.Sprint("conv2d ", g, act.Act), in: [][]int{x[:], w, {g.o}},
				f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
					h := b.Do(ir.Activation, act, in[0])[0]
					forward, dx := at, at
					forward.Bias, dx.Dims = true, x
					y := b.Do(ir.Conv2D, forward, h, in[1], in[2])[0]
					return y, func(dy ir.Slot) []ir.Slot {
						args := []ir.Slot{in[1], dy}
						if act.Act != ir.NoAct {
							dx.GradAct, dx.Act, dx.Alpha = true, act.Act, act.Alpha
							args = append(args, refOf(act, in[0], h))
						}
						return []ir.Slot{b.Do(ir.Conv2DDX, dx, args...)[0], b.Do(ir.Conv2DDW, at, h, dy)[0],
							b.Do(ir.BiasGrad, ir.Attrs{}, dy)[0]}
					}
				}})
		}
	}
	return cases
}

func poolGrads() []gradCase {
	var cases []gradCase
	for _, win := range []ir.Window{
		{KH: 2, KW: 2, SH: 2, SW: 2, DH: 1, DW: 1},
		{KH: 3, KW: 2, SH: 1, SW: 2, DH: 1, DW: 1, PT: 2, PB: 1, PL: 1, PR: 0},
	} {
		x := [4]int{2, 5, 4, 3}
		cases = append(cases,
			gradCase{name: "max_pool " + win.String(), in: [][]int{x[:]},
				f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
					y := b.Do(ir.MaxPool, ir.Attrs{Win: win}, in...)
					return y[0], func(dy ir.Slot) []ir.Slot {
						return b.Do(ir.MaxPoolGrad, ir.Attrs{Dims: x}, y[1], dy)
					}
				}},
			gradCase{name: "avg_pool " + win.String(), in: [][]int{x[:]},
				f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
					y := b.Do(ir.AvgPool, ir.Attrs{Win: win}, in...)
					return y[0], func(dy ir.Slot) []ir.Slot {
						return b.Do(ir.AvgPoolGrad, ir.Attrs{Win: win, Dims: x}, dy)
					}
				}})
	}
	return cases
}

func activationGrads() []gradCase {
	var cases []gradCase
	for _, act := range acts() {
		cases = append(cases,
			gradCase{name: "activation " + act.Act.String(), in: [][]int{{3, 17}},
				f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
					y := b.Do(ir.Activation, act, in...)[0]
					return y, func(dy ir.Slot) []ir.Slot { return b.Do(ir.ActGrad, act, refOf(act, in[0], y), dy) }
				}},
			gradCase{name: "add " + act.Act.String(), in: [][]int{{3, 17}, {3, 17}},
				f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
					x := b.Do(ir.Add, ir.Attrs{}, in...)[0]
					y := b.Do(ir.Add, act, in...)[0]
					return y, func(dy ir.Slot) []ir.Slot {
						dx := b.Do(ir.ActGrad, act, refOf(act, x, y), dy)[0]
						return []ir.Slot{dx, dx}
					}
				}})
	}
	return append(cases,
		gradCase{name: "softmax", in: [][]int{{3, 7}},
			f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
				y := b.Do(ir.Softmax, ir.Attrs{}, in...)[0]
				return y, func(dy ir.Slot) []ir.Slot { return b.Do(ir.SoftmaxGrad, ir.Attrs{}, y, dy) }
			}},
		gradCase{name: "dropout", in: [][]int{{3, 17}}, ints: []int{1}, limit: 9,
			f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
				at := ir.Attrs{Rate: 0.4, Seed: 5}
				y := b.Do(ir.Dropout, at, in...)[0]
				return y, func(dy ir.Slot) []ir.Slot { return b.Do(ir.Dropout, at, dy, in[1]) }
			}})
}

func normGrads() []gradCase {
	at := ir.Attrs{Eps: 1e-2}
	var cases []gradCase
	for _, shape := range [][]int{{5, 3}, {2, 3, 4}, {1, 4}} {
		c := shape[len(shape)-1]
		cases = append(cases,
			gradCase{name: fmt.Sprint("batch_norm", shape), in: [][]int{shape, {c}, {c}},
				f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
					y := b.Do(ir.BatchNorm, at, in...)
					return y[0], func(dy ir.Slot) []ir.Slot {
						return b.Do(ir.BatchNormGrad, at, in[0], in[1], y[1], y[2], dy)
					}
				}},
			gradCase{name: fmt.Sprint("layer_norm", shape), in: [][]int{shape, {c}, {c}},
				f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
					y := b.Do(ir.LayerNorm, at, in...)
					return y[0], func(dy ir.Slot) []ir.Slot {
						return b.Do(ir.LayerNormGrad, at, in[0], in[1], y[1], y[2], dy)
					}
				}})
	}
	return cases
}

func lossGrads() []gradCase {
	xent := func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
		y := b.Do(ir.SoftmaxXent, ir.Attrs{}, in...)
		return y[0], func(dy ir.Slot) []ir.Slot { return b.Do(ir.SoftmaxXentGrad, ir.Attrs{}, y[1], in[1], dy) }
	}
	cases := []gradCase{
		{name: "softmax_xent classes", in: [][]int{{5, 4}}, ints: []int{5}, limit: 5, f: xent},
		{name: "softmax_xent rows", in: [][]int{{5, 4}, {5, 4}}, f: xent},
	}
	for _, at := range []ir.Attrs{
		{Loss: ir.SquaredError}, {Loss: ir.AbsError}, {Loss: ir.Huber, Delta: 0.7}, {Loss: ir.SigmoidXent},
	} {
		cases = append(cases, gradCase{name: "point_loss " + at.Loss.String(), in: [][]int{{5, 4}, {5, 4}},
			f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
				y := b.Do(ir.PointLoss, at, in...)[0]
				return y, func(dy ir.Slot) []ir.Slot { return b.Do(ir.PointLossGrad, at, in[0], in[1], dy) }
			}})
	}
	return cases
}

func copyGrads() []gradCase {
	return []gradCase{
		{name: "bias_add", in: [][]int{{2, 3, 4}, {4}},
			f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
				y := b.Do(ir.BiasAdd, ir.Attrs{}, in...)[0]
				return y, func(dy ir.Slot) []ir.Slot {
					return []ir.Slot{dy, b.Do(ir.BiasGrad, ir.Attrs{}, dy)[0]}
				}
			}},
		{name: "concat", in: [][]int{{2, 3, 4}, {2, 5, 4}},
			f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
				y := b.Do(ir.Concat, ir.Attrs{Axis: 1}, in...)[0]
				return y, func(dy ir.Slot) []ir.Slot {
					return []ir.Slot{b.Do(ir.Slice, ir.Attrs{Axis: 1, Count: 3}, dy)[0],
						b.Do(ir.Slice, ir.Attrs{Axis: 1, Start: 3, Count: 5}, dy)[0]}
				}
			}},
		{name: "embedding", in: [][]int{{4, 3}}, ints: []int{5, 2}, limit: 6,
			f: func(b *backendtest.Builder, in []ir.Slot) (ir.Slot, func(ir.Slot) []ir.Slot) {
				y := b.Do(ir.Embedding, ir.Attrs{}, in...)[0]
				return y, func(dy ir.Slot) []ir.Slot {
					return b.Do(ir.EmbeddingGrad, ir.Attrs{Dims: [4]int{4, 3}}, in[1], dy)
				}
			}},
	}
}
