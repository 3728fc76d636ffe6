package main

import "math"

// functions are those of ir.Fn that no other kernel computes.
func functions(a *assembly) {
	two := func(name, doc string, v func(k *kernel, a, b val) val) {
		k := a.kernel(name, doc, f("dst", "a", "b")...)
		k.store("dst", v(k, k.load("a"), k.load("b")))
	}
	two("sub", "is dst = a − b.", (*kernel).sub)
	two("div", "is dst = a/b.", (*kernel).div)
	two("larger", "is dst = the larger of a and b; NaN if either is.", func(k *kernel, a, b val) val {
		return k.choose(k.nan(a), a, k.max(a, b))
	})
	two("smaller", "is dst = the smaller of a and b; NaN if either is.", func(k *kernel, a, b val) val {
		return k.choose(k.nan(a), a, k.min(a, b))
	})
	one := func(k *kernel) val { return k.reg(k.c(1)) }
	two("greater", "is dst = 1 where a > b, else 0.", func(k *kernel, a, b val) val { return k.and(k.gt(a, b), one(k)) })
	two("atLeast", "is dst = 1 where a ≥ b, else 0.", func(k *kernel, a, b val) val { return k.and(k.ge(a, b), one(k)) })
	two("equal", "is dst = 1 where a = b, else 0.", func(k *kernel, a, b val) val { return k.and(k.eq(a, b), one(k)) })

	k := a.kernel("choose", "is dst = a where which is not 0, else b.", f("dst", "which", "a", "b")...)
	k.store("dst", k.choose(k.eq(k.load("which"), k.c(0)), k.load("b"), k.load("a")))

	each := func(name, doc string, v func(k *kernel, x val) val) {
		k := a.kernel(name, doc, f("dst", "x")...)
		k.store("dst", v(k, k.load("x")))
	}
	each("negate", "is dst = −x.", (*kernel).neg)
	each("absolute", "is dst = |x|.", (*kernel).abs)
	each("root", "is dst = √x.", (*kernel).sqrt)
	each("log", "is dst = log x.", (*kernel).log)
	each("erf", "is dst = erf x.", (*kernel).erf)
}

func (k *kernel) eq(a, b val) val { return k.add("VCMPPS $0, %1, %0, %d", false, k.reg(a), b) }

// log is log x: see logf.
func (k *kernel) log(x val) val {
	tiny := k.lt(x, k.c(0x1p-126))
	m := k.choose(tiny, k.mul(x, k.c(1<<25)), x)
	e := k.isub(m, k.bits(sqrtHalf))
	e = k.asr(e, 23)
	m = k.isub(m, k.shl(e, 23))
	n := k.sub(k.add("VCVTDQ2PS %0, %d", false, e), k.and(tiny, k.reg(k.c(25))))
	s := k.div(k.sub(m, k.c(1)), k.addf(m, k.c(1)))
	z := k.mul(s, s)
	r := k.mad(k.mul(s, z), k.poly(z, 6.666641313e-01, 4.002169905e-01, 2.799914115e-01, 2.802445860e-01), k.addf(s, s))
	y := k.addf(k.mul(n, k.c(0.693359375)), k.addf(r, k.mul(n, k.c(-2.12194440e-4))))
	y = k.choose(k.lt(x, k.bits(0x7f800000)), y, x) // infinite, or NaN
	y = k.choose(k.eq(x, k.c(0)), k.reg(k.bits(0xff800000)), y)
	return k.choose(k.lt(x, k.c(0)), k.reg(k.bits(0x7fc00000)), y)
}

// sqrtHalf is √½ as bits.
const sqrtHalf = 0x3f3504f3

// erf is erf x: see erff.
func (k *kernel) erf(x val) val {
	_, q := k.tail(k.mul(x, k.c(math.Sqrt2)))
	big := k.or(k.sub(k.reg(k.c(1)), k.addf(q, q)), k.and(x, k.bits(1<<31)))
	z := k.mul(x, x)
	small := k.mul(x, k.poly(z, erfSeries...))
	return k.choose(k.lt(k.abs(x), k.c(0.6)), small, big)
}

// erfSeries is Taylor's series of erf x/x in x².
var erfSeries = []float64{1.1283791670955126, -0.37612638903183754, 0.11283791670955126, -0.026866170645131252,
	0.005223977625442188, -0.0008548327023450853, 0.00012055332981789664}
