package vec

import (
	"math"
	"testing"

	"github.com/gespann/gespann/backend/ir"
)

// ulp is the distance between float32 numbers at |x|.
func ulp(x float64) float64 {
	_, e := math.Frexp(x)
	return math.Ldexp(1, max(e-24, -149))
}

func phi64(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// accuracy lists the functions with their stated errors, in ulp of the result.
// GELU's grows with the rounding of x²/2, which exp makes a relative error.
var accuracy = []struct {
	name string
	got  func(x float32) float32
	want func(x float64) float64
	ulps func(x float64) float64
}{
	{"exp", expf, math.Exp, constant(2)},
	{"expm1 of x ≤ 0", func(x float32) float32 { return expm1f(-abs(x)) },
		func(x float64) float64 { return math.Expm1(-math.Abs(x)) }, constant(2)},
	{"sigmoid", sigmoid, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, constant(4)},
	{"log", logf, math.Log, constant(3)},
	// Beyond 0.6 the error is one of 1, not of the result.
	{"erf", erff, math.Erf, constant(4)},
	{"tanh", tanhf, math.Tanh, constant(2)},
	{"softplus", func(x float32) float32 { return one(ir.Softplus, x) }, func(x float64) float64 {
		return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
	}, constant(4)},
	{"log(1+e^-|x|)", logTail, func(x float64) float64 {
		return math.Log1p(math.Exp(-math.Abs(x)))
	}, constant(4)},
	{"silu", func(x float32) float32 { return one(ir.SiLU, x) },
		func(x float64) float64 { return x / (1 + math.Exp(-x)) },
		func(x float64) float64 {
			if x < -87 { // sigmoid(x) is denormal, x times its rounding is not small
				return -x
			}
			return 5
		}},
	{"gelu", func(x float32) float32 { return one(ir.GELU, x) },
		func(x float64) float64 { return x * phi64(x) },
		func(x float64) float64 { return 8 + min(x, 0)*min(x, 0) }},
}

func constant(c float64) func(float64) float64 { return func(float64) float64 { return c } }

func one(act ir.Act, x float32) float32 {
	y := [1]float32{}
	Act(act, 1, y[:], []float32{x})
	return y[0]
}

// TestAccuracy samples the whole range of float32: every 4099th bit pattern, or
// every 100003rd with -short.
func TestAccuracy(t *testing.T) {
	stride := uint64(4099)
	if testing.Short() {
		stride = 100003
	}
	for _, f := range accuracy {
		worst, at := 0.0, float32(0)
		for b := uint64(0); b < 1<<32; b += stride {
			x := math.Float32frombits(uint32(b))
			want := f.want(float64(x))
			got := float64(f.got(x))
			if want != want || math.IsInf(want, 0) || math.Abs(want) > math.MaxFloat32 {
				continue
			}
			err := math.Abs(got-want) / ulp(want) / f.ulps(float64(x))
			if !(err <= worst) {
				worst, at = err, x
			}
		}
		t.Logf("%s: worst error %.2f ulp at %v", f.name, worst*f.ulps(float64(at)), at)
		if !(worst <= 1) {
			t.Errorf("%s(%v) = %v, want %v within %.3g ulp", f.name, at, f.got(at),
				f.want(float64(at)), f.ulps(float64(at)))
		}
	}
}

// TestLimits checks infinities and NaN, which TestAccuracy skips.
func TestLimits(t *testing.T) {
	if got := expf(inf); got != inf {
		t.Errorf("exp(+Inf) = %v, want +Inf", got)
	}
	if got := expf(-inf); got != 0 {
		t.Errorf("exp(-Inf) = %v, want 0", got)
	}
	for act := ir.NoAct; act <= ir.SiLU; act++ {
		if got := one(act, nan); got == got {
			t.Errorf("%v(NaN) = %v, want NaN", act, got)
		}
		if got := one(act, inf); act != ir.Sigmoid && act != ir.Tanh && got != inf {
			t.Errorf("%v(+Inf) = %v, want +Inf", act, got)
		}
	}
}

// TestGradients compares ActGrad with derivatives in float64, at the points
// where float32 outputs determine them well.
func TestGradients(t *testing.T) {
	want := map[ir.Act]func(x float64) float64{
		ir.NoAct: func(float64) float64 { return 1 },
		ir.ReLU: func(x float64) float64 {
			if x > 0 {
				return 1
			}
			return 0
		},
		ir.LeakyReLU: func(x float64) float64 {
			if x > 0 {
				return 1
			}
			return float64(float32(0.3))
		},
		ir.ELU: func(x float64) float64 {
			if x > 0 {
				return 1
			}
			return 0.3 * math.Exp(x)
		},
		ir.GELU: func(x float64) float64 {
			return phi64(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
		},
		ir.Sigmoid:  func(x float64) float64 { s := 1 / (1 + math.Exp(-x)); return s * (1 - s) },
		ir.Tanh:     func(x float64) float64 { return 1 / (math.Cosh(x) * math.Cosh(x)) },
		ir.Softplus: func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
		ir.SiLU:     func(x float64) float64 { s := 1 / (1 + math.Exp(-x)); return s * (1 + x*(1-s)) },
	}
	for act, derivative := range want {
		for x := float32(-12); x <= 12; x += 0.013 {
			ref := x
			if !act.FromInput() {
				ref = oneAlpha(act, x)
			}
			dx := [1]float32{}
			ActGrad(act, 0.3, dx[:], []float32{ref}, []float32{3})
			w := 3 * derivative(float64(x))
			// The output's rounding, 2⁻²⁴ relative, moves 1−y and y+alpha by as much.
			if bound := 3*0x1p-23 + 2e-6*math.Abs(w); !(math.Abs(float64(dx[0])-w) <= bound) {
				t.Errorf("%v gradient at %v = %v, want %v ± %v", act, x, dx[0], w, bound)
				break
			}
		}
	}
}

func oneAlpha(act ir.Act, x float32) float32 {
	y := [1]float32{}
	Act(act, 0.3, y[:], []float32{x})
	return y[0]
}
