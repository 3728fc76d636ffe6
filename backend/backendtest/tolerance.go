package backendtest

import (
	"math"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/numtest"
)

// A tolerance says how far an output may be from the definition. The parts add
// up.
type tolerance struct {
	// exact: not at all from the definition in float32.
	exact bool
	// terms is the number k of terms of a sum, which in float32 may be off by
	// γ_k times the same sum of absolute values.
	terms int
	rel   float64 // times |want|
	norm  float64 // times the largest |want| of the output
	abs   float64
	why   string
}

// exactly is the tolerance of ops that copy, select or round once.
var exactly = tolerance{exact: true,
	why: "copies, selects or rounds once, as the definition does in float32"}

// sum is the tolerance of a sum of k products.
func sum(k int) tolerance {
	// Two more roundings: for the bias or the scale, and for storing.
	return tolerance{terms: k + 2, why: "γ_k Σ|a·b| for sums of k products in any order (Higham)"}
}

// near is a measured tolerance, relative to each value and to the largest.
func near(rel, norm float64, why string) tolerance {
	return tolerance{rel: rel, norm: norm, abs: 1e-36, why: why}
}

// Tolerances of activations in float32: relative, and absolute near the zeros of
// their formulas, where terms of size 1 cancel.
const (
	actRel = 2e-6
	actAbs = 5e-7
	// actSlope is the largest slope of any activation: GELU's is 1.129.
	actSlope = 1.13
)

// bounds returns how far each element may be from want.
func (tol tolerance) bounds(want, scale []float64, a ir.Attrs) []float64 {
	bound := make([]float64, len(want))
	if tol.exact {
		return bound
	}
	largest := 0.0
	for _, w := range want {
		largest = max(largest, math.Abs(w))
	}
	slope, rel, abs, gradAct := 1.0, tol.rel, tol.abs, 0.0
	if a.Act != ir.NoAct {
		slope = max(actSlope, a.Alpha)
		if a.GradAct {
			gradAct = actRel // of act'(ref), which is of size 1
		} else if a.Act > ir.LeakyReLU {
			rel, abs = rel+actRel, abs+actAbs
		}
	}
	for i, w := range want {
		bound[i] = abs + rel*math.Abs(w) + tol.norm*largest
		if tol.terms > 0 {
			bound[i] += (numtest.Gamma(tol.terms)*slope + gradAct) * scale[i]
		}
	}
	return bound
}

// scales returns, for sums, the result on absolute values without activation.
func (c *opCase) scales(t *testing.T, s sample) [][]float64 {
	t.Helper()
	plain := *c
	if c.tol.terms == 0 {
		return make([][]float64, 16)
	}
	plain.attrs.Act, plain.attrs.Alpha, plain.attrs.GradAct = ir.NoAct, 0, false
	if c.attrs.GradAct {
		plain.in = c.in[:len(c.in)-1]
	}
	var abs sample
	for _, in := range s.in {
		var x [][]float64
		for k := range plain.in {
			x = append(x, absolute(in[k]))
		}
		abs.in = append(abs.in, x)
	}
	for _, init := range s.init {
		abs.init = append(abs.init, absolute(init))
	}
	floats, _ := reference[float64](plain.program(t), abs)
	return floats
}

func absolute(x []float64) []float64 {
	x = slices.Clone(x)
	for i, v := range x {
		x[i] = math.Abs(v)
	}
	return x
}
