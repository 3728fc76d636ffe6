package gemm

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend/cpu/pool"
	"github.com/gespann/gespann/backend/ir"
)

// guard is the number of NaNs before and after each buffer: at least the slack
// that kernels may read, and odd, so that buffers are not aligned.
const guard = 67

// guarded is a buffer in guard bands.
type guarded struct {
	all []float32
	x   []float32
}

func newGuarded(n int) guarded {
	all := make([]float32, n+2*guard)
	for i := range all {
		all[i] = float32(math.NaN())
	}
	return guarded{all, all[guard : guard+n : guard+n]}
}

// random returns a guarded buffer of values in [-1, 1).
func random(rng *rand.Rand, n int) guarded {
	g := newGuarded(n)
	for i := range g.x {
		g.x[i] = 2*rng.Float32() - 1
	}
	return g
}

// intact fails the test if the guard bands have been written.
func (g guarded) intact(t *testing.T, name string) {
	t.Helper()
	for i, v := range g.all {
		if (i < guard || i >= guard+len(g.x)) && v == v {
			t.Errorf("%s: guard at %d is %v, want NaN", name, i-guard, v)
			return
		}
	}
}

// unchanged fails the test if an input has been written.
func unchanged(t *testing.T, name string, g guarded, before []float32) {
	t.Helper()
	g.intact(t, name)
	if !slices.Equal(g.x, before) {
		t.Errorf("%s was overwritten", name)
	}
}

// whyBound says where the bounds come from: γ of the number of terms, with one
// more rounding each for Accumulate, Bias and the activation.
const whyBound = "γ_(k+3)·Σ|a·b|"

// epilogueCase is an Epilogue and its definition.
type epilogueCase struct {
	name                       string
	accumulate, bias, ref, row bool
	act                        ir.Act
	apply                      func(v, ref float64) float64 // |slope| ≤ 2
}

var epilogues = []epilogueCase{
	{name: "plain"},
	{name: "accumulate", accumulate: true},
	{name: "bias", bias: true},
	{name: "bias-relu", bias: true, act: ir.ReLU, apply: relu},
	{name: "relu-grad", act: ir.ReLU, ref: true, apply: reluGrad},
	{
		name: "accumulate-bias-relu-grad", accumulate: true, bias: true,
		act: ir.ReLU, ref: true, apply: reluGrad,
	},
	{name: "row", bias: true, act: ir.LeakyReLU, row: true, apply: double},
	{name: "row-ref", accumulate: true, act: ir.LeakyReLU, ref: true, row: true, apply: times},
}

func relu(v, _ float64) float64    { return max(v, 0) }
func double(v, _ float64) float64  { return 2 * v }
func times(v, ref float64) float64 { return v * ref }

// epilogue returns the Epilogue of the case.
func (tc *epilogueCase) epilogue(bias, ref []float32) *Epilogue {
	e := &Epilogue{Accumulate: tc.accumulate, Act: tc.act}
	if tc.bias {
		e.Bias = bias
	}
	if tc.ref {
		e.Ref = ref
	}
	if tc.row {
		e.Row = rowFunc
	}
	return e
}

// expect returns the exact result of the case, given that of the product, and the
// magnitude to which its error is relative.
func (tc *epilogueCase) expect(sum, abs []float64, bias, ref, c []float32) (want, bound []float64) {
	want, bound = slices.Clone(sum), slices.Clone(abs)
	for i := range want {
		if tc.accumulate {
			want[i] += float64(c[i])
			bound[i] += math.Abs(float64(c[i]))
		}
		if tc.bias {
			b := float64(bias[i%len(bias)])
			want[i] += b
			bound[i] += math.Abs(b)
		}
		if tc.apply != nil {
			want[i] = tc.apply(want[i], float64(ref[i]))
			bound[i] *= 2
		}
	}
	return want, bound
}

func reluGrad(v, ref float64) float64 {
	if ref > 0 {
		return v
	}
	return 0
}

// rowFunc is the Row of the epilogues that have one.
func rowFunc(y, ref []float32) {
	for i := range y {
		if ref == nil {
			y[i] *= 2
		} else {
			y[i] *= ref[i]
		}
	}
}

// aligned returns random values that start at a cache line, as the backend's
// buffers do.
func aligned(rng *rand.Rand, n int) []float32 {
	x := random(rng, n+16).x
	skip := int(-uintptr(at(x, 0)) % 64 / floatSize)
	return x[skip : skip+n]
}

// pools returns pools of several sizes.
func pools(t testing.TB) []*pool.Pool {
	var all []*pool.Pool
	for _, threads := range []int{1, 2, 3, 5} {
		p := pool.New(threads)
		t.Cleanup(p.Close)
		all = append(all, p)
	}
	return all
}

// sameBits fails the test if two results differ in any bit.
func sameBits(t *testing.T, got, want []float32, what string) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Errorf("%s: element %d = %v, want the same bits as %v", what, i, got[i], want[i])
			return
		}
	}
}
