// Package lower makes flat programs of Gorgonia graphs: it walks the sorted
// graph once, makes instructions of its ops, and then improves the program in
// passes, each a small function in a file of its own.
package lower

import (
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/op"
)

// A Request says which program to make.
type Request struct {
	Name  string // as ir.Program.Name
	Batch int
	Vars  []ir.Var // a leaf with the name of one is that variable, others are inputs
	// Outputs are the nodes that the program is for; nothing else is computed.
	Outputs []Output
	// Add makes the program add to its Grad values.
	Add bool
	// Unfused leaves all passes out that only save time.
	Unfused bool
}

// An Output is a node whose value outlives the run.
type Output struct {
	Node *G.Node
	Name string
	Kind ir.Kind // Output or Grad
	Var  int     // index into Vars for Grad, else -1
}

// A Pass improves a program in place. It leaves its meaning alone.
type Pass struct {
	Name string
	run  func(p *ir.Program)
}

// Run applies the pass. A program that verifies does so again afterwards.
func (s Pass) Run(p *ir.Program) {
	s.run(p)
	compact(p)
}

// Passes are the fusions, in order. Each relies on the dead code before it
// being gone: an unused reader would keep a value from being fused.
var Passes = []Pass{
	{"bias", fuseBias},
	{"activation", fuseActivation},
	{"pooling gradient", fusePoolGrad},
	{"activation gradient", fuseActGrad},
	{"maps", fuseMaps},
}

// Lower returns the program that computes the outputs of the graph g. The
// program is not verified: that is up to tests and backends.
func Lower(g *G.ExprGraph, r Request) (*ir.Program, error) {
	p, err := translate(g, r)
	if err != nil {
		return nil, fmt.Errorf("lower %s: %w", r.Name, err)
	}
	dropDead(p)
	if !r.Unfused {
		for _, pass := range Passes {
			pass.Run(p)
		}
	}
	if r.Add {
		accumulate(p)
	}
	compact(p)
	return p, nil
}

// translate makes one instruction of each op, or of several that are outputs of
// the same.
func translate(g *G.ExprGraph, r Request) (*ir.Program, error) {
	roots := make([]*G.Node, len(r.Outputs))
	for i, o := range r.Outputs {
		roots[i] = o.Node
	}
	sorted, err := op.Sort(g, roots)
	if err != nil {
		return nil, err
	}
	t := &translator{
		p:     &ir.Program{Name: r.Name, Batch: r.Batch},
		slots: map[*G.Node]ir.Slot{},
		known: map[instrKey]int{},
		vars:  map[string]int{},
	}
	for i, v := range r.Vars {
		t.vars[v.Name] = i
	}
	for _, n := range sorted {
		if err := t.node(n); err != nil {
			return nil, err
		}
	}
	for _, o := range r.Outputs {
		t.output(o)
	}
	settle(t.p)
	return t.p, nil
}

type translator struct {
	p     *ir.Program
	slots map[*G.Node]ir.Slot
	known map[instrKey]int // index of the instruction
	vars  map[string]int
}

// An instrKey is what the nodes of one instruction have in common.
type instrKey struct {
	kind  ir.Op
	attrs ir.Attrs
	layer string
	in    string // slots
}

func (t *translator) node(n *G.Node) error {
	switch o := n.Op().(type) {
	case nil:
		t.slots[n] = t.leaf(n)
	case op.Reshape:
		t.slots[n] = view(t.p, t.slots[op.Children(n)[0]], n.Shape())
	case op.Op:
		return t.op(n, o)
	default:
		if !op.IsSum(n) {
			return fmt.Errorf("cannot lower %v, a %T", n.Op(), n.Op())
		}
		return t.op(n, op.Op{Kind: ir.Add, Layer: op.Layer(n)})
	}
	return nil
}

// leaf returns a new value for an input of the graph.
func (t *translator) leaf(n *G.Node) ir.Slot {
	v := op.Value(n)
	v.Name, v.Kind = n.Name(), ir.Input
	if i, ok := t.vars[v.Name]; ok {
		v.Kind, v.Var = ir.Variable, i
	}
	return add(t.p, v)
}

// op finds or adds the instruction that computes n.
func (t *translator) op(n *G.Node, o op.Op) error {
	var in []ir.Slot
	var values []ir.Value
	for _, c := range op.Children(n) {
		in = append(in, t.slots[c])
		values = append(values, t.p.Values[t.slots[c]])
	}
	key := instrKey{o.Kind, o.Attrs, o.Layer, fmt.Sprint(in)}
	i, ok := t.known[key]
	if !ok {
		out, err := ir.Infer(o.Kind, o.Attrs, values)
		if err != nil {
			return fmt.Errorf("%s: %w", o.Layer, err)
		}
		instr := ir.Instr{Op: o.Kind, Attrs: o.Attrs, In: in, Layer: o.Layer}
		for _, v := range out {
			instr.Out = append(instr.Out, add(t.p, v))
		}
		i = len(t.p.Instrs)
		t.known[key] = i
		t.p.Instrs = append(t.p.Instrs, instr)
	}
	t.slots[n] = t.p.Instrs[i].Out[o.Which]
	return nil
}

// output gives a value its name and kind.
func (t *translator) output(o Output) {
	s := t.slots[o.Node]
	v := ir.Value{Name: o.Name, Kind: o.Kind, Shape: t.p.Values[s].Shape, Var: o.Var, Of: ir.None}
	b := t.p.Root(s)
	out := add(t.p, v)
	if t.p.Values[b].Kind != ir.Temp { // a leaf, or an output already: copy it
		t.p.Instrs = append(t.p.Instrs, ir.Instr{Op: ir.Activation, Layer: op.Layer(o.Node),
			In: []ir.Slot{s}, Out: []ir.Slot{out}})
		return
	}
	t.p.Values[b].Kind, t.p.Values[b].Of = ir.View, out // it shows the output's memory
}

// settle ends chains of views, which output makes, and names a value itself
// where a view of it has its shape.
func settle(p *ir.Program) {
	for i := range p.Values {
		if v := &p.Values[i]; v.Kind == ir.View {
			v.Of = p.Root(v.Of)
		}
	}
	simplify := func(list []ir.Slot) {
		for k, s := range list {
			if sameShape(p, s, p.Root(s)) {
				list[k] = p.Root(s)
			}
		}
	}
	for _, instr := range p.Instrs {
		simplify(instr.In)
		simplify(instr.Out)
	}
}

// add appends a value.
func add(p *ir.Program, v ir.Value) ir.Slot {
	v.Shape = slices.Clone(v.Shape)
	p.Values = append(p.Values, v)
	return ir.Slot(len(p.Values) - 1)
}

// view returns a value that shows s under the given shape: s itself, the value
// that s is a view of, or a view.
func view(p *ir.Program, s ir.Slot, shape []int) ir.Slot {
	s = p.Root(s)
	if slices.Equal(p.Values[s].Shape, shape) {
		return s
	}
	for i, v := range p.Values {
		if v.Kind == ir.View && v.Of == s && slices.Equal(v.Shape, shape) {
			return ir.Slot(i)
		}
	}
	return add(p, ir.Value{Type: p.Values[s].Type, Kind: ir.View, Shape: shape, Var: -1, Of: s})
}
