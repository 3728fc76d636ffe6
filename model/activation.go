package model

import (
	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/spec"
)

// activations maps the names of elementwise activations.
var activations = map[string]ir.Act{
	"relu": ir.ReLU, "leaky_relu": ir.LeakyReLU, "elu": ir.ELU, "gelu": ir.GELU,
	"sigmoid": ir.Sigmoid, "tanh": ir.Tanh, "softplus": ir.Softplus, "silu": ir.SiLU,
}

func buildActivation(c *construction, in []*G.Node) *G.Node {
	p := c.params.(*spec.Activation)
	alpha := 0.0
	if p.Alpha != nil {
		alpha = *p.Alpha
	}
	return c.activateBy(in[0], p.Kind, alpha)
}

// activate applies an activation by name.
func (c *construction) activate(x *G.Node, name string) *G.Node {
	return c.activateBy(x, name, spec.DefaultAlpha[name])
}

// activateBy is activate with an alpha, 0 where the activation has none.
func (c *construction) activateBy(x *G.Node, name string, alpha float64) *G.Node {
	y := x
	switch act, known := activations[name]; {
	case name == "linear":
		return x
	case name == "softmax":
		if row := c.row(x); row[len(row)-1] == 1 {
			c.fail("softmax over one number is always 1; one number for yes or no takes sigmoid")
			return x
		}
		y = c.apply(ir.Softmax, ir.Attrs{}, x)
	case known:
		y = c.apply(ir.Activation, ir.Attrs{Act: act, Alpha: alpha}, x)
	default:
		c.fail("there is no activation %q", name)
	}
	c.acts[y] = activated{name, x}
	return y
}
