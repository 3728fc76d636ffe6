// Package op gives the instructions of package ir to Gorgonia, which checks,
// differentiates and sorts the graph of them.
//
// One Go type stands for all ops: its shape rules are ir.Infer, its derivatives
// the table in gradient.go. An instruction with several outputs is several
// nodes with the same attributes and inputs, one per wanted output; lowering
// makes them one instruction again. So ops stay pure: a gradient op that needs
// a side output of the forward op (the arg of max_pool, the mean of batch_norm)
// takes it as an input like any other.
//
// Graphs are written in float64 throughout. The float type does not reach the
// program; double precision lets tests run the graph itself in Gorgonia's
// TapeMachine.
package op

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gespann/gespann/backend/ir"
)

// An Op is one output of an ir instruction. It implements Gorgonia's SDOp.
// Fields must not be changed after Apply.
type Op struct {
	Kind  ir.Op
	Attrs ir.Attrs
	// Which is the index of the output that the node stands for.
	Which int
	// Layer is where the op comes from, as in ir.Instr. Ops of different layers
	// are different: Gorgonia merges equal ops on equal inputs.
	Layer string

	sig signature
}

// Arity returns the number of inputs.
func (o Op) Arity() int { return len(o.sig) - 1 }

// Type returns the function type, made anew for each call since Gorgonia
// recycles it.
func (o Op) Type() hm.Type { return o.sig.fnType() }

// InferShape applies ir.Infer.
func (o Op) InferShape(in ...G.DimSizer) (tensor.Shape, error) {
	values := make([]ir.Value, len(in))
	for i, d := range in {
		values[i] = o.sig.value(i, d.(tensor.Shape))
	}
	out, err := ir.Infer(o.Kind, o.Attrs, values)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Layer, err)
	}
	return tensor.Shape(out[o.Which].Shape), nil
}

// ReturnsPtr is false: Do returns fresh memory.
func (o Op) ReturnsPtr() bool { return false }

// CallsExtern is false: nothing leaves Go.
func (o Op) CallsExtern() bool { return false }

// OverwritesInput is -1: inputs are only read.
func (o Op) OverwritesInput() int { return -1 }

// WriteHash writes all fields: Gorgonia takes ops of equal hash for one.
func (o Op) WriteHash(h hash.Hash) {
	type fields Op // without String, which leaves some out
	fmt.Fprintf(h, "%+v", fields(o))
}

// Hashcode returns the 32-bit FNV-1a hash of all fields.
func (o Op) Hashcode() uint32 { return hashcode(o) }

// String returns the instruction's name, the output if it is not the first, and
// the layer: "batch_norm.1 @ model[2] bn".
func (o Op) String() string {
	which := ""
	if o.Which > 0 {
		which = fmt.Sprintf(".%d", o.Which)
	}
	return fmt.Sprintf("%v%s @ %s", o.Kind, which, o.Layer)
}

func hashcode(o G.Op) uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

// A signature holds the types of an op's inputs and then of its output, one byte
// each: the rank, and above it a bit for integers. Being a string, it can be
// compared.
type signature string

const intBit = 0x80

// sign returns the signature of an op from in to out.
func sign(in []ir.Value, out ir.Value) signature {
	sig := make([]byte, 0, len(in)+1)
	for _, v := range append(in[:len(in):len(in)], out) {
		b := byte(len(v.Shape))
		if v.Type == ir.Int {
			b |= intBit
		}
		sig = append(sig, b)
	}
	return signature(sig)
}

func (s signature) fnType() hm.Type {
	types := make([]hm.Type, len(s))
	for i := range types {
		types[i] = G.TensorType{Dims: int(s[i] &^ intBit), Of: dtype(s.isInt(i))}
	}
	return hm.NewFnType(types...)
}

func (s signature) isInt(i int) bool { return s[i]&intBit != 0 }

// value returns input i, with the given shape, as ir sees it.
func (s signature) value(i int, shape tensor.Shape) ir.Value {
	v := ir.Value{Shape: shape, Var: -1, Of: ir.None}
	if s.isInt(i) {
		v.Type = ir.Int
	}
	return v
}

func dtype(integer bool) tensor.Dtype {
	if integer {
		return tensor.Int32
	}
	return tensor.Float64
}
