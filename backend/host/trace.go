package host

import (
	"slices"
	"strings"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
)

// trace finds the first value that is not finite behind a loss that is not:
// among the variables, the inputs, then the instructions, which it runs one by
// one on the same batch.
func (s *session) trace(pr *program, in batch, step int64, loss float32) error {
	e := &backend.NotFiniteError{Step: step, Loss: loss, Layer: "the model", Value: "loss"}
	for i, v := range s.vars {
		if !allFinite(s.values[i]) {
			e.Layer, e.Value = layerOf(v.Name), "variable "+v.Name
			return e
		}
	}
	pr.fill(in)
	if !allFinite(pr.x.f) || !allFinite(pr.y.f) {
		e.Layer, e.Value = "the data", "input "+ir.InX
		if allFinite(pr.x.f) {
			e.Value = "input " + ir.InY
		}
		return e
	}
	for i := range pr.p.Instrs {
		pr.Exec(i)
		ins := &pr.p.Instrs[i]
		for _, out := range ins.Out {
			// A gradient may still hold what the failed run added to it.
			if out == ir.None || pr.p.Values[out].Kind == ir.Grad && ins.Op == ir.Accumulate {
				continue
			}
			if !allFinite(pr.slots.F[out]) {
				e.Layer, e.Value = ins.Layer, ins.Op.String()+" output"
				return e
			}
		}
	}
	return e
}

// layerOf returns the layer's part of a variable's name.
func layerOf(name string) string {
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		return name[:i]
	}
	return name
}

func allFinite(v []float32) bool {
	return !slices.ContainsFunc(v, func(v float32) bool { return !finite(v) })
}
