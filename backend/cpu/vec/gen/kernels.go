package main

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
	halves(a)
	bytes(a)
	functions(a)
}

func arithmetic(a *assembly) {
	k := a.kernel("add", "is dst = a + b.", f("dst", "a", "b")...)
	k.store("dst", k.addf(k.load("a"), k.load("b")))

	k = a.kernel("scale", "is dst = s·x.", f("dst", "x")...)
	k.store("dst", k.mul(k.load("x"), k.param("s")))

	k = a.kernel("axpy", "is y += s·x.", f("y", "x")...)
	k.store("y", k.addf(k.load("y"), k.mul(k.load("x"), k.param("s"))))

	k = a.kernel("blend", "is y = a·y + b·x.", f("y", "x")...)
	pa, pb := k.param("a"), k.param("b")
	k.store("y", k.addf(k.mul(k.load("y"), pa), k.mul(k.load("x"), pb)))

	k = a.kernel("expShift", "is dst = exp(x − shift).", f("dst", "x")...)
	k.store("dst", k.exp(k.sub(k.load("x"), k.param("shift"))))

	k = a.kernel("scaledDiff", "is dst = (total·a − b)·s.", f("dst", "a", "b")...)
	total, s := k.param("total"), k.param("s")
	k.store("dst", k.mul(k.sub(k.mul(k.load("a"), total), k.load("b")), s))
}

func rows(a *assembly) {
	k := a.kernel("mul", "is dst = a·b.", f("dst", "a", "b")...)
	k.store("dst", k.mul(k.load("a"), k.load("b")))

	k = a.kernel("addMulNormal", "is dst += a·((x − mean)·rstd − rest).", f("dst", "a", "x")...)
	xhat := k.rowNormal()
	k.store("dst", k.addf(k.load("dst"), k.mul(k.load("a"), xhat)))

	k = a.kernel("normaliseRow", "is y = ((x − mean)·rstd − rest)·scale + shift.",
		f("y", "x", "scale", "shift")...)
	k.store("y", k.mad(k.rowNormal(), k.load("scale"), k.load("shift")))

	k = a.kernel("normaliseRowGrad",
		"is dx = rstd·(scale·dy − a − b·((x − mean)·rstd − rest)).",
		f("dx", "dy", "x", "scale")...)
	mean, rstd, rest := k.param("mean"), k.param("rstd"), k.param("rest")
	pa, pb := k.param("a"), k.param("b")
	d := k.mul(k.sub(k.mul(k.sub(k.load("x"), mean), rstd), rest), pb)
	g := k.mul(k.load("dy"), k.load("scale"))
	k.store("dx", k.mul(k.sub(k.sub(g, pa), d), rstd))

	k = a.kernel("softmaxGrad", "is dx = y·(dy − dot).", f("dx", "y", "dy")...)
	d = k.sub(k.load("dy"), k.param("dot"))
	k.store("dx", k.mul(k.load("y"), d))
}

// rowNormal is (x − mean)·rstd − rest.
func (k *kernel) rowNormal() val {
	mean, rstd, rest := k.param("mean"), k.param("rstd"), k.param("rest")
	return k.sub(k.mul(k.sub(k.load("x"), mean), rstd), rest)
}

func normalisation(a *assembly) {
	k := a.kernel("addMoments", "is sum += d, squares += d², d = x − center.",
		f("sum", "squares", "x", "center")...)
	d := k.sub(k.load("x"), k.load("center"))
	k.store("sum", k.addf(k.load("sum"), d))
	k.store("squares", k.addf(k.load("squares"), k.mul(d, d)))

	k = a.kernel("addDots", "is sum += dy, dot += dy·(x − center).",
		f("sum", "dot", "dy", "x", "center")...)
	dy := k.load("dy")
	d = k.mul(dy, k.sub(k.load("x"), k.load("center")))
	k.store("sum", k.addf(k.load("sum"), dy))
	k.store("dot", k.addf(k.load("dot"), d))

	k = a.kernel("normalise", "is y = (x − mean)·scale + shift.",
		f("y", "x", "mean", "scale", "shift")...)
	d = k.mul(k.sub(k.load("x"), k.load("mean")), k.load("scale"))
	k.store("y", k.addf(d, k.load("shift")))

	k = a.kernel("normaliseGrad", "is dx = scale·(dy − a − b·(x − mean)).",
		f("dx", "dy", "x", "mean", "scale", "a", "b")...)
	d = k.mul(k.sub(k.load("x"), k.load("mean")), k.load("b"))
	d = k.sub(k.sub(k.load("dy"), k.load("a")), d)
	k.store("dx", k.mul(d, k.load("scale")))
}

func dropout(a *assembly) {
	k := a.kernel("dropout", "is y = s·x where the hash of the index keeps it, else 0.",
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
	k := a.kernel("maxPool4", "is y = the first maximum, or NaN, of four and arg its index.",
		append(f("y", "x0", "x1", "x2", "x3"), slice{"arg", "int32"})...)
	k.moves = []int{1, 2, 2, 2, 2, 1}
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

	k = a.kernel("maxInto", "puts x and its index where x is above y, or NaN.",
		append(f("y", "x"), slice{"arg", "int32"})...)
	i = k.index("base", "int32")
	y, x := k.load("y"), k.load("x")
	take := k.or(k.gt(x, y), k.nan(x))
	k.store("y", k.choose(take, x, y))
	k.store("arg", k.choose(take, i, k.load("arg")))

	k = a.kernel("maxPool4Grad", "puts dy where arg points to and 0 into the other three.",
		append(f("dx0", "dx1", "dx2", "dx3", "dy"), slice{"arg", "int32"})...)
	k.moves = []int{2, 2, 2, 2, 1, 1}
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
	k := a.kernel("sgd", "is p = decay·p − rate·g.", f("p", "grad")...)
	g := k.gradient()
	decay, rate := k.param("decay"), k.param("rate")
	k.store("p", k.sub(k.mul(k.load("p"), decay), k.mul(g, rate)))

	k = a.kernel("momentum", "is m = momentum·m − rate·g, p = decay·p + m.", f("p", "m", "grad")...)
	g = k.gradient()
	decay, rate, mom := k.param("decay"), k.param("rate"), k.param("momentum")
	m := k.sub(k.mul(k.load("m"), mom), k.mul(g, rate))
	k.store("m", m)
	k.store("p", k.addf(k.mul(k.load("p"), decay), m))

	k = a.kernel("nesterov", "is momentum with p = decay·p + momentum·m − rate·g.",
		f("p", "m", "grad")...)
	g = k.gradient()
	decay, rate, mom = k.param("decay"), k.param("rate"), k.param("momentum")
	step := k.mul(g, rate)
	m = k.sub(k.mul(k.load("m"), mom), step)
	k.store("m", m)
	k.store("p", k.addf(k.mul(k.load("p"), decay), k.sub(k.mul(m, mom), step)))

	k = a.kernel("adam", "is the step of Adam.", f("p", "m", "v", "grad")...)
	k.store("p", k.sub(k.decayed(), k.adam(func(v val) val { return v })))

	k = a.kernel("amsgrad", "is the step of Adam with the largest v.",
		f("p", "m", "v", "largest", "grad")...)
	k.store("p", k.sub(k.decayed(), k.adam(func(v val) val {
		v = k.max(k.load("largest"), v)
		k.store("largest", v)
		return v
	})))

	k = a.kernel("rmsProp", "is the step of RMSProp, neither centred nor with momentum.",
		f("p", "v", "grad")...)
	g = k.gradient()
	decayed := k.decayed()
	rate = k.param("rate")
	beta, take, eps := k.param("beta"), k.param("take"), k.param("eps")
	v := k.addf(k.mul(k.load("v"), beta), k.mul(k.mul(g, g), take))
	k.store("v", v)
	k.store("p", k.sub(decayed, k.div(k.mul(g, rate), k.sqrt(k.addf(v, eps)))))

	k = a.kernel("adagrad", "is the step of Adagrad.", f("p", "a", "grad")...)
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

// halves are conversions to and from bfloat16.
func halves(a *assembly) {
	half := func(name string) slice { return slice{name, "uint16"} }
	k := a.kernel("toBF16", "rounds x to bfloat16.", half("dst"), f("x")[0])
	x := k.load("x")
	rounded := k.iadd(k.iadd(x, k.bits(0x7fff)), k.and(k.shr(x, 16), k.bits(1)))
	k.store16("dst", k.choose(k.nan(x), k.or(x, k.bits(0x400000)), rounded))

	k = a.kernel("fromBF16", "is dst = x.", f("dst")[0], half("x"))
	k.store("dst", k.load16("x"))

	k = a.kernel("addBF16", "is sum += x.", f("sum")[0], half("x"))
	k.store("sum", k.addf(k.load("sum"), k.load16("x")))
}

// bytes are conversions from bytes.
func bytes(a *assembly) {
	k := a.kernel("fromBytes", "is dst = scale·x + shift.", f("dst")[0], slice{"x", "uint8"})
	scale, shift := k.param("scale"), k.param("shift")
	k.store("dst", k.mad(k.load8("x"), scale, shift))

	each := f("dst", "scale", "shift", "center")
	k = a.kernel("fromBytesEach", "is dst = scale·x + shift.",
		each[0], slice{"x", "uint8"}, each[1], each[2])
	k.store("dst", k.mad(k.load8("x"), k.load("scale"), k.load("shift")))

	k = a.kernel("fromBytesCentered", "is dst = scale·(x − center) + shift.",
		each[0], slice{"x", "uint8"}, each[1], each[2], each[3])
	k.store("dst", k.mad(k.sub(k.load8("x"), k.load("center")), k.load("scale"), k.load("shift")))
}
