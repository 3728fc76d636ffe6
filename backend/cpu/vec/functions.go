package vec

import "math"

// The functions of ir.Fn. Add, Mul and Exp are elsewhere, tanh and sigmoid are Act.

// Sub computes dst = a − b.
func Sub(dst, a, b []float32) {
	i := subAsm(dst, a, b)
	for ; i < len(dst); i++ {
		dst[i] = a[i] - b[i]
	}
}

// Div computes dst = a/b.
func Div(dst, a, b []float32) {
	i := divAsm(dst, a, b)
	for ; i < len(dst); i++ {
		dst[i] = a[i] / b[i]
	}
}

// Larger computes dst = the larger of a and b, and NaN where one is.
func Larger(dst, a, b []float32) {
	i := largerAsm(dst, a, b)
	for ; i < len(dst); i++ {
		switch {
		case a[i] != a[i] || a[i] > b[i]:
			dst[i] = a[i]
		default:
			dst[i] = b[i]
		}
	}
}

// Smaller computes dst = the smaller of a and b, and NaN where one is.
func Smaller(dst, a, b []float32) {
	i := smallerAsm(dst, a, b)
	for ; i < len(dst); i++ {
		switch {
		case a[i] != a[i] || a[i] < b[i]:
			dst[i] = a[i]
		default:
			dst[i] = b[i]
		}
	}
}

// Greater computes dst = 1 where a > b, else 0.
func Greater(dst, a, b []float32) {
	i := greaterAsm(dst, a, b)
	for ; i < len(dst); i++ {
		dst[i] = truth(a[i] > b[i])
	}
}

// AtLeast computes dst = 1 where a ≥ b, else 0.
func AtLeast(dst, a, b []float32) {
	i := atLeastAsm(dst, a, b)
	for ; i < len(dst); i++ {
		dst[i] = truth(a[i] >= b[i])
	}
}

// Equal computes dst = 1 where a = b, else 0.
func Equal(dst, a, b []float32) {
	i := equalAsm(dst, a, b)
	for ; i < len(dst); i++ {
		dst[i] = truth(a[i] == b[i])
	}
}

func truth(b bool) float32 {
	if b {
		return 1
	}
	return 0
}

// Select computes dst = a where which is not 0, else b.
func Select(dst, which, a, b []float32) {
	i := chooseAsm(dst, which, a, b)
	for ; i < len(dst); i++ {
		if which[i] != 0 {
			dst[i] = a[i]
		} else {
			dst[i] = b[i]
		}
	}
}

// Neg computes dst = −x.
func Neg(dst, x []float32) {
	i := negateAsm(dst, x)
	for ; i < len(dst); i++ {
		dst[i] = -x[i]
	}
}

// Abs computes dst = |x|.
func Abs(dst, x []float32) {
	i := absoluteAsm(dst, x)
	for ; i < len(dst); i++ {
		dst[i] = abs(x[i])
	}
}

// Sqrt computes dst = √x.
func Sqrt(dst, x []float32) {
	i := rootAsm(dst, x)
	for ; i < len(dst); i++ {
		dst[i] = float32(math.Sqrt(float64(x[i])))
	}
}

// Log computes dst = log x, within 3 ulp.
func Log(dst, x []float32) {
	i := logAsm(dst, x)
	for ; i < len(dst); i++ {
		dst[i] = logf(x[i])
	}
}

// logf writes x = 2ⁿ·m with √½ ≤ m < √2, and log m = 2·artanh(s) with s = (m−1)/(m+1),
// |s| < 0.172, as in logTail. Denormals are scaled up first.
func logf(x float32) float32 {
	switch {
	case x < 0:
		return float32(math.NaN())
	case x == 0:
		return float32(math.Inf(-1))
	case !(x <= math.MaxFloat32):
		return x
	}
	m, less := x, float32(0)
	if x < 0x1p-126 {
		m, less = x*(1<<25), 25
	}
	const sqrtHalf = 0x3f3504f3
	e := int32(math.Float32bits(m)-sqrtHalf) >> 23
	m = math.Float32frombits(math.Float32bits(m) - uint32(e)<<23)
	n := float32(e) - less
	s := (m - 1) / (m + 1)
	z := float32(s * s)
	q := float32(2.802445860e-01)
	q = mad(q, z, 2.799914115e-01)
	q = mad(q, z, 4.002169905e-01)
	q = mad(q, z, 6.666641313e-01)
	r := mad(s*z, q, s+s)
	return float32(n*0.693359375) + (r + float32(n*-2.12194440e-4))
}

// Erf computes dst = erf x, within 3e-7.
func Erf(dst, x []float32) {
	i := erfAsm(dst, x)
	for ; i < len(dst); i++ {
		dst[i] = erff(x[i])
	}
}

// erff is Taylor's series below 0.6, and 1 − 2Φ(−√2·|x|) with the sign of x beyond.
func erff(x float32) float32 {
	if abs(x) < 0.6 {
		z := float32(x * x)
		q := float32(0.00012055332981789664)
		q = mad(q, z, -0.0008548327023450853)
		q = mad(q, z, 0.005223977625442188)
		q = mad(q, z, -0.026866170645131252)
		q = mad(q, z, 0.11283791670955126)
		q = mad(q, z, -0.37612638903183754)
		q = mad(q, z, 1.1283791670955126)
		return x * q
	}
	_, q := tail(float32(x * math.Sqrt2))
	return math.Float32frombits(math.Float32bits(1-(q+q)) | math.Float32bits(x)&(1<<31))
}
