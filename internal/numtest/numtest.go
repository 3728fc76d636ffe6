// Package numtest compares floating-point numbers in tests.
package numtest

import (
	"fmt"
	"math"
	"testing"
)

// A Tol says how far apart two numbers may be: |got − want| ≤ Abs + Rel·|want|.
type Tol struct {
	Abs, Rel float64
	Why      string // where the numbers come from; required
}

// A Number is what can be compared.
type Number interface{ ~float32 | ~float64 | ~int32 }

// Close reports an error unless got and want have the same length and agree in
// every element, and returns whether they do. It names the worst element. NaN
// agrees with nothing.
func Close[G, W Number](t testing.TB, got []G, want []W, tol Tol) bool {
	t.Helper()
	bound := make([]float64, len(want))
	for i, w := range want {
		bound[i] = tol.Abs + tol.Rel*math.Abs(float64(w))
	}
	return Within(t, got, want, bound, tol.Why)
}

// Within is Close with a bound of its own for each element.
func Within[G, W Number](t testing.TB, got []G, want []W, bound []float64, why string) bool {
	t.Helper()
	if why == "" {
		t.Errorf("tolerance without a reason")
		return false
	}
	if len(got) != len(want) || len(bound) != len(want) {
		t.Errorf("got %d elements, want %d (bounds for %d)", len(got), len(want), len(bound))
		return false
	}
	bad, worst, excess := 0, -1, 0.0
	for i := range want {
		diff := math.Abs(float64(got[i]) - float64(want[i]))
		if diff <= bound[i] {
			continue
		}
		bad++
		// A difference that is NaN is worse than any number.
		if e := diff - bound[i]; worst < 0 || e > excess || math.IsNaN(e) && !math.IsNaN(excess) {
			worst, excess = i, e
		}
	}
	if worst < 0 {
		return true
	}
	t.Errorf("%d of %d elements differ; worst: [%d] got %v, want %v +- %.3g (%s)",
		bad, len(want), worst, format(got[worst]), format(want[worst]), bound[worst], why)
	return false
}

// format prints a number so that it can be read back.
func format[N Number](v N) string {
	if f, ok := any(v).(float64); ok {
		return fmt.Sprintf("%.17g", f)
	}
	return fmt.Sprintf("%.9g", float64(v))
}

// Gamma returns γ_k = ku/(1−ku) with u = 2⁻²⁴: k roundings in float32, as in a
// sum of k products in any order, change the result by at most γ_k times the sum
// of the absolute values.
//
// Source: Higham, Accuracy and Stability of Numerical Algorithms, 2002, ch. 3.
func Gamma(k int) float64 {
	ku := float64(k) * 0x1p-24
	return ku / (1 - ku)
}

// Grad returns the gradient of f at x by central differences of step h = 6e-6,
// for x of size 1. It errs by h²/6 of the third derivative, and by 1/h of what
// rounding does to f.
func Grad(f func(x []float64) float64, x []float64) []float64 {
	grad := make([]float64, len(x))
	at := append([]float64(nil), x...)
	for i, v := range x {
		// The cube root of the machine epsilon balances the two errors.
		h := 6e-6 * max(1, math.Abs(v))
		at[i] = v + h
		high, up := f(at), at[i]
		at[i] = v - h
		grad[i] = (high - f(at)) / (up - at[i])
		at[i] = v
	}
	return grad
}
