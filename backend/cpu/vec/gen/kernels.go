package main

import "math"

func f(names ...string) (s []slice) {
	for _, n := range names {
		s = append(s, slice{n, "float32"})
	}
	return s
}

// kernels describes every kernel; the formulas are those of the Go loops in
// package vec, operation by operation, so that both give the same bits.
func kernels(a *assembly) {
	arithmetic(a)
	rows(a)
	normalisation(a)
	activations(a)
	gradients(a)
	dropout(a)
	pooling(a)
	optimisers(a)
}

func arithmetic(a *assembly) {
	k := a.kernel("add", "addAVX2 is dst = a + b.", f("dst", "a", "b")...)
	k.store("dst", k.addf(k.load("a"), k.load("b")))

	k = a.kernel("scale", "scaleAVX2 is dst = s·x.", f("dst", "x")...)
	k.store("dst", k.mul(k.load("x"), k.param("s")))

	k = a.kernel("axpy", "axpyAVX2 is y += s·x.", f("y", "x")...)
	k.store("y", k.addf(k.load("y"), k.mul(k.load("x"), k.param("s"))))

	k = a.kernel("blend", "blendAVX2 is y = a·y + b·x.", f("y", "x")...)
	pa, pb := k.param("a"), k.param("b")
	k.store("y", k.addf(k.mul(k.load("y"), pa), k.mul(k.load("x"), pb)))

	k = a.kernel("expShift", "expShiftAVX2 is dst = exp(x − shift).", f("dst", "x")...)
	k.store("dst", k.exp(k.sub(k.load("x"), k.param("shift"))))

	k = a.kernel("scaledDiff", "scaledDiffAVX2 is dst = (total·a − b)·s.", f("dst", "a", "b")...)
	total, s := k.param("total"), k.param("s")
	k.store("dst", k.mul(k.sub(k.mul(k.load("a"), total), k.load("b")), s))
}

func rows(a *assembly) {
	k := a.kernel("mul", "mulAVX2 is dst = a·b.", f("dst", "a", "b")...)
	k.store("dst", k.mul(k.load("a"), k.load("b")))

	k = a.kernel("squares", "squaresAVX2 is dst = (x − mean)².", f("dst", "x")...)
	d := k.sub(k.load("x"), k.param("mean"))
	k.store("dst", k.mul(d, d))

	k = a.kernel("mulNormal", "mulNormalAVX2 is dst = a·(x − mean)·rstd.", f("dst", "a", "x")...)
	mean, rstd := k.param("mean"), k.param("rstd")
	d = k.mul(k.sub(k.load("x"), mean), rstd)
	k.store("dst", k.mul(k.load("a"), d))

	k = a.kernel("addMulNormal", "addMulNormalAVX2 is dst += a·(x − mean)·rstd.", f("dst", "a", "x")...)
	mean, rstd = k.param("mean"), k.param("rstd")
	d = k.mul(k.sub(k.load("x"), mean), rstd)
	k.store("dst", k.addf(k.load("dst"), k.mul(k.load("a"), d)))

	k = a.kernel("normaliseRow", "normaliseRowAVX2 is y = (x − mean)·rstd·scale + shift.",
		f("y", "x", "scale", "shift")...)
	mean, rstd = k.param("mean"), k.param("rstd")
	d = k.mul(k.sub(k.load("x"), mean), rstd)
	k.store("y", k.mad(d, k.load("scale"), k.load("shift")))

	k = a.kernel("normaliseRowGrad",
		"normaliseRowGradAVX2 is dx = rstd·(scale·dy − a − b·(x − mean)·rstd).",
		f("dx", "dy", "x", "scale")...)
	mean, rstd = k.param("mean"), k.param("rstd")
	pa, pb := k.param("a"), k.param("b")
	d = k.mul(k.mul(k.sub(k.load("x"), mean), rstd), pb)
	g := k.mul(k.load("dy"), k.load("scale"))
	k.store("dx", k.mul(k.sub(k.sub(g, pa), d), rstd))

	k = a.kernel("softmaxGrad", "softmaxGradAVX2 is dx = y·(dy − dot).", f("dx", "y", "dy")...)
	d = k.sub(k.load("dy"), k.param("dot"))
	k.store("dx", k.mul(k.load("y"), d))
}

func normalisation(a *assembly) {
	k := a.kernel("addSquares", "addSquaresAVX2 is sum += (x − mean)².", f("sum", "x", "mean")...)
	d := k.sub(k.load("x"), k.load("mean"))
	k.store("sum", k.addf(k.load("sum"), k.mul(d, d)))

	k = a.kernel("addProducts", "addProductsAVX2 is sum += dy·(x − mean).", f("sum", "dy", "x", "mean")...)
	d = k.mul(k.load("dy"), k.sub(k.load("x"), k.load("mean")))
	k.store("sum", k.addf(k.load("sum"), d))

	k = a.kernel("normalise", "normaliseAVX2 is y = (x − mean)·scale + shift.",
		f("y", "x", "mean", "scale", "shift")...)
	d = k.mul(k.sub(k.load("x"), k.load("mean")), k.load("scale"))
	k.store("y", k.addf(d, k.load("shift")))

	k = a.kernel("normaliseGrad", "normaliseGradAVX2 is dx = scale·(dy − a − b·(x − mean)).",
		f("dx", "dy", "x", "mean", "scale", "a", "b")...)
	d = k.mul(k.sub(k.load("x"), k.load("mean")), k.load("b"))
	d = k.sub(k.sub(k.load("dy"), k.load("a")), d)
	k.store("dx", k.mul(d, k.load("scale")))
}

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
	k := act("relu", "reluAVX2 is y = max(0, x).")
	k.store("y", k.max(k.c(0), k.load("x")))

	k = act("leaky", "leakyAVX2 is y = x for x ≥ 0, else alpha·x.")
	alpha, x := k.param("alpha"), k.load("x")
	k.store("y", k.choose(k.ge(x, k.c(0)), x, k.mul(x, alpha)))

	k = act("elu", "eluAVX2 is y = x for x ≥ 0, else alpha·(eˣ−1).")
	alpha, x = k.param("alpha"), k.load("x")
	low := k.mul(k.expm1(k.min(k.c(0), x)), alpha)
	k.store("y", k.choose(k.ge(x, k.c(0)), x, low))

	k = act("gelu", "geluAVX2 is y = x·Φ(x).")
	x = k.load("x")
	_, q := k.tail(x)
	k.store("y", k.mul(x, k.phi(x, q)))

	k = act("sigmoid", "sigmoidAVX2 is y = 1/(1+e⁻ˣ).")
	k.store("y", k.sigmoid(k.load("x")))

	k = act("tanh", "tanhAVX2 is y = tanh x.")
	k.store("y", k.tanh(k.load("x")))

	k = act("softplus", "softplusAVX2 is y = log(1+eˣ).")
	x = k.load("x")
	k.store("y", k.addf(k.max(k.c(0), x), k.logTail(x)))

	k = a.kernel("logTail", "logTailAVX2 is y = log(1+e^−|x|).", f("y", "x")...)
	k.store("y", k.logTail(k.load("x")))

	k = act("silu", "siluAVX2 is y = x·sigmoid(x).")
	x = k.load("x")
	k.store("y", k.mul(x, k.sigmoid(x)))
}

func gradients(a *assembly) {
	grad := func(name, doc string) (*kernel, val, val) {
		k := a.kernel(name, doc, f("dx", "ref", "dy")...)
		return k, k.load("ref"), k.load("dy")
	}
	k, y, dy := grad("reluGrad", "reluGradAVX2 is dx = 0 where y ≤ 0, else dy.")
	k.store("dx", k.and(k.nle(y, k.c(0)), dy))

	k = a.kernel("leakyGrad", "leakyGradAVX2 is dx = alpha·dy where y ≤ 0, else dy.", f("dx", "ref", "dy")...)
	alpha := k.param("alpha")
	y, dy = k.load("ref"), k.load("dy")
	k.store("dx", k.choose(k.nle(y, k.c(0)), dy, k.mul(dy, alpha)))

	k = a.kernel("eluGrad", "eluGradAVX2 is dx = (y+alpha)·dy where y ≤ 0, else dy.", f("dx", "ref", "dy")...)
	alpha = k.param("alpha")
	y, dy = k.load("ref"), k.load("dy")
	k.store("dx", k.choose(k.nle(y, k.c(0)), dy, k.mul(dy, k.addf(y, alpha))))

	k, x, dy := grad("geluGrad", "geluGradAVX2 is dx = dy·(Φ(x) + x·φ(x)).")
	e, q := k.tail(x)
	k.store("dx", k.mul(dy, k.addf(k.phi(x, q), k.mul(k.mul(x, e), k.c(0.3989422804014327)))))

	k, y, dy = grad("sigmoidGrad", "sigmoidGradAVX2 is dx = dy·y·(1−y).")
	k.store("dx", k.mul(dy, k.mul(y, k.sub(k.c(1), y))))

	k, y, dy = grad("tanhGrad", "tanhGradAVX2 is dx = dy·(1−y)·(1+y).")
	k.store("dx", k.mul(dy, k.mul(k.sub(k.c(1), y), k.addf(y, k.c(1)))))

	k, y, dy = grad("softplusGrad", "softplusGradAVX2 is dx = dy·(1−e⁻ʸ).")
	k.store("dx", k.mul(dy, k.neg(k.expm1(k.neg(y)))))

	k, x, dy = grad("siluGrad", "siluGradAVX2 is dx = dy·s·(1 + x·(1−s)), s = sigmoid(x).")
	s := k.sigmoid(x)
	k.store("dx", k.mul(dy, k.mul(s, k.mad(x, k.sub(k.c(1), s), k.c(1)))))
}

func dropout(a *assembly) {
	k := a.kernel("dropout", "dropoutAVX2 is y = s·x where the hash of the index keeps it, else 0.",
		f("y", "x")...)
	s := k.param("s")
	key0, key1 := k.iparam("key0", "uint32"), k.iparam("key1", "uint32")
	threshold := k.iparam("threshold", "uint32")
	i := k.index("base", "uint32")
	h := k.mix(k.iadd(k.mix(k.xor(i, key0)), key1))
	keep := k.ieq(k.umax(h, threshold), h)
	k.store("y", k.and(keep, k.mul(k.load("x"), s)))
}

// mix is the hash of ir.Keep.
func (k *kernel) mix(x val) val {
	x = k.imul(k.xor(x, k.shr(x, 16)), k.bits(0x21f0aaad))
	x = k.imul(k.xor(x, k.shr(x, 15)), k.bits(0x735a2d97))
	return k.xor(x, k.shr(x, 15))
}

func pooling(a *assembly) {
	k := a.kernel("maxPool4", "maxPool4AVX2 is y = the first maximum, or NaN, of four and arg its index.",
		append(f("y", "x0", "x1", "x2", "x3"), slice{"arg", "int32"})...)
	o1, o2, o3 := k.iparam("o1", "int32"), k.iparam("o2", "int32"), k.iparam("o3", "int32")
	i := k.index("base", "int32")
	best, arg := k.load("x0"), i
	for n, o := range []val{o1, o2, o3} {
		x := k.load([]string{"x1", "x2", "x3"}[n])
		take := k.or(k.gt(x, best), k.nan(x))
		best = k.choose(take, x, best)
		arg = k.choose(take, k.iadd(i, o), arg)
	}
	k.store("y", best)
	k.store("arg", arg)

	k = a.kernel("maxInto", "maxIntoAVX2 puts x and its index where x is above y, or NaN.",
		append(f("y", "x"), slice{"arg", "int32"})...)
	i = k.index("base", "int32")
	y, x := k.load("y"), k.load("x")
	take := k.or(k.gt(x, y), k.nan(x))
	k.store("y", k.choose(take, x, y))
	k.store("arg", k.choose(take, i, k.load("arg")))

	k = a.kernel("maxPool4Grad", "maxPool4GradAVX2 puts dy where arg points to and 0 into the other three.",
		append(f("dx0", "dx1", "dx2", "dx3", "dy"), slice{"arg", "int32"})...)
	o1, o2, o3 = k.iparam("o1", "int32"), k.iparam("o2", "int32"), k.iparam("o3", "int32")
	i = k.index("base", "int32")
	dy, arg := k.load("dy"), k.load("arg")
	k.store("dx0", k.and(k.ieq(arg, i), dy))
	k.store("dx1", k.and(k.ieq(arg, k.iadd(i, o1)), dy))
	k.store("dx2", k.and(k.ieq(arg, k.iadd(i, o2)), dy))
	k.store("dx3", k.and(k.ieq(arg, k.iadd(i, o3)), dy))
}

// gradient is clamp(scale·g, ±clip), a NaN staying one.
func (k *kernel) gradient() val {
	clip := k.param("clip")
	g := k.mul(k.load("grad"), k.param("scale"))
	return k.max(k.neg(clip), k.min(clip, g))
}

func optimisers(a *assembly) {
	k := a.kernel("sgd", "sgdAVX2 is p = decay·p − rate·g.", f("p", "grad")...)
	g := k.gradient()
	decay, rate := k.param("decay"), k.param("rate")
	k.store("p", k.sub(k.mul(k.load("p"), decay), k.mul(g, rate)))

	k = a.kernel("momentum", "momentumAVX2 is m = momentum·m − rate·g, p = decay·p + m.", f("p", "m", "grad")...)
	g = k.gradient()
	decay, rate, mom := k.param("decay"), k.param("rate"), k.param("momentum")
	m := k.sub(k.mul(k.load("m"), mom), k.mul(g, rate))
	k.store("m", m)
	k.store("p", k.addf(k.mul(k.load("p"), decay), m))

	k = a.kernel("nesterov", "nesterovAVX2 is momentumAVX2 with p = decay·p + momentum·m − rate·g.",
		f("p", "m", "grad")...)
	g = k.gradient()
	decay, rate, mom = k.param("decay"), k.param("rate"), k.param("momentum")
	step := k.mul(g, rate)
	m = k.sub(k.mul(k.load("m"), mom), step)
	k.store("m", m)
	k.store("p", k.addf(k.mul(k.load("p"), decay), k.sub(k.mul(m, mom), step)))

	k = a.kernel("adam", "adamAVX2 is the step of Adam.", f("p", "m", "v", "grad")...)
	k.store("p", k.sub(k.decayed(), k.adam(func(v val) val { return v })))

	k = a.kernel("amsgrad", "amsgradAVX2 is the step of Adam with the largest v.",
		f("p", "m", "v", "largest", "grad")...)
	k.store("p", k.sub(k.decayed(), k.adam(func(v val) val {
		v = k.max(k.load("largest"), v)
		k.store("largest", v)
		return v
	})))

	k = a.kernel("rmsProp", "rmsPropAVX2 is the step of RMSProp, neither centred nor with momentum.",
		f("p", "v", "grad")...)
	g = k.gradient()
	decayed := k.decayed()
	rate = k.param("rate")
	beta, take, eps := k.param("beta"), k.param("take"), k.param("eps")
	v := k.addf(k.mul(k.load("v"), beta), k.mul(k.mul(g, g), take))
	k.store("v", v)
	k.store("p", k.sub(decayed, k.div(k.mul(g, rate), k.sqrt(k.addf(v, eps)))))

	k = a.kernel("adagrad", "adagradAVX2 is the step of Adagrad.", f("p", "a", "grad")...)
	g = k.gradient()
	decayed = k.decayed()
	rate, eps = k.param("rate"), k.param("eps")
	v = k.addf(k.load("a"), k.mul(g, g))
	k.store("a", v)
	k.store("p", k.sub(decayed, k.div(k.mul(g, rate), k.sqrt(k.addf(v, eps)))))
}

// decayed is decay·p.
func (k *kernel) decayed() val { return k.mul(k.load("p"), k.param("decay")) }

// adam updates m and v and returns the step of p; second chooses what takes the
// place of v in it.
func (k *kernel) adam(second func(v val) val) val {
	g := k.gradient()
	rate := k.param("rate")
	c1, c2, eps := k.param("c1"), k.param("c2"), k.param("eps")
	m := k.load("m")
	m = k.addf(m, k.mul(k.sub(g, m), c1))
	k.store("m", m)
	v := k.load("v")
	v = k.addf(v, k.mul(k.sub(k.mul(g, g), v), c2))
	k.store("v", v)
	return k.div(k.mul(m, rate), k.addf(k.sqrt(second(v)), eps))
}
