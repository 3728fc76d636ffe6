package backendtest

import (
	"fmt"
	"testing"

	"github.com/gespann/gespann/backend/ir"
)

// A Builder writes programs for tests, with shapes from ir.Infer.
type Builder struct {
	t    testing.TB
	P    *ir.Program
	Vars []ir.Var
}

// NewBuilder starts a program.
func NewBuilder(t testing.TB, name string, batch int, vars []ir.Var) *Builder {
	return &Builder{t: t, P: &ir.Program{Name: name, Batch: batch}, Vars: vars}
}

// Value adds a value.
func (b *Builder) Value(v ir.Value) ir.Slot {
	b.P.Values = append(b.P.Values, v)
	return ir.Slot(len(b.P.Values) - 1)
}

// Input adds an input.
func (b *Builder) Input(name string, t ir.Type, shape ...int) ir.Slot {
	return b.Value(ir.Value{Name: name, Type: t, Kind: ir.Input, Shape: shape, Var: -1, Of: ir.None})
}

// Variable adds the value of a variable.
func (b *Builder) Variable(i int) ir.Slot {
	v := b.Vars[i]
	return b.Value(ir.Value{Name: v.Name, Kind: ir.Variable, Shape: v.Shape, Var: i, Of: ir.None})
}

// Grad adds the gradient of a variable.
func (b *Builder) Grad(i int) ir.Slot {
	v := b.Vars[i]
	return b.Value(ir.Value{Name: "grad/" + v.Name, Kind: ir.Grad, Shape: v.Shape, Var: i, Of: ir.None})
}

// View adds a view.
func (b *Builder) View(of ir.Slot, shape ...int) ir.Slot {
	if v := &b.P.Values[of]; v.Kind == ir.View {
		of = v.Of
	}
	return b.Value(ir.Value{Type: b.P.Values[of].Type, Kind: ir.View, Shape: shape, Var: -1, Of: of})
}

// Do adds an instruction and returns its outputs, which are temporaries.
func (b *Builder) Do(op ir.Op, a ir.Attrs, in ...ir.Slot) []ir.Slot {
	b.t.Helper()
	values := make([]ir.Value, len(in))
	for i, s := range in {
		values[i] = b.P.Values[s]
	}
	outs, err := ir.Infer(op, a, values)
	if err != nil {
		b.t.Fatal(err)
	}
	slots := make([]ir.Slot, len(outs))
	for i, v := range outs {
		slots[i] = b.Value(v)
	}
	b.Assign(op, a, in, slots)
	return slots
}

// Assign adds an instruction with given outputs.
func (b *Builder) Assign(op ir.Op, a ir.Attrs, in, out []ir.Slot) {
	layer := fmt.Sprintf("model[%d] %v", len(b.P.Instrs), op)
	b.P.Instrs = append(b.P.Instrs, ir.Instr{Op: op, Attrs: a, In: in, Out: out, Layer: layer})
}

// Name makes a temporary an output.
func (b *Builder) Name(s ir.Slot, name string) {
	b.P.Values[s].Kind, b.P.Values[s].Name = ir.Output, name
}

// Done verifies the program and returns it.
func (b *Builder) Done() *ir.Program {
	b.t.Helper()
	if err := ir.Verify(b.P, b.Vars); err != nil {
		b.t.Fatal(err)
	}
	return b.P
}
