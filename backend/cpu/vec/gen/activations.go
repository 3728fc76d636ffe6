package main

import "math"

// reduced is n, 2ⁿ¹, 2ⁿ² and e^r − 1 with x = n·ln 2 + r and n = n1 + n2.
func (k *kernel) reduced(x val) (n, scale1, scale2, p val) {
	const magic = 3 << 22
	x = k.max(k.c(-104.5), k.min(k.c(89.5), x))
	t := k.mad(x, k.c(1/math.Ln2), k.c(magic))
	n = k.sub(t, k.c(magic))
	r := k.sub(k.sub(x, k.mul(n, k.c(0.693359375))), k.mul(n, k.c(-2.12194440e-4)))
	q := k.poly(r, 5.000000081e-01, 1.666666676e-01, 4.166623986e-02,
		8.333285932e-03, 1.394864064e-03, 1.990763797e-04)
	p = k.mad(k.mul(r, r), q, r)
	i := k.isub(t, k.c(magic))
	half := k.asr(i, 1)
	scale1 = k.shl(k.iadd(half, k.bits(127)), 23)
	scale2 = k.shl(k.iadd(k.isub(i, half), k.bits(127)), 23)
	return n, scale1, scale2, p
}

func (k *kernel) exp(x val) val {
	_, s1, s2, p := k.reduced(x)
	return k.mul(k.mul(k.addf(p, k.c(1)), s1), s2)
}

// expm1 is for x ≤ 0: 2ⁿ·p + (2ⁿ − 1), whose last term is exact or near −1.
func (k *kernel) expm1(x val) val {
	_, s1, s2, p := k.reduced(x)
	s := k.mul(s1, s2)
	return k.addf(k.mul(s, p), k.sub(s, k.c(1)))
}

func (k *kernel) sigmoid(x val) val {
	e := k.exp(k.or(x, k.bits(1<<31)))
	return k.div(k.choose(k.lt(x, k.c(0)), e, k.reg(k.c(1))), k.addf(e, k.c(1)))
}

func (k *kernel) tanh(x val) val {
	z := k.mul(x, x)
	small := k.mad(k.mul(x, z), k.poly(z, -3.333328393e-01, 1.333149129e-01,
		-5.374349822e-02, 2.065058765e-02, -5.717045375e-03), x)
	a := k.abs(x)
	e := k.exp(k.addf(a, a))
	big := k.sub(k.c(1), k.div(k.c(2), k.addf(e, k.c(1))))
	big = k.or(big, k.and(x, k.bits(1<<31)))
	return k.choose(k.lt(a, k.c(0.625)), small, big)
}

// logTail is log(1+e^−|x|).
func (k *kernel) logTail(x val) val {
	u := k.exp(k.or(x, k.bits(1<<31)))
	s := k.div(u, k.addf(u, k.c(2)))
	z := k.mul(s, s)
	return k.mad(k.mul(s, z), k.poly(z, 6.666641313e-01, 4.002169905e-01,
		2.799914115e-01, 2.802445860e-01), k.addf(s, s))
}

// tail is e = exp(−x²/2) and q = Φ(−|x|).
func (k *kernel) tail(x val) (e, q val) {
	t := k.div(k.c(1), k.mad(k.abs(x), k.c(0.3), k.c(1)))
	g := k.poly(t, 1.196866341e-01, 1.195728417e-01, 1.102273197e-01,
		7.842559849e-02, 9.605777730e-02, -7.924724756e-02, 1.915815896e-01,
		-2.280674395e-01, 1.123757486e-01, -2.061282422e-02)
	e = k.exp(k.mul(k.mul(x, x), k.c(-0.5)))
	return e, k.mul(k.mul(t, g), e)
}

func (k *kernel) phi(x, q val) val {
	return k.choose(k.lt(x, k.c(0)), q, k.sub(k.c(1), q))
}

func activations(a *assembly) {
	act := func(name, doc string) *kernel { return a.kernel(name, doc, f("y", "x")...) }
	k := act("relu", "is y = max(0, x).")
	k.store("y", k.max(k.c(0), k.load("x")))

	k = act("leaky", "is y = x for x ≥ 0, else alpha·x.")
	alpha, x := k.param("alpha"), k.load("x")
	k.store("y", k.choose(k.ge(x, k.c(0)), x, k.mul(x, alpha)))

	k = act("elu", "is y = x for x ≥ 0, else alpha·(eˣ−1).")
	alpha, x = k.param("alpha"), k.load("x")
	low := k.mul(k.expm1(k.min(k.c(0), x)), alpha)
	k.store("y", k.choose(k.ge(x, k.c(0)), x, low))

	k = act("gelu", "is y = x·Φ(x).")
	x = k.load("x")
	_, q := k.tail(x)
	k.store("y", k.mul(x, k.phi(x, q)))

	k = act("sigmoid", "is y = 1/(1+e⁻ˣ).")
	k.store("y", k.sigmoid(k.load("x")))

	k = act("tanh", "is y = tanh x.")
	k.store("y", k.tanh(k.load("x")))

	k = act("softplus", "is y = log(1+eˣ).")
	x = k.load("x")
	k.store("y", k.addf(k.max(k.c(0), x), k.logTail(x)))

	k = a.kernel("logTail", "is y = log(1+e^−|x|).", f("y", "x")...)
	k.store("y", k.logTail(k.load("x")))

	k = act("silu", "is y = x·sigmoid(x).")
	x = k.load("x")
	k.store("y", k.mul(x, k.sigmoid(x)))
}

func gradients(a *assembly) {
	grad := func(name, doc string) (*kernel, val, val) {
		k := a.kernel(name, doc, f("dx", "ref", "dy")...)
		return k, k.load("ref"), k.load("dy")
	}
	k, y, dy := grad("reluGrad", "is dx = 0 where y ≤ 0, else dy.")
	k.store("dx", k.and(k.nle(y, k.c(0)), dy))

	k = a.kernel("leakyGrad", "is dx = alpha·dy where y ≤ 0, else dy.",
		f("dx", "ref", "dy")...)
	alpha := k.param("alpha")
	y, dy = k.load("ref"), k.load("dy")
	k.store("dx", k.choose(k.nle(y, k.c(0)), dy, k.mul(dy, alpha)))

	k = a.kernel("eluGrad", "is dx = (y+alpha)·dy where y ≤ 0, else dy.",
		f("dx", "ref", "dy")...)
	alpha = k.param("alpha")
	y, dy = k.load("ref"), k.load("dy")
	k.store("dx", k.choose(k.nle(y, k.c(0)), dy, k.mul(dy, k.addf(y, alpha))))

	k, x, dy := grad("geluGrad", "is dx = dy·(Φ(x) + x·φ(x)).")
	e, q := k.tail(x)
	k.store("dx", k.mul(dy, k.addf(k.phi(x, q), k.mul(k.mul(x, e), k.c(0.3989422804014327)))))

	k, y, dy = grad("sigmoidGrad", "is dx = dy·y·(1−y).")
	k.store("dx", k.mul(dy, k.mul(y, k.sub(k.c(1), y))))

	k, y, dy = grad("tanhGrad", "is dx = dy·(1−y)·(1+y).")
	k.store("dx", k.mul(dy, k.mul(k.sub(k.c(1), y), k.addf(y, k.c(1)))))

	k, y, dy = grad("softplusGrad", "is dx = dy·(1−e⁻ʸ).")
	k.store("dx", k.mul(dy, k.neg(k.expm1(k.neg(y)))))

	k, x, dy = grad("siluGrad", "is dx = dy·s·(1 + x·(1−s)), s = sigmoid(x).")
	s := k.sigmoid(x)
	k.store("dx", k.mul(dy, k.mul(s, k.mad(x, k.sub(k.c(1), s), k.c(1)))))
}
