package op

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
)

// mapWRT says that there is no derivative with respect to inputs that an expression
// does not depend on.
func mapWRT(e ir.Expr, wrt []bool) {
	f, err := e.Parse()
	for i := range wrt {
		wrt[i] = err == nil && f.Derivative(i, len(wrt)) != ""
	}
}

// gradMap: for y = f(x0, ..., xn), dxᵢ is dy·∂f/∂xᵢ, summed over the axes along which xᵢ
// was broadcast.
func gradMap(d *deriver, x G.Nodes, _, dy *G.Node) G.Nodes {
	f, err := d.op.Attrs.Expr.Parse()
	if err != nil {
		panic(fmt.Sprintf("op: invariant: %v", err)) // Infer has read it
	}
	out := make(G.Nodes, len(x))
	for i := range x {
		if e := f.Derivative(i, len(x)); e != "" {
			out[i] = d.sumTo(d.mapped(e, append(x[:len(x):len(x)], dy)), x[i])
		}
	}
	return out
}

// mapped adds a map of those inputs that its expression uses, and of others only as
// long as these do not give its shape. The last one of all inputs has it.
func (d *deriver) mapped(e ir.Expr, all G.Nodes) *G.Node {
	f, err := e.Parse()
	if err != nil {
		panic(fmt.Sprintf("op: invariant: %v", err)) // it was made
	}
	used := f.Inputs()
	used[len(all)-1] = true
	var in G.Nodes
	args := make([]ir.Operand, len(all))
	for i, n := range all {
		if used[i] {
			args[i] = ir.InputOf(len(in))
			in = append(in, n)
		}
	}
	g := new(ir.Formula)
	g.Result = g.Insert(f, args)
	return d.apply(ir.Map, ir.Attrs{Expr: g.Expr()}, in...)
}

// sumTo sums a gradient over the axes along which a node was broadcast.
func (d *deriver) sumTo(g, to *G.Node) *G.Node {
	if d.err != nil {
		return nil
	}
	from, shape := g.Shape(), to.Shape()
	extra := len(from) - len(shape)
	var axes ir.Axes
	for i := range from {
		if i < extra || shape[i-extra] == 1 && from[i] != 1 {
			axes |= ir.AxesOf(i)
		}
	}
	if axes != 0 {
		g = d.apply(ir.Reduce, ir.Attrs{Axes: axes, Reduction: ir.Sum}, g)
	}
	if extra > 0 && d.err == nil {
		g, d.err = ApplyReshape(d.op.Layer, g, shape...)
	}
	return g
}

// gradReduce: of a sum every element has the derivative of its sum; of a maximum those
// that are it share it.
func gradReduce(d *deriver, x G.Nodes, y, dy *G.Node) G.Nodes {
	if d.op.Attrs.Reduction == ir.Sum {
		return G.Nodes{d.apply(ir.Map, ir.Attrs{Expr: "x1"}, x[0], dy)}
	}
	is := d.apply(ir.Map, ir.Attrs{Expr: "eq(x0,x1)"}, x[0], y)
	many := d.apply(ir.Reduce, ir.Attrs{Axes: d.op.Attrs.Axes, Reduction: ir.Sum}, is)
	return G.Nodes{d.apply(ir.Map, ir.Attrs{Expr: "mul(x0,x1);div(t0,x2)"}, is, dy, many)}
}

func gradPermute(d *deriver, _ G.Nodes, _, dy *G.Node) G.Nodes {
	return G.Nodes{d.apply(ir.Permute, ir.Attrs{Perm: d.op.Attrs.Perm.Inverse()}, dy)}
}

func gradBatchMatMul(d *deriver, x G.Nodes, _, dy *G.Node) G.Nodes {
	return gradProduct(d, ir.BatchMatMul, x, dy)
}
