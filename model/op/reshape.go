package op

import (
	"fmt"
	"hash"
	"slices"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gespann/gespann/backend/ir"
)

// A Reshape shows its input under another shape of the same size. It is no
// instruction: in the program its output is a View.
type Reshape struct {
	To    tensor.Shape
	Layer string

	sig signature
}

// ApplyReshape adds a reshape to the graph, unless n has that shape already.
func ApplyReshape(layer string, n *G.Node, to ...int) (*G.Node, error) {
	in := Value(n)
	if slices.Equal(in.Shape, to) {
		return n, nil
	}
	if ir.Size(in.Shape) != ir.Size(to) {
		return nil, fmt.Errorf("%s: cannot reshape %s to %s", layer, ir.ShapeText(in.Shape), ir.ShapeText(to))
	}
	out := in
	out.Shape = to
	sig := sign([]ir.Value{in}, out)
	return apply(Reshape{To: slices.Clone(to), Layer: layer, sig: sig}, []*G.Node{n})
}

// Arity is 1.
func (o Reshape) Arity() int { return 1 }

// Type returns the function type.
func (o Reshape) Type() hm.Type { return o.sig.fnType() }

// InferShape returns the new shape.
func (o Reshape) InferShape(...G.DimSizer) (tensor.Shape, error) { return o.To.Clone(), nil }

// ReturnsPtr is false: Do returns fresh memory.
func (o Reshape) ReturnsPtr() bool { return false }

// CallsExtern is false: nothing leaves Go.
func (o Reshape) CallsExtern() bool { return false }

// OverwritesInput is -1: the input is only read.
func (o Reshape) OverwritesInput() int { return -1 }

// WriteHash writes all fields.
func (o Reshape) WriteHash(h hash.Hash) { fmt.Fprintf(h, "reshape %v %s %q", o.To, o.Layer, o.sig) }

// Hashcode returns the 32-bit FNV-1a hash of all fields.
func (o Reshape) Hashcode() uint32 { return hashcode(o) }

// String returns the new shape and the layer.
func (o Reshape) String() string { return fmt.Sprintf("reshape %v @ %s", o.To, o.Layer) }

// Do copies the input. Gorgonia may overwrite what an op returns.
func (o Reshape) Do(in ...G.Value) (G.Value, error) {
	v, err := G.CloneValue(in[0])
	if err != nil {
		return nil, err
	}
	return v, v.(tensor.Tensor).Reshape(o.To...)
}

// DiffWRT says that floats can be differentiated.
func (o Reshape) DiffWRT(int) []bool { return []bool{!o.sig.isInt(0)} }

// SymDiff reshapes the gradient back.
func (o Reshape) SymDiff(in G.Nodes, _, dy *G.Node) (G.Nodes, error) {
	dx, err := ApplyReshape(o.Layer, dy, in[0].Shape()...)
	return G.Nodes{dx}, err
}
