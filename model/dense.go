package model

import (
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/spec"
)

// buildDense: y[..., u] = act(Σ_k x[..., k]·kernel[k, u] + bias[u]). Further axes
// of x are rows of the product.
func buildDense(c *construction, in []*G.Node) *G.Node {
	p := c.params.(*spec.Dense)
	row := c.row(in[0])
	width := row[len(row)-1]
	y := c.reshapeAll(in[0], ir.Size(in[0].Shape())/width, width)
	y = c.apply(ir.MatMul, ir.Attrs{}, y, c.param("kernel", p.KernelInitializer, width, p.Units))
	if p.UseBias {
		y = c.apply(ir.BiasAdd, ir.Attrs{}, y, c.param("bias", p.BiasInitializer, p.Units))
	}
	y = c.reshape(y, append(slices.Clone(row[:len(row)-1]), p.Units)...)
	return c.activate(y, p.Activation)
}
