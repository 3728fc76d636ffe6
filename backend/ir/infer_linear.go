package ir

// Letters as in op.go.

func inferMatMul(c *check, a *Attrs) []Value {
	x, y := c.take("a", Float, 2), c.take("b", Float, 2)
	m, k := x[0], x[1]
	if a.TransA {
		m, k = k, m
	}
	k2, n := y[0], y[1]
	if a.TransB {
		k2, n = n, k2
	}
	c.want(k == k2, "inner dims %d and %d differ (a %s%s, b %s%s)",
		k, k2, ShapeText(x), transposed(a.TransA), ShapeText(y), transposed(a.TransB))
	c.epilogue(a, []int{m, n})
	return floats([]int{m, n})
}

func transposed(t bool) string {
	if t {
		return " transposed"
	}
	return ""
}

// epilogue takes the bias and the activation gradient's reference.
func (c *check) epilogue(a *Attrs, y []int) {
	c.act(a)
	if a.Bias {
		c.shaped("bias", Float, last(y))
	}
	if a.GradAct {
		c.want(a.Act != NoAct, "grad_act is set, but act is none")
		c.shaped("ref", Float, y...)
	}
}

func inferConv2D(c *check, a *Attrs) []Value {
	x, w := c.take("x", Float, 4), c.take("w", Float, 4)
	y := c.conv(a, x, w)
	c.epilogue(a, y)
	return floats(y)
}

func inferConv2DDX(c *check, a *Attrs) []Value {
	w, dy := c.take("w", Float, 4), c.take("dy", Float, 4)
	x := c.dims(a, 4)
	c.dyShape(c.conv(a, x, w), dy)
	c.epilogue(a, x)
	c.want(a.GradAct || a.Act == NoAct, "act is %v, but grad_act is not set", a.Act)
	return floats(x)
}

func inferConv2DDW(c *check, a *Attrs) []Value {
	x, dy := c.take("x", Float, 4), c.take("dy", Float, 4)
	groups := max(a.Groups, 1)
	w := []int{a.Win.KH, a.Win.KW, x[3] / groups, dy[3]}
	c.dyShape(c.conv(a, x, w), dy)
	return floats(w)
}

// conv returns the shape of the convolution of x with w.
func (c *check) conv(a *Attrs, x, w []int) []int {
	oh, ow := c.window(a.Win, x)
	g := a.Groups
	c.want(g >= 1, "groups is %d, want >= 1", g)
	g = max(g, 1)
	c.want(x[3]%g == 0, "%d input channels do not divide into %d groups (x %s)", x[3], g, ShapeText(x))
	c.want(w[3]%g == 0, "%d output channels do not divide into %d groups (w %s)", w[3], g, ShapeText(w))
	c.want(w[0] == a.Win.KH && w[1] == a.Win.KW, "w has shape %s, want a window of %dx%d",
		ShapeText(w), a.Win.KH, a.Win.KW)
	c.want(w[2] == x[3]/g, "w takes %d channels per group, x has %d (w %s, x %s, groups %d)",
		w[2], x[3]/g, ShapeText(w), ShapeText(x), g)
	return []int{x[0], oh, ow, w[3]}
}

func (c *check) dyShape(want, dy []int) {
	for i := range want {
		c.want(want[i] == dy[i], "dy has shape %s, want %s", ShapeText(dy), ShapeText(want))
	}
}

// dims returns the attribute Dims, which must have that rank.
func (c *check) dims(a *Attrs, rank int) []int {
	for i, d := range a.Dims {
		c.want((d >= 1 || d < 0 && i == 0) == (i < rank), "dims are %v, want %d of them, >= 1", a.Dims, rank)
	}
	if c.err == nil {
		if err := checkShape(a.Dims[:rank]); err != nil {
			c.want(false, "dims: %v", err)
		}
	}
	if c.err != nil {
		return []int{1, 1, 1, 1}[:rank]
	}
	return append([]int(nil), a.Dims[:rank]...)
}

// window checks a window over x[B,H,W,C] and returns the output's height and
// width.
func (c *check) window(w Window, x []int) (oh, ow int) {
	h := c.span("height", x[1], w.KH, w.SH, w.DH, w.PT, w.PB)
	v := c.span("width", x[2], w.KW, w.SW, w.DW, w.PL, w.PR)
	if !h || !v {
		return 1, 1
	}
	return w.Out(x[1], x[2])
}

// span checks a window along one axis of the given size. Padding must be smaller
// than the window, so that kernels never meet a window that is all padding
// before or behind the image.
func (c *check) span(axis string, size, kernel, stride, dilation, before, after int) bool {
	inRange := func(v, low int) bool { return v >= low && v <= maxWindow }
	c.want(inRange(kernel, 1), "window: kernel %s is %d, want 1 to %d", axis, kernel, maxWindow)
	c.want(inRange(stride, 1), "window: stride along %s is %d, want 1 to %d",
		axis, stride, maxWindow)
	c.want(inRange(dilation, 1), "window: dilation along %s is %d, want 1 to %d",
		axis, dilation, maxWindow)
	c.want(inRange(before, 0) && inRange(after, 0),
		"window: padding along %s is %d and %d, want 0 to %d", axis, before, after, maxWindow)
	c.want(size <= maxImage, "%s is %d, want at most %d", axis, size, maxImage)
	if c.err != nil {
		return false
	}
	reach := (kernel-1)*dilation + 1
	c.want(before < reach && after < reach,
		"window: padding along %s is %d and %d, want less than its size %d", axis, before, after, reach)
	c.want(size+before+after >= reach, "window: %s %d is larger than the padded input's %d",
		axis, reach, size+before+after)
	return c.err == nil
}
