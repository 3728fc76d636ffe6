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

// defaultAlpha holds the alpha of the activations that have one, as in Keras.
var defaultAlpha = map[string]float64{"leaky_relu": 0.2, "elu": 1}

func buildActivation(c *construction, in []*G.Node) *G.Node {
	p := c.params.(*spec.Activation)
	return c.activate(in[0], p.Kind, p.Alpha)
}

// activate applies an activation by name. Alpha may be nil.
func (c *construction) activate(x *G.Node, name string, alpha *float64) *G.Node {
	a, ok := defaultAlpha[name]
	switch {
	case alpha != nil && !ok:
		c.fail("alpha is set, but %s has none", name)
	case alpha != nil:
		a = *alpha
	}
	y := x
	switch act, known := activations[name]; {
	case name == "linear":
		return x
	case name == "softmax":
		y = c.apply(ir.Softmax, ir.Attrs{}, x)
	case known:
		y = c.apply(ir.Activation, ir.Attrs{Act: act, Alpha: a}, x)
	default:
		c.fail("there is no activation %q", name)
	}
	c.acts[y] = activated{name, x}
	return y
}
