package op

import (
	"fmt"
	"slices"
	"strings"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gespann/gespann/backend/ir"
)

// Leaf adds an input of a graph: data or a variable. Names must be unique in the
// graph, as Gorgonia takes leaves of one name for one node.
func Leaf(g *G.ExprGraph, name string, t ir.Type, shape ...int) *G.Node {
	return G.NewTensor(g, dtype(t == ir.Int), len(shape), G.WithShape(shape...), G.WithName(name))
}

// Apply adds to the graph of in the node that is output which of an instruction.
// Layer is as in ir.Instr.
func Apply(layer string, kind ir.Op, a ir.Attrs, which int, in ...*G.Node) (*G.Node, error) {
	values := make([]ir.Value, len(in))
	for i, n := range in {
		values[i] = Value(n)
	}
	out, err := ir.Infer(kind, a, values)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", layer, err)
	}
	if which >= len(out) {
		return nil, fmt.Errorf("%s: %v has %d outputs, not an output %d", layer, kind, len(out), which)
	}
	o := Op{Kind: kind, Attrs: a, Which: which, Layer: layer, sig: sign(values, out[which])}
	return apply(o, in)
}

// apply adds a node, and refuses the one that Gorgonia found if it is another:
// Gorgonia looks nodes up by a 32-bit hash, without comparing their inputs.
func apply(o G.Op, in []*G.Node) (*G.Node, error) {
	n, err := G.ApplyOp(o, in...)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(Children(n), in) {
		return nil, fmt.Errorf("%v: its hash is also that of another node; rename a layer", o)
	}
	return n, nil
}

// Children returns the inputs of a node, in order, with repetitions.
func Children(n *G.Node) []*G.Node {
	it := n.Graph().From(n.ID())
	out := make([]*G.Node, 0, it.Len())
	for it.Next() {
		out = append(out, it.Node().(*G.Node))
	}
	return out
}

// Value returns type and shape of a node as ir sees them.
func Value(n *G.Node) ir.Value {
	v := ir.Value{Shape: n.Shape(), Var: -1, Of: ir.None}
	if n.Dtype() == tensor.Int32 {
		v.Type = ir.Int
	}
	return v
}

// IsSum reports whether a node is a sum of two gradients of one value, which
// Gorgonia adds by an op of its own.
func IsSum(n *G.Node) bool {
	o, ok := n.Op().(G.BinaryOp)
	return ok && o.IsBinary() && o.String() == "+ false"
}

// Layer returns the layer of a node: for a sum of gradients the first summand's,
// for a leaf none.
func Layer(n *G.Node) string {
	switch o := n.Op().(type) {
	case Op:
		return o.Layer
	case Reshape:
		return o.Layer
	case nil:
		return ""
	}
	if children := Children(n); len(children) > 0 {
		return Layer(children[0])
	}
	return ""
}

// Sort returns the nodes that roots depend on, roots included, each after its
// inputs.
func Sort(g *G.ExprGraph, roots []*G.Node) ([]*G.Node, error) {
	sorted, err := G.Sort(g)
	if err != nil {
		return nil, err
	}
	live := map[*G.Node]bool{}
	for _, n := range roots {
		live[n] = true
	}
	var out []*G.Node
	for _, n := range sorted { // Gorgonia's order is roots first
		if g.Node(n.ID()) != n {
			return nil, fmt.Errorf("graph is damaged: node %d is not %v", n.ID(), n)
		}
		if !live[n] {
			continue
		}
		out = append(out, n)
		for _, c := range Children(n) {
			live[c] = true
		}
	}
	// Nodes are made after their inputs, layer by layer and back: in that order
	// a value is used soon after it was made.
	slices.SortFunc(out, func(a, b *G.Node) int { return int(a.ID() - b.ID()) })
	return out, nil
}

// Describe returns a node in words: a leaf's name, or an op with its attributes.
func Describe(n *G.Node) string {
	switch o := n.Op().(type) {
	case nil:
		return n.Name()
	case Op:
		text := o.Kind.String()
		if o.Which > 0 {
			text += fmt.Sprintf(".%d", o.Which)
		}
		return strings.TrimSpace(text + " " + attrText(o))
	case Reshape:
		return "reshape"
	}
	return "sum of gradients"
}

// attrText returns the attributes that tell ops of one kind apart at a glance;
// the program's text has them all.
func attrText(o Op) string {
	var words []string
	if o.Attrs.TransA {
		words = append(words, "trans_a")
	}
	if o.Attrs.TransB {
		words = append(words, "trans_b")
	}
	if o.Attrs.Act != ir.NoAct {
		words = append(words, o.Attrs.Act.String())
	}
	if o.Attrs.Metric != ir.NoMetric {
		words = append(words, o.Attrs.Metric.String())
	}
	if o.Attrs.Loss != ir.NoLoss {
		words = append(words, o.Attrs.Loss.String())
	}
	return strings.Join(words, " ")
}
