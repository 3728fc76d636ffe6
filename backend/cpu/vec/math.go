package vec

import "math"

// The scalar functions below are the definition of the kernels' arithmetic.
// float32(a*b) keeps the compiler from fusing a product into a sum.

// mad is a·b + c, rounded twice.
func mad(a, b, c float32) float32 { return float32(a*b) + c }

// reduced writes x = n·ln 2 + r with |r| ≤ ln 2 / 2, rounding n to nearest by
// adding and subtracting 3·2²², and returns p = e^r − 1 and 2ⁿ as a product of
// two factors, so that n may be anything from −151 to 129.
//
// The polynomial is a minimax fit of (e^r−1−r)/r², 4.6e-10 relative to r; ln 2
// is split in two, the first part with few bits so that its product is exact.
func reduced(x float32) (scale1, scale2, p float32) {
	const magic = 3 << 22
	if 89.5 < x {
		x = 89.5
	}
	if -104.5 > x {
		x = -104.5
	}
	t := mad(x, 1/math.Ln2, magic)
	n := t - magic
	r := x - float32(n*0.693359375) - float32(n*-2.12194440e-4)
	q := float32(1.990763797e-04)
	q = mad(q, r, 1.394864064e-03)
	q = mad(q, r, 8.333285932e-03)
	q = mad(q, r, 4.166623986e-02)
	q = mad(q, r, 1.666666676e-01)
	q = mad(q, r, 5.000000081e-01)
	p = mad(r*r, q, r)
	i := int32(math.Float32bits(t)) - int32(math.Float32bits(magic))
	half := i >> 1
	scale1 = math.Float32frombits(uint32(half+127) << 23)
	scale2 = math.Float32frombits(uint32(i-half+127) << 23)
	return scale1, scale2, p
}

// expf is eˣ.
func expf(x float32) float32 {
	s1, s2, p := reduced(x)
	return float32((p+1)*s1) * s2
}

// expm1f is eˣ − 1 for x ≤ 0: 2ⁿ·p + (2ⁿ − 1), whose last term is exact until
// it rounds to −1.
func expm1f(x float32) float32 {
	s1, s2, p := reduced(x)
	s := float32(s1 * s2)
	return float32(s*p) + (s - 1)
}

// sigmoid is 1/(1+e⁻ˣ), or eˣ/(1+eˣ) for x < 0, so that nothing overflows.
func sigmoid(x float32) float32 {
	e := expf(-abs(x))
	if x < 0 {
		return e / (e + 1)
	}
	return 1 / (e + 1)
}

// tanhf is an odd polynomial (minimax, 4.1e-9) below 0.625, where the other
// formula, 1 − 2/(e²ˣ+1), loses digits.
func tanhf(x float32) float32 {
	a := abs(x)
	if a < 0.625 {
		z := float32(x * x)
		q := float32(-5.717045375e-03)
		q = mad(q, z, 2.065058765e-02)
		q = mad(q, z, -5.374349822e-02)
		q = mad(q, z, 1.333149129e-01)
		q = mad(q, z, -3.333328393e-01)
		return mad(x*z, q, x)
	}
	y := 1 - 2/(expf(a+a)+1)
	return math.Float32frombits(math.Float32bits(y) | math.Float32bits(x)&(1<<31))
}

// logTail is log(1+u), u = e^−|x|, computed as 2·artanh(s) = 2s + s³·P(s²) with
// s = u/(2+u) (minimax, 9.1e-9).
func logTail(x float32) float32 {
	u := expf(-abs(x))
	s := u / (u + 2)
	z := float32(s * s)
	q := float32(2.802445860e-01)
	q = mad(q, z, 2.799914115e-01)
	q = mad(q, z, 4.002169905e-01)
	q = mad(q, z, 6.666641313e-01)
	return mad(s*z, q, s+s)
}

// LogTail computes y = log(1+e^−|x|), within 4 ulp.
func LogTail(y, x []float32) {
	i := logTailAsm(y, x)
	for ; i < len(y); i++ {
		y[i] = logTail(x[i])
	}
}

// tail is e = exp(−x²/2) and q = Φ(−|x|) = e·t·P(t), t = 1/(1+0.3|x|) (minimax
// for |x| ≤ 14, 3.5e-9 relative; beyond, e vanishes).
func tail(x float32) (e, q float32) {
	t := 1 / mad(abs(x), 0.3, 1)
	g := float32(-2.061282422e-02)
	g = mad(g, t, 1.123757486e-01)
	g = mad(g, t, -2.280674395e-01)
	g = mad(g, t, 1.915815896e-01)
	g = mad(g, t, -7.924724756e-02)
	g = mad(g, t, 9.605777730e-02)
	g = mad(g, t, 7.842559849e-02)
	g = mad(g, t, 1.102273197e-01)
	g = mad(g, t, 1.195728417e-01)
	g = mad(g, t, 1.196866341e-01)
	e = expf(float32(x*x) * -0.5)
	return e, float32(t*g) * e
}

// phi is Φ(x) from q = Φ(−|x|).
func phi(x, q float32) float32 {
	if x < 0 {
		return q
	}
	return 1 - q
}

func abs(x float32) float32 {
	return math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
}

// Exp computes dst = exp(x − shift), within 2 ulp. Results below the smallest
// denormal are 0.
func Exp(dst, x []float32, shift float32) {
	i := expShiftAsm(dst, x, shift)
	for ; i < len(dst); i++ {
		dst[i] = expf(x[i] - shift)
	}
}
