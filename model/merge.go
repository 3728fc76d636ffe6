package model

import (
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/spec"
)

// buildAdd sums its inputs.
func buildAdd(c *construction, in []*G.Node) *G.Node {
	sum := in[0]
	for i, x := range in[1:] {
		if !slices.Equal(c.row(x), c.row(in[0])) {
			c.fail("cannot add %s from %s to %s from %s",
				shapeText(c.row(x)), c.from(i+1), shapeText(c.row(in[0])), c.from(0))
			return in[0]
		}
		sum = c.apply(ir.Add, ir.Attrs{}, sum, x)
	}
	return sum
}

// buildConcatenate joins its inputs along an axis of the batched tensor.
func buildConcatenate(c *construction, in []*G.Node) *G.Node {
	p := c.params.(*spec.Concatenate)
	first := in[0].Shape()
	axis := p.Axis
	if axis < 0 {
		axis += len(first)
	}
	if axis < 1 || axis >= len(first) {
		c.fail("axis is %d, want 1 to %d, or -1 for the last: axis 0 is the batch", p.Axis, len(first)-1)
		return in[0]
	}
	for i, x := range in[1:] {
		other := x.Shape()
		same := len(other) == len(first)
		for k := 0; same && k < len(first); k++ {
			same = k == axis || other[k] == first[k]
		}
		if !same {
			c.fail("cannot join %s from %s to %s from %s along axis %d",
				shapeText(other[1:]), c.from(i+1), shapeText(first[1:]), c.from(0), axis)
			return in[0]
		}
	}
	return c.apply(ir.Concat, ir.Attrs{Axis: axis}, in...)
}
