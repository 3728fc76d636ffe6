package ir

import "slices"

func inferMap(c *check, a *Attrs) []Value {
	c.want(len(c.in) >= 1 && len(c.in) <= MaxInputs, "got %d inputs, want 1 to %d", len(c.in), MaxInputs)
	f, err := a.Expr.Parse()
	if err != nil {
		c.want(false, "%v", err)
		return floats([]int{1})
	}
	c.want(f.Expr() == a.Expr, "expression is %s, want it as %s", a.Expr, f.Expr())
	for i, used := range f.Inputs() {
		c.want(!used || i < len(c.in), "expression %s uses x%d, but there are %d inputs", a.Expr, i, len(c.in))
	}
	y := []int{1}
	for i := 0; c.more(); i++ {
		x := c.take("input", Float, anyRank)
		if c.err == nil {
			both, ok := Broadcast(y, x)
			c.want(ok, "input %d has shape %s, which does not go with %s of those before it", i, ShapeText(x), ShapeText(y))
			y = both
		}
	}
	return floats(y)
}

// Broadcast returns the shape of what two tensors make element by element, as in
// NumPy; false: they do not go together.
func Broadcast(a, b []int) ([]int, bool) {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, d := range b {
		at := &out[len(a)-len(b)+i]
		switch {
		case *at == 1:
			*at = d
		case d != 1 && d != *at:
			return out, false
		}
	}
	return out, true
}

func inferReduce(c *check, a *Attrs) []Value {
	x := c.take("x", Float, anyRank)
	c.want(a.Reduction > NoReduction && a.Reduction < numReductions, "reduction %d is none", a.Reduction)
	c.want(a.Axes != 0 && a.Axes>>len(x) == 0, "axes are %b, as bits, want some of the %d of %s", a.Axes, len(x), ShapeText(x))
	y := slices.Clone(x)
	for i := range y {
		if a.Axes.Has(i) {
			y[i] = 1
		}
	}
	return floats(y)
}

func inferPermute(c *check, a *Attrs) []Value {
	x := c.take("x", Float, anyRank)
	axes := []byte(a.Perm)
	slices.Sort(axes)
	ok := len(axes) == len(x)
	for i, d := range axes {
		ok = ok && d == '0'+byte(i)
	}
	c.want(ok, "perm is %.20q, want the axes of %s in some order", a.Perm, ShapeText(x))
	if c.err != nil {
		return floats([]int{1})
	}
	y := make([]int, len(x))
	for i := range y {
		y[i] = x[a.Perm.Axis(i)]
	}
	return floats(y)
}

func inferBatchMatMul(c *check, a *Attrs) []Value {
	x, y := c.take("a", Float, anyRank), c.take("b", Float, anyRank)
	c.want(len(x) >= 3 && len(y) == len(x), "a has shape %s and b %s, want the same rank, at least 3", ShapeText(x), ShapeText(y))
	if c.err != nil {
		return floats([]int{1})
	}
	lead := len(x) - 2
	c.want(slices.Equal(x[:lead], y[:lead]), "leading dims of a %s and b %s differ", ShapeText(x), ShapeText(y))
	m, k := x[lead], x[lead+1]
	if a.TransA {
		m, k = k, m
	}
	k2, n := y[lead], y[lead+1]
	if a.TransB {
		k2, n = n, k2
	}
	c.want(k == k2, "inner dims %d and %d differ (a %s%s, b %s%s)",
		k, k2, ShapeText(x), transposed(a.TransA), ShapeText(y), transposed(a.TransB))
	return floats(append(slices.Clone(x[:lead]), m, n))
}
