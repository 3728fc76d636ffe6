package lower

import (
	"slices"

	"github.com/gespann/gespann/backend/ir"
)

// fuseMaps makes one map of two that follow one another, if nothing else reads the
// first, and takes sums, biases and activations next to a map into it; so a chain of
// elementwise work is one instruction, which passes over memory once.
//
//	t = map{mul(x0,x1)} a, b; y = map{tanh(x0)} t   ->   y = map{mul(x0,x1);tanh(t0)} a, b
func fuseMaps(p *ir.Program) {
	u := newUsage(p)
	for i := range p.Instrs {
		reader := &p.Instrs[i]
		for elementwise(reader) != nil && u.absorb(reader) {
		}
	}
	removeInvalid(p)
}

// What a fused expression may have at most: less than any backend has room for, so that
// what runs as two maps runs as one.
const (
	maxFused   = 32 // calls
	maxResults = 12 // at a time
)

// fits reports whether an expression may be that of one map.
func fits(f *ir.Formula, inputs int) bool {
	_, results := f.Registers()
	return inputs <= ir.MaxInputs && len(f.Calls) <= maxFused && results <= maxResults
}

// absorb merges one producer into a reader, at least one of which is a map, and reports
// whether it has.
func (u *usage) absorb(reader *ir.Instr) bool {
	outer := elementwise(reader)
	for k, s := range reader.In {
		prod := u.producer(s)
		if prod == nil || prod.Op != ir.Map && reader.Op != ir.Map {
			continue
		}
		inner := elementwise(prod)
		if inner == nil || prod.Out[0] != s || !sameShape(u.p, s, reader.Out[0]) {
			continue
		}
		var in []ir.Slot
		place := func(s ir.Slot) ir.Operand {
			at := slices.Index(in, s)
			if at < 0 {
				at, in = len(in), append(in, s)
			}
			return ir.InputOf(at)
		}
		f := new(ir.Formula)
		args := make([]ir.Operand, len(prod.In))
		for j, s := range prod.In {
			args[j] = place(s)
		}
		v := f.Insert(inner, args)
		args = make([]ir.Operand, len(reader.In))
		for j, s := range reader.In {
			if args[j] = v; j != k {
				args[j] = place(s)
			}
		}
		if f.Result = f.Insert(outer, args); !fits(f, len(in)) {
			continue
		}
		for _, s := range prod.In {
			u.uses[u.p.Root(s)]--
		}
		for _, s := range reader.In {
			u.uses[u.p.Root(s)]--
		}
		for _, s := range in {
			u.uses[u.p.Root(s)]++
		}
		reader.Op, reader.Attrs, reader.In = ir.Map, ir.Attrs{Expr: f.Expr()}, in
		*prod = ir.Instr{} // Invalid, until removed
		return true
	}
	return false
}

// activationExprs are the activations as expressions. The others are more accurate as
// they are.
var activationExprs = map[ir.Act]ir.Expr{
	ir.NoAct: "x0", ir.ReLU: "max(x0,0)", ir.Sigmoid: "sigmoid(x0)", ir.Tanh: "tanh(x0)", ir.SiLU: "mul(x0,sigmoid(x0))",
}

// elementwise returns what an instruction does as a formula of its inputs, or nil.
func elementwise(ins *ir.Instr) *ir.Formula {
	expr := ir.Expr("")
	switch ins.Op {
	case ir.Map:
		expr = ins.Attrs.Expr
	case ir.Add:
		if ins.Attrs.Act == ir.NoAct {
			expr = "add(x0,x1)"
		}
	case ir.BiasAdd:
		expr = "add(x0,x1)"
	case ir.Activation:
		expr = activationExprs[ins.Attrs.Act]
	}
	if expr == "" {
		return nil
	}
	f, err := expr.Parse()
	if err != nil {
		panic("lower: invariant: " + err.Error())
	}
	return f
}
