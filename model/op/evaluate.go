package op

import (
	"errors"
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gespann/gespann/backend/ir"
)

// An Evaluator runs a program whose values' memory is given by slot: floats for
// Float values, ints for Int ones.
type Evaluator func(p *ir.Program, floats [][]float64, ints [][]int32) error

var evaluator Evaluator

// SetEvaluator registers what runs the ops in Gorgonia's TapeMachine, which
// tests compare with the lowered program. This package computes nothing itself,
// and imports no backend.
func SetEvaluator(e Evaluator) { evaluator = e }

// Do runs the op as a program of one instruction.
func (o Op) Do(in ...G.Value) (G.Value, error) {
	if evaluator == nil {
		return nil, errors.New("op: no evaluator is set")
	}
	p := &ir.Program{Name: "gradient", Batch: 1}
	instr := ir.Instr{Op: o.Kind, Attrs: o.Attrs, Layer: o.Layer}
	for i, v := range in {
		value := o.sig.value(i, v.Shape())
		value.Kind, value.Name = ir.Input, fmt.Sprint("in", i)
		instr.In = append(instr.In, ir.Slot(len(p.Values)))
		p.Values = append(p.Values, value)
	}
	out, err := ir.Infer(o.Kind, o.Attrs, p.Values)
	if err != nil {
		return nil, err
	}
	for _, value := range out {
		instr.Out = append(instr.Out, ir.Slot(len(p.Values)))
		p.Values = append(p.Values, value)
	}
	p.Instrs = []ir.Instr{instr}
	return o.run(p, in, instr.Out[o.Which])
}

// run returns the value of slot out.
func (o Op) run(p *ir.Program, in []G.Value, out ir.Slot) (G.Value, error) {
	floats, ints := make([][]float64, len(p.Values)), make([][]int32, len(p.Values))
	for i, v := range p.Values {
		switch {
		case i < len(in) && v.Type == ir.Int:
			ints[i] = in[i].Data().([]int32)
		case i < len(in):
			floats[i] = in[i].Data().([]float64)
		case v.Type == ir.Int:
			ints[i] = make([]int32, v.Size())
		default:
			floats[i] = make([]float64, v.Size())
		}
	}
	if err := evaluator(p, floats, ints); err != nil {
		return nil, fmt.Errorf("%v: %w", o, err)
	}
	shape := tensor.WithShape(p.Values[out].Shape...)
	if p.Values[out].Type == ir.Int {
		return tensor.New(shape, tensor.WithBacking(ints[out])), nil
	}
	return tensor.New(shape, tensor.WithBacking(floats[out])), nil
}
