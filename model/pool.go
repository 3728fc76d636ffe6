package model

import (
	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/spec"
)

// buildPool2D builds max_pooling2d and average_pooling2d.
func buildPool2D(c *construction, in []*G.Node) *G.Node {
	p := c.params.(*spec.Pool2D)
	w := c.window(c.image(in[0]), p.PoolSize, p.Strides, spec.Pair{1, 1}, p.Padding)
	kind := ir.MaxPool
	if c.kind == "average_pooling2d" {
		kind = ir.AvgPool
	}
	return c.apply(kind, ir.Attrs{Win: w}, in[0])
}

// buildGlobalAveragePooling2D is average pooling with a window as large as the
// image, without the two axes of size 1 that this leaves.
func buildGlobalAveragePooling2D(c *construction, in []*G.Node) *G.Node {
	row := c.image(in[0])
	w := ir.Window{KH: row[0], KW: row[1], SH: 1, SW: 1, DH: 1, DW: 1}
	return c.reshape(c.apply(ir.AvgPool, ir.Attrs{Win: w}, in[0]), row[2])
}
