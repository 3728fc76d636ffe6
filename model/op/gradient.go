package op

import (
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
)

// A rule says how to differentiate an op.
type rule struct {
	// wrt tells for each input whether there is a derivative; the last element
	// also holds for further inputs. Of a map it depends on the expression.
	wrt []bool
	// grad returns the derivatives of the loss with respect to the inputs, nil
	// where there is none, from dy, that with respect to output 0.
	grad func(d *deriver, x G.Nodes, y, dy *G.Node) G.Nodes
}

// rules is the table of derivatives. Ops without a row are used only where
// nothing is differentiated: gradients themselves, metrics, inference, updates.
var rules = map[ir.Op]rule{
	ir.MatMul:      {[]bool{true, true}, gradMatMul},
	ir.Conv2D:      {[]bool{true, true}, gradConv2D},
	ir.BiasAdd:     {[]bool{true, true}, gradBiasAdd},
	ir.Activation:  {[]bool{true}, gradActivation},
	ir.Softmax:     {[]bool{true}, gradSoftmax},
	ir.Dropout:     {[]bool{true, false}, gradDropout},
	ir.Add:         {[]bool{true, true}, gradAdd},
	ir.Concat:      {[]bool{true}, gradConcat},
	ir.Map:         {[]bool{true}, gradMap},
	ir.Reduce:      {[]bool{true}, gradReduce},
	ir.Permute:     {[]bool{true}, gradPermute},
	ir.BatchMatMul: {[]bool{true, true}, gradBatchMatMul},
	ir.MaxPool:     {[]bool{true}, gradMaxPool},
	ir.AvgPool:     {[]bool{true}, gradAvgPool},
	ir.BatchNorm:   {[]bool{true, true, true}, gradBatchNorm},
	ir.LayerNorm:   {[]bool{true, true, true}, gradLayerNorm},
	ir.Embedding:   {[]bool{true, false}, gradEmbedding},
	ir.SoftmaxXent: {[]bool{true, false}, gradSoftmaxXent},
	ir.PointLoss:   {[]bool{true, false}, gradPointLoss},
}

// DiffWRT returns for each input whether the op can be differentiated with
// respect to it. Side outputs cannot.
func (o Op) DiffWRT(inputs int) []bool {
	out := make([]bool, inputs)
	r, ok := rules[o.Kind]
	if !ok || o.Which != 0 {
		return out
	}
	for i := range out {
		out[i] = r.wrt[min(i, len(r.wrt)-1)]
	}
	if o.Kind == ir.Map {
		mapWRT(o.Attrs.Expr, out)
	}
	return out
}

// SymDiff adds the derivatives to the graph.
func (o Op) SymDiff(in G.Nodes, y, dy *G.Node) (G.Nodes, error) {
	r, ok := rules[o.Kind]
	if !ok || o.Which != 0 {
		return nil, fmt.Errorf("%v has no derivative", o)
	}
	if o.Attrs.Bias || o.Attrs.Act != ir.NoAct && o.Kind != ir.Activation {
		return nil, fmt.Errorf("%v is fused: fusion comes after differentiation", o)
	}
	d := &deriver{op: o}
	out := r.grad(d, in, y, dy)
	return out, d.err
}

// A deriver adds the nodes of one op's derivatives and keeps the first error.
type deriver struct {
	op  Op
	err error
}

// apply adds output 0 of an instruction.
func (d *deriver) apply(kind ir.Op, a ir.Attrs, in ...*G.Node) *G.Node {
	return d.output(0, kind, a, in...)
}

// again adds a side output of the op itself.
func (d *deriver) again(which int, in G.Nodes) *G.Node {
	return d.output(which, d.op.Kind, d.op.Attrs, in...)
}

func (d *deriver) output(which int, kind ir.Op, a ir.Attrs, in ...*G.Node) *G.Node {
	if d.err != nil {
		return nil
	}
	var n *G.Node
	n, d.err = Apply(d.op.Layer, kind, a, which, in...)
	return n
}

// dims returns attributes that hold the shape of n.
func dims(a ir.Attrs, n *G.Node) ir.Attrs {
	copy(a.Dims[:], n.Shape())
	return a
}

// gradMatMul: for y = a·b, da = dy·bᵀ and db = aᵀ·dy; a transposed operand has
// the transposed derivative, (b·dyᵀ) and (dyᵀ·a).
func gradMatMul(d *deriver, x G.Nodes, _, dy *G.Node) G.Nodes {
	return gradProduct(d, ir.MatMul, x, dy)
}

func gradProduct(d *deriver, kind ir.Op, x G.Nodes, dy *G.Node) G.Nodes {
	a, b := x[0], x[1]
	ta, tb := d.op.Attrs.TransA, d.op.Attrs.TransB
	var da, db *G.Node
	if ta {
		da = d.apply(kind, ir.Attrs{TransA: tb, TransB: true}, b, dy)
	} else {
		da = d.apply(kind, ir.Attrs{TransB: !tb}, dy, b)
	}
	if tb {
		db = d.apply(kind, ir.Attrs{TransA: true, TransB: ta}, dy, a)
	} else {
		db = d.apply(kind, ir.Attrs{TransA: !ta}, a, dy)
	}
	return G.Nodes{da, db}
}

func gradConv2D(d *deriver, x G.Nodes, _, dy *G.Node) G.Nodes {
	a := ir.Attrs{Win: d.op.Attrs.Win, Groups: d.op.Attrs.Groups}
	return G.Nodes{
		d.apply(ir.Conv2DDX, dims(a, x[0]), x[1], dy),
		d.apply(ir.Conv2DDW, a, x[0], dy),
	}
}

func gradBiasAdd(d *deriver, _ G.Nodes, _, dy *G.Node) G.Nodes {
	return G.Nodes{dy, d.apply(ir.BiasGrad, ir.Attrs{}, dy)}
}

func gradActivation(d *deriver, x G.Nodes, y, dy *G.Node) G.Nodes {
	ref := y
	if d.op.Attrs.Act.FromInput() {
		ref = x[0]
	}
	return G.Nodes{d.apply(ir.ActGrad, d.op.Attrs, ref, dy)}
}

func gradSoftmax(d *deriver, _ G.Nodes, y, dy *G.Node) G.Nodes {
	return G.Nodes{d.apply(ir.SoftmaxGrad, ir.Attrs{}, y, dy)}
}

// gradDropout applies the same mask to dy.
func gradDropout(d *deriver, x G.Nodes, _, dy *G.Node) G.Nodes {
	return G.Nodes{d.apply(ir.Dropout, d.op.Attrs, dy, x[1]), nil}
}

func gradAdd(_ *deriver, _ G.Nodes, _, dy *G.Node) G.Nodes { return G.Nodes{dy, dy} }

// gradConcat cuts dy into the parts of the inputs.
func gradConcat(d *deriver, x G.Nodes, _, dy *G.Node) G.Nodes {
	out := make(G.Nodes, len(x))
	a := ir.Attrs{Axis: d.op.Attrs.Axis}
	for i, n := range x {
		a.Count = n.Shape()[a.Axis]
		out[i] = d.apply(ir.Slice, a, dy)
		a.Start += a.Count
	}
	return out
}

func gradMaxPool(d *deriver, x G.Nodes, _, dy *G.Node) G.Nodes {
	arg := d.again(1, x)
	return G.Nodes{d.apply(ir.MaxPoolGrad, dims(ir.Attrs{}, x[0]), arg, dy)}
}

func gradAvgPool(d *deriver, x G.Nodes, _, dy *G.Node) G.Nodes {
	return G.Nodes{d.apply(ir.AvgPoolGrad, dims(d.op.Attrs, x[0]), dy)}
}

func gradBatchNorm(d *deriver, x G.Nodes, _, dy *G.Node) G.Nodes {
	return gradNorm(d, ir.BatchNormGrad, x, dy)
}

func gradLayerNorm(d *deriver, x G.Nodes, _, dy *G.Node) G.Nodes {
	return gradNorm(d, ir.LayerNormGrad, x, dy)
}

// gradNorm returns dx, dgamma and dbeta: the three outputs of one instruction,
// which takes both statistics that the forward op computed.
func gradNorm(d *deriver, kind ir.Op, x G.Nodes, dy *G.Node) G.Nodes {
	in := slices.Concat(x[:2], G.Nodes{d.again(1, x), d.again(2, x), dy})
	out := make(G.Nodes, 3)
	for which := range out {
		out[which] = d.output(which, kind, ir.Attrs{Eps: d.op.Attrs.Eps}, in...)
	}
	return out
}

func gradEmbedding(d *deriver, x G.Nodes, _, dy *G.Node) G.Nodes {
	return G.Nodes{d.apply(ir.EmbeddingGrad, dims(ir.Attrs{}, x[0]), x[1], dy), nil}
}

func gradSoftmaxXent(d *deriver, x G.Nodes, _, dloss *G.Node) G.Nodes {
	prob := d.again(1, x)
	return G.Nodes{d.apply(ir.SoftmaxXentGrad, ir.Attrs{}, prob, x[1], dloss), nil}
}

func gradPointLoss(d *deriver, x G.Nodes, _, dloss *G.Node) G.Nodes {
	return G.Nodes{d.apply(ir.PointLossGrad, d.op.Attrs, x[0], x[1], dloss), nil}
}
