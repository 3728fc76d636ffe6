package ref

import (
	"math"

	"github.com/gespann/gespann/backend/ir"
)

// act returns act(x); the formulas are at ir.Act.
func act(a *ir.Attrs, x float64) float64 {
	switch a.Act {
	case ir.ReLU:
		return max(0, x)
	case ir.LeakyReLU:
		if x < 0 {
			return a.Alpha * x
		}
	case ir.ELU:
		if x < 0 {
			return a.Alpha * math.Expm1(x)
		}
	case ir.GELU:
		return x * normal(x)
	case ir.Sigmoid:
		return sigmoid(x)
	case ir.Tanh:
		return math.Tanh(x)
	case ir.Softplus:
		return softplus(x)
	case ir.SiLU:
		return x * sigmoid(x)
	}
	return x
}

// actDerivative returns act'(x), from r = x for the activations whose FromInput
// is true and from r = act(x) for the others. At a kink it is the derivative
// from the left.
func actDerivative(a *ir.Attrs, r float64) float64 {
	switch a.Act {
	case ir.ReLU:
		if r <= 0 {
			return 0
		}
	case ir.LeakyReLU:
		if r <= 0 {
			return a.Alpha
		}
	case ir.ELU: // Alpha·eˣ = Alpha·(eˣ−1) + Alpha
		if r <= 0 {
			return r + a.Alpha
		}
	case ir.GELU: // Φ(x) + x·φ(x)
		return normal(r) + r*math.Exp(-r*r/2)/math.Sqrt(2*math.Pi)
	case ir.Sigmoid:
		return r * (1 - r)
	case ir.Tanh:
		return 1 - r*r
	case ir.Softplus: // 1/(1+e⁻ˣ) = 1 − e^−log(1+eˣ)
		return -math.Expm1(-r)
	case ir.SiLU:
		s := sigmoid(r)
		return s * (1 + r*(1-s))
	}
	return 1
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// softplus is log(1+eˣ) without overflow.
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// normal is Φ, the distribution function of the standard normal distribution.
func normal(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// activation computes y = act(x).
func activation[T Float](y, x []T, a *ir.Attrs) {
	for i := range y {
		y[i] = T(act(a, float64(x[i])))
	}
}

// actGrad computes dx = dy · act'(ref).
func actGrad[T Float](dx, ref, dy []T, a *ir.Attrs) {
	for i := range dx {
		dx[i] = T(float64(dy[i]) * actDerivative(a, float64(ref[i])))
	}
}

// logit computes x = log max(p, 2⁻¹²⁶) − Alpha·log max(1−p, 2⁻²⁴).
func logit[T Float](x, p []T, a *ir.Attrs) {
	for i := range x {
		v := float64(p[i])
		x[i] = T(math.Log(max(v, 0x1p-126)) - a.Alpha*math.Log(max(1-v, 0x1p-24)))
	}
}

// add computes y = act(a + b).
func add[T Float](y, a, b []T, at *ir.Attrs) {
	for i := range y {
		y[i] = T(act(at, float64(a[i])+float64(b[i])))
	}
}

// biasAdd computes y[r,c] = x[r,c] + b[c].
func biasAdd[T Float](y, x, b []T, rows, cols int) {
	for r := range rows {
		for c := range cols {
			y[r*cols+c] = x[r*cols+c] + b[c]
		}
	}
}

// biasGrad computes db[c] = Σ_r dy[r,c].
func biasGrad[T Float](db, dy []T, rows, cols int) {
	for c := range cols {
		sum := 0.0
		for r := range rows {
			sum += float64(dy[r*cols+c])
		}
		db[c] = T(sum)
	}
}

// dropout computes y[i] = x[i]/(1−Rate) if Keep(Seed, tick, i), else 0.
func dropout[T Float](y, x []T, tick int32, a *ir.Attrs) {
	key, threshold := ir.KeepKey(a.Seed, tick), ir.KeepThreshold(a.Rate)
	scale := T(1 / (1 - a.Rate))
	for i := range y {
		y[i] = 0
		if ir.Keep(key, uint32(i), threshold) {
			y[i] = x[i] * scale
		}
	}
}

// concat joins the inputs along Axis.
func (c call[T]) concat() {
	outer, row := ir.Around(c.outShape(0), c.ins.Attrs.Axis)
	at := 0
	for k := range c.ins.In {
		_, n := ir.Around(c.shape(k), c.ins.Attrs.Axis)
		for i := range outer {
			copy(c.out(0)[i*row+at:][:n], c.in(k)[i*n:])
		}
		at += n
	}
}

// slice takes Start ≤ index < Start+Count along Axis.
func (c call[T]) slice() {
	a := &c.ins.Attrs
	outer, row := ir.Around(c.shape(0), a.Axis)
	_, n := ir.Around(c.outShape(0), a.Axis)
	from := a.Start * (n / a.Count)
	for i := range outer {
		copy(c.out(0)[i*n:][:n], c.in(0)[i*row+from:])
	}
}
