package model

import (
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/spec"
)

// buildFlatten makes each row a vector.
func buildFlatten(c *construction, in []*G.Node) *G.Node {
	return c.keepActivation(in[0], c.reshape(in[0], ir.Size(c.row(in[0]))))
}

// buildReshape gives each row another shape.
func buildReshape(c *construction, in []*G.Node) *G.Node {
	p := c.params.(*spec.Reshape)
	row, target := c.row(in[0]), slices.Clone(p.TargetShape)
	size, rest, open := ir.Size(row), 1, -1
	for i, d := range target {
		switch {
		case d == -1:
			open = i
		case d > size/rest:
			rest = size + 1 // does not fit; nor may the product overflow
		default:
			rest *= d
		}
	}
	if open >= 0 {
		target[open] = size / rest
	}
	if size%rest != 0 || open < 0 && rest != size {
		c.fail("target_shape %v does not hold the %d elements of its input %s from %s",
			p.TargetShape, size, shapeText(row), c.from(0))
		return in[0]
	}
	return c.keepActivation(in[0], c.reshape(in[0], target...))
}

// keepActivation notes that y is x under another shape, for the loss to find the
// activation before it.
func (c *construction) keepActivation(x, y *G.Node) *G.Node {
	if a, ok := c.acts[x]; ok {
		c.acts[y] = a
	}
	return y
}
