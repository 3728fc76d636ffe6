package model

import (
	"fmt"
	"slices"
	"strings"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/op"
	"github.com/gespann/gespann/model/spec"
)

// A network is the Gorgonia graph of a model, under construction.
type network struct {
	layers   []*layer
	rows     int // of a batch; ir.B: any number
	training bool
	seed     uint64 // of the run, for dropout

	g       *G.ExprGraph
	x       *G.Node
	leaves  map[string]*G.Node // inputs and variables by name
	vars    []variable         // in the order of their declaration
	outputs []*G.Node          // by layer; nil where a layer has failed
	acts    map[*G.Node]activated
	stats   []statistic
}

// A variable is a parameter or state, and how it starts.
type variable struct {
	ir.Var
	initializer string
	value       float32 // of every element, with the initializer "constant"
}

// A statistic is a batch statistic that a state follows.
type statistic struct {
	node     *G.Node
	name     string // of the state
	momentum float64
}

// activated says what made a node: which activation, of what.
type activated struct {
	name string
	pre  *G.Node
}

// newNetwork adds all layers to a new graph. It reports the errors of all layers
// that do not depend on a failed one.
func newNetwork(layers []*layer, in Input, rows int, training bool, seed uint64) (*network, spec.Errors) {
	n := &network{layers: layers, rows: rows, training: training, seed: seed,
		g: G.NewGraph(), leaves: map[string]*G.Node{}, acts: map[*G.Node]activated{}}
	t := ir.Float
	if in.Integer {
		t = ir.Int
	}
	n.x = n.leaf(ir.InX, t, slices.Concat([]int{rows}, in.Shape)...)
	var errs spec.Errors
	for _, l := range layers {
		out, err := n.layer(l)
		if err != nil {
			errs = append(errs, err)
		}
		n.outputs = append(n.outputs, out)
	}
	return n, errs
}

// leaf returns the leaf of that name.
func (n *network) leaf(name string, t ir.Type, shape ...int) *G.Node {
	if n.leaves[name] == nil {
		n.leaves[name] = op.Leaf(n.g, name, t, shape...)
	}
	return n.leaves[name]
}

// layer adds one layer. It returns nil without an error if an input is missing
// because of an earlier error.
func (n *network) layer(l *layer) (*G.Node, *spec.Error) {
	in := make([]*G.Node, len(l.inputs))
	for i, k := range l.inputs {
		in[i] = n.x
		if k != dataInput {
			in[i] = n.outputs[k]
		}
		if in[i] == nil {
			return nil, nil
		}
	}
	k, ok := builders[l.kind]
	if !ok {
		return nil, l.errorf("there is no layer %q", l.kind)
	}
	c := &construction{network: n, layer: l}
	c.checkInputs(k, in)
	if c.err != nil {
		return nil, c.err
	}
	out := k.build(c, in)
	if c.err != nil {
		return nil, c.err
	}
	return out, nil
}

// output returns the model's output.
func (n *network) output() *G.Node { return n.outputs[len(n.outputs)-1] }

// A construction is one layer being added to a network. It keeps the first
// error; after one, its methods return what they were given.
type construction struct {
	*network
	*layer
	err *spec.Error
}

// checkInputs checks the type of the inputs; their number is in the spec.
func (c *construction) checkInputs(k layerKind, in []*G.Node) {
	for i, n := range in {
		integer := op.Value(n).Type == ir.Int
		if k.takes == anyType || integer == (k.takes == integers) {
			continue
		}
		if integer {
			c.fail("takes numbers, but %s gives integer ids: an embedding turns them into vectors", c.from(i))
		} else {
			c.fail("takes integer ids, but %s gives numbers", c.from(i))
		}
	}
}

// fail notes an error.
func (c *construction) fail(format string, args ...any) {
	if c.err == nil {
		c.err = c.errorf(format, args...)
	}
}

// from names the layer that input i comes from.
func (c *construction) from(i int) string { return source(c.layers, c.inputs[i]) }

// row returns the shape of one row of a node.
func (c *construction) row(n *G.Node) []int { return n.Shape()[1:] }

// apply adds an instruction and returns its first output.
func (c *construction) apply(kind ir.Op, a ir.Attrs, in ...*G.Node) *G.Node {
	return c.applyWhich(0, kind, a, in...)
}

// applyWhich adds an instruction and returns one of its outputs.
func (c *construction) applyWhich(which int, kind ir.Op, a ir.Attrs, in ...*G.Node) *G.Node {
	if c.err != nil {
		return in[0]
	}
	n, err := op.Apply(c.tag(), kind, a, which, in...)
	if err != nil {
		c.fail("%s", strings.TrimPrefix(err.Error(), c.tag()+": "))
		return in[0]
	}
	return n
}

// reshape gives rows another shape.
func (c *construction) reshape(n *G.Node, row ...int) *G.Node {
	return c.reshapeAll(n, slices.Concat([]int{c.rows}, row)...)
}

// reshapeAll gives a node another shape.
func (c *construction) reshapeAll(n *G.Node, shape ...int) *G.Node {
	if c.err != nil {
		return n
	}
	out, err := op.ApplyReshape(c.tag(), n, shape...)
	if err != nil {
		c.fail("%s", strings.TrimPrefix(err.Error(), c.tag()+": "))
		return n
	}
	return out
}

// param declares a trained variable of the layer.
func (c *construction) param(name, initializer string, shape ...int) *G.Node {
	return c.variable(variable{
		Var:         ir.Var{Name: c.name + "." + name, Shape: shape, Role: ir.Param},
		initializer: initializer,
	})
}

// constant declares a variable of the layer that starts as one value everywhere.
func (c *construction) constant(name string, role ir.Role, value float32, shape ...int) *G.Node {
	return c.variable(variable{
		Var:         ir.Var{Name: c.name + "." + name, Shape: shape, Role: role},
		initializer: "constant", value: value,
	})
}

func (c *construction) variable(v variable) *G.Node {
	c.vars = append(c.vars, v)
	return c.leaf(v.Name, ir.Float, v.Shape...)
}

// shapeText prints a row's shape as in "28x28x1".
func shapeText(shape []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", "x"), "[]")
}
