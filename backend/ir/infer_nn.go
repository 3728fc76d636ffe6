package ir

import "slices"

func inferUnary(c *check, a *Attrs) []Value {
	x := c.take("x", Float, anyRank)
	c.act(a)
	return floats(x)
}

func inferLogit(c *check, a *Attrs) []Value {
	p := c.take("p", Float, anyRank)
	c.want(a.Alpha == 0 || a.Alpha == 1, "alpha is %v, want 0 or 1", a.Alpha)
	return floats(p)
}

func inferBiasAdd(c *check, _ *Attrs) []Value {
	x := c.take("x", Float, anyRank)
	c.shaped("b", Float, last(x))
	return floats(x)
}

func inferBiasGrad(c *check, _ *Attrs) []Value {
	dy := c.take("dy", Float, anyRank)
	return floats([]int{last(dy)})
}

func inferActGrad(c *check, a *Attrs) []Value {
	x := c.take("ref", Float, anyRank)
	c.shaped("dy", Float, x...)
	c.act(a)
	return floats(x)
}

func inferSoftmaxGrad(c *check, _ *Attrs) []Value {
	y := c.take("y", Float, anyRank)
	c.shaped("dy", Float, y...)
	return floats(y)
}

func inferDropout(c *check, a *Attrs) []Value {
	x := c.take("x", Float, anyRank)
	c.shaped("tick", Int, 1)
	c.float("rate", a.Rate, 0, 1, false)
	return floats(x)
}

func inferAdd(c *check, a *Attrs) []Value {
	x := c.take("a", Float, anyRank)
	c.shaped("b", Float, x...)
	c.act(a)
	return floats(x)
}

func inferConcat(c *check, a *Attrs) []Value {
	first := c.take("x1", Float, anyRank)
	y := slices.Clone(first)
	c.axis(a.Axis, y)
	for c.more() {
		x := c.take("x", Float, len(y))
		if c.err != nil {
			break
		}
		for i := range x {
			c.want(i == a.Axis || x[i] == y[i], "shapes %s and %s differ outside axis %d",
				ShapeText(first), ShapeText(x), a.Axis)
		}
		c.join(&y[a.Axis], x[a.Axis], a.Axis)
	}
	return floats(y)
}

// join adds dim d of an axis to sum. A sum of rows and others is no multiple of B.
func (c *check) join(sum *int, d, axis int) {
	c.want((d < 0) == (*sum < 0), "cannot join %s and %s elements along axis %d", dimText(*sum), dimText(d), axis)
	most := MaxSize - max(*sum, -*sum)
	c.want(max(d, -d) <= most, "more than %d elements along axis %d", MaxSize, axis)
	*sum += min(max(d, -most), most)
}

func inferSlice(c *check, a *Attrs) []Value {
	x := c.take("x", Float, anyRank)
	y := slices.Clone(x)
	c.axis(a.Axis, x)
	if c.err == nil {
		dim := x[a.Axis]
		c.want(a.Start >= 0 && a.Count >= 1 && a.Start < dim && a.Count <= dim-a.Start,
			"got %d elements from %d along axis %d of %s", a.Count, a.Start, a.Axis, ShapeText(x))
		y[a.Axis] = a.Count
	}
	return floats(y)
}

// axis checks an axis of x.
func (c *check) axis(axis int, x []int) {
	c.want(axis >= 0 && axis < len(x), "axis is %d, want 0 to %d", axis, len(x)-1)
}

func inferMaxPool(c *check, a *Attrs) []Value {
	x := c.take("x", Float, 4)
	y := c.pool(a, x)
	return []Value{newValue(Float, y...), newValue(Int, y...)}
}

func inferMaxPoolGrad(c *check, a *Attrs) []Value {
	arg := c.take("arg", Int, 4)
	c.shaped("dy", Float, arg...)
	x := c.dims(a, 4)
	c.want(x[0] == arg[0] && x[3] == arg[3], "dims %s and arg %s differ in batch or channels",
		ShapeText(x), ShapeText(arg))
	return floats(x)
}

func inferAvgPool(c *check, a *Attrs) []Value {
	return floats(c.pool(a, c.take("x", Float, 4)))
}

func inferAvgPoolGrad(c *check, a *Attrs) []Value {
	dy := c.take("dy", Float, 4)
	x := c.dims(a, 4)
	c.dyShape(c.pool(a, x), dy)
	return floats(x)
}

// pool returns the shape of pooling over x. Without dilation, and with padding
// smaller than the window, every window has a position inside x.
func (c *check) pool(a *Attrs, x []int) []int {
	c.want(a.Win.DH == 1 && a.Win.DW == 1, "window: dilation is %dx%d, want 1x1", a.Win.DH, a.Win.DW)
	oh, ow := c.window(a.Win, x)
	return []int{x[0], oh, ow, x[3]}
}

// channels takes inputs of one element per channel.
func (c *check) channels(x []int, names ...string) {
	for _, name := range names {
		c.shaped(name, Float, last(x))
	}
}

func inferBatchNorm(c *check, a *Attrs) []Value {
	x := c.take("x", Float, anyRank)
	c.channels(x, "gamma", "beta")
	c.eps(a)
	c.act(a)
	ch := []int{last(x)}
	return floats(x, ch, ch)
}

func inferBatchNormInfer(c *check, a *Attrs) []Value {
	x := c.take("x", Float, anyRank)
	c.channels(x, "gamma", "beta", "mean", "variance")
	c.eps(a)
	c.act(a)
	return floats(x)
}

func inferBatchNormGrad(c *check, a *Attrs) []Value {
	x := c.take("x", Float, anyRank)
	c.channels(x, "gamma", "mean", "variance")
	c.shaped("dy", Float, x...)
	c.eps(a)
	ch := []int{last(x)}
	return floats(x, ch, ch)
}

func inferLayerNorm(c *check, a *Attrs) []Value {
	x := c.take("x", Float, anyRank)
	c.channels(x, "gamma", "beta")
	c.eps(a)
	rows, _ := Rows(x)
	return floats(x, []int{rows}, []int{rows})
}

func inferLayerNormGrad(c *check, a *Attrs) []Value {
	x := c.take("x", Float, anyRank)
	c.channels(x, "gamma")
	rows, ch := Rows(x)
	c.shaped("mean", Float, rows)
	c.shaped("rstd", Float, rows)
	c.shaped("dy", Float, x...)
	c.eps(a)
	return floats(x, []int{ch}, []int{ch})
}

func inferEmbedding(c *check, _ *Attrs) []Value {
	table := c.take("table", Float, 2)
	ids := c.take("ids", Int, anyRank)
	return floats(append(slices.Clone(ids), table[1]))
}

func inferEmbeddingGrad(c *check, a *Attrs) []Value {
	ids := c.take("ids", Int, anyRank)
	table := c.dims(a, 2)
	c.shaped("dy", Float, append(slices.Clone(ids), table[1])...)
	return floats(table)
}
