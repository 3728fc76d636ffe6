package kernels_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/ref"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/kernels/emulator"
)

// runFused runs a program whose instructions must become one launch, of a kernel
// whose name begins so, and what ref makes of it.
func runFused(t *testing.T, o plan.Options, p *ir.Program, kernel string) (got host.Slots, want, size ref.Slots[float64]) {
	t.Helper()
	p = plan.Arrange(p)
	apart := o
	apart.Layout.Offset = make([]int, len(p.Values))
	for i := range p.Values {
		apart.Layout.Offset[i] = apart.Layout.Size
		apart.Layout.Size += (p.Values[i].Size() + ir.Align - 1) / ir.Align * ir.Align
	}
	built, err := plan.Build(p, apart)
	if err != nil {
		t.Fatal(err)
	}
	if l := built.Launches; len(l) != 1 || len(l[0].Kernel) < len(kernel) || l[0].Kernel[:len(kernel)] != kernel {
		t.Fatalf("the launches are %v, want one of %s", l, kernel)
	}
	ex := &emulator.Executor{Device: start(t), Options: o, Fail: func(err error) { t.Error(err) }}
	defer ex.Close()
	got = host.Slots{F: make([][]float32, len(p.Values)), I: make([][]int32, len(p.Values))}
	want, size = ref.NewSlots[float64](p), ref.NewSlots[float64](p)
	r := rand.New(rand.NewPCG(7, uint64(len(p.Values))))
	for i := range p.Values {
		v := &p.Values[i]
		if v.Type == ir.Int {
			got.I[i] = make([]int32, v.Size())
			for k := range got.I[i] {
				got.I[i][k] = r.Int32N(7)
				want.I[i][k], size.I[i][k] = got.I[i][k], got.I[i][k]
			}
			continue
		}
		got.F[i] = host.Alloc(v.Size())
		if v.Kind != ir.Input {
			continue
		}
		for k := range got.F[i] {
			got.F[i][k] = float32(r.NormFloat64())
			want.F[i][k], size.F[i][k] = float64(got.F[i][k]), math.Abs(float64(got.F[i][k]))
		}
	}
	runner, err := ex.Compile(p, got)
	if err != nil {
		t.Fatal(err)
	}
	runner.Run()
	ref.Run(p, want)
	ref.Run(p, size)
	return got, want, size
}

// TestProductWithSums checks products that also sum the columns of a factor, cut
// into parts and not, in sizes that no tile divides: the sums are exact to float32
// in every precision.
func TestProductWithSums(t *testing.T) {
	for _, precision := range []plan.Precision{plan.FP32, plan.TF32, plan.BF16} {
		for _, c := range []struct{ m, n, k, sms int }{
			{33, 37, 70, 1}, {130, 150, 33, 1}, {20, 10, 700, 132}, {250, 252, 67, 4}, {7, 66, 130, 132},
		} {
			t.Run(fmt.Sprint(precision, c), func(t *testing.T) {
				b := backendtest.NewBuilder(t, "product", 1, nil)
				x, dy := b.Input("x", ir.Float, c.k, c.m), b.Input("dy", ir.Float, c.k, c.n)
				db := b.Do(ir.BiasGrad, ir.Attrs{}, dy)[0]
				b.Name(db, "db")
				dw := b.Do(ir.MatMul, ir.Attrs{TransA: true}, x, dy)[0]
				b.Name(dw, "dw")
				o := plan.Options{Precision: precision, SM: 80, Multiprocessors: c.sms}
				got, want, size := runFused(t, o, b.Done(), "matmul_tn")
				u := units[precision]
				for _, out := range []struct {
					slot ir.Slot
					gain float64
				}{{db, 2 * numtest.Gamma(c.k)}, {dw, 2*u + u*u + 2*numtest.Gamma(c.k+2)}} {
					bound := make([]float64, len(want.F[out.slot]))
					for i := range bound {
						bound[i] = out.gain * size.F[out.slot][i]
					}
					numtest.Within(t, got.F[out.slot], want.F[out.slot], bound, "a sum in float32 (Higham) of rounded factors")
				}
			})
		}
	}
}

// TestLossStep checks loss, gradient and metric in one launch, with classes and with
// one value for each output, with a metric and without.
func TestLossStep(t *testing.T) {
	for _, c := range []struct {
		rows, cols int
		dense      bool
		metric     ir.MetricKind
	}{
		{1, 7, false, ir.Accuracy}, {67, 10, false, ir.Accuracy}, {129, 33, false, ir.TopK}, {9, 1024, true, ir.Accuracy},
		{300, 8, true, ir.TopK}, {20, 7, false, ir.NoMetric},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			b := backendtest.NewBuilder(t, "loss", c.rows, nil)
			x := b.Input("x", ir.Float, c.rows, c.cols)
			target := ir.None
			if c.dense {
				target = b.Input("y", ir.Float, c.rows, c.cols)
			} else {
				target = b.Input("y", ir.Int, c.rows)
			}
			dloss := b.Input("seed", ir.Float, 1)
			loss := b.Do(ir.SoftmaxXent, ir.Attrs{}, x, target)
			dx := b.Do(ir.SoftmaxXentGrad, ir.Attrs{}, loss[1], target, dloss)[0]
			outs := []ir.Slot{loss[0], loss[1], dx}
			if c.metric != ir.NoMetric {
				outs = append(outs, b.Do(ir.Metric, ir.Attrs{Metric: c.metric, K: 3 * int(c.metric-ir.Accuracy)}, x, target)[0])
			}
			for i, s := range outs {
				b.Name(s, fmt.Sprint("out", i))
			}
			got, want, _ := runFused(t, plan.Options{}, b.Done(), "softmax_xent_step")
			for i, s := range outs {
				tol := numtest.Tol{Rel: 2e-5, Abs: 2e-6, Why: "as the separate kernels"}
				if i == 3 {
					tol = numtest.Tol{Why: "a count"}
				}
				numtest.Close(t, got.F[s], want.F[s], tol)
			}
		})
	}
}
