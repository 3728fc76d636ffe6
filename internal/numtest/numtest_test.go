package numtest

import (
	"fmt"
	"math"
	"testing"
)

// A recorder is a testing.TB that keeps what is reported.
type recorder struct {
	testing.TB
	text string
}

func (r *recorder) Helper()                           {}
func (r *recorder) Errorf(format string, args ...any) { r.text += fmt.Sprintf(format, args...) }

func TestClose(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name      string
		got, want []float64
		tol       Tol
		text      string
	}{
		{"equal", []float64{1, 2}, []float64{1, 2}, Tol{Why: "same"}, ""},
		{"empty", nil, nil, Tol{Why: "same"}, ""},
		{"at the bound", []float64{1.5}, []float64{1}, Tol{Abs: 0.25, Rel: 0.25, Why: "sum"}, ""},
		{"worst is named", []float64{1, 9, 3}, []float64{1, 2, 4}, Tol{Abs: 0.5, Why: "test"},
			"2 of 3 elements differ; worst: [1] got 9, want 2 +- 0.5 (test)"},
		{"nan", []float64{nan}, []float64{1}, Tol{Abs: inf, Why: "test"},
			"1 of 1 elements differ; worst: [0] got NaN, want 1 +- +Inf (test)"},
		{"nan is wanted too", []float64{nan}, []float64{nan}, Tol{Abs: 1, Why: "test"},
			"1 of 1 elements differ; worst: [0] got NaN, want NaN +- NaN (test)"},
		{"nan is the worst", []float64{9, nan, 99}, []float64{1, 1, 1}, Tol{Why: "test"},
			"3 of 3 elements differ; worst: [1] got NaN, want 1 +- 0 (test)"},
		{"length", []float64{1}, []float64{1, 2}, Tol{Why: "test"},
			"got 1 elements, want 2 (bounds for 2)"},
		{"no reason", []float64{1}, []float64{1}, Tol{Abs: 1}, "tolerance without a reason"},
	} {
		r := &recorder{TB: t}
		if ok := Close(r, c.got, c.want, c.tol); ok != (c.text == "") || r.text != c.text {
			t.Errorf("%s: Close = %v, %q, want %q", c.name, ok, r.text, c.text)
		}
	}
}

func TestGrad(t *testing.T) {
	f := func(x []float64) float64 { return x[0]*x[0]*x[1] + math.Sin(x[1]) }
	x := []float64{1.5, -2}
	Close(t, Grad(f, x), []float64{2 * 1.5 * -2, 1.5*1.5 + math.Cos(-2)},
		Tol{Abs: 1e-9, Why: "step 6e-6, third derivatives up to 1"})
}

func TestGamma(t *testing.T) {
	Close(t, []float64{Gamma(1), Gamma(1000)}, []float64{5.9604648e-8, 5.9608201e-5},
		Tol{Rel: 1e-7, Why: "the digits above"})
}
