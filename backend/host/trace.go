package host

import (
	"math"
	"slices"
	"strings"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
	"github.com/gespann/gespann/backend/rules"
)

// trace finds the first value that is not finite behind a loss that is not:
// among the variables, the inputs, then the instructions, which it runs one by
// one on the same batch.
func (s *session) trace(pr *program, in batch, step int64, loss float32) error {
	e := &backend.NotFiniteError{Step: step, Loss: loss, Layer: backend.UnknownLayer, Value: "loss"}
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
	if at := pr.findIn(nil); at != nil {
		e.Layer, e.Value = at.Layer, at.Op.String()+" output"
	} else if totals := s.meeting.totals; len(s.meeting.parts) > 0 && len(pr.points) == len(totals) && allTotalsFinite(totals) {
		// By itself the part would have been well.
		pr.fill(in)
		if at := pr.findIn(totals); at != nil {
			e.Layer, e.Value = at.Layer, at.Op.String()+" output"
		}
	}
	return e
}

// findIn runs the instructions one by one and returns the first with an output that is not
// finite, or nil. With totals, statistics are those of the latest run whose parts met.
func (pr *program) findIn(totals [][]float64) *ir.Instr {
	pr.begin()
	for i := range pr.p.Instrs {
		if n := pr.met(i); n >= 0 && totals != nil {
			pr.meeter.Meet(i).Sums()
			pr.past(i, totals[n])
		} else {
			pr.Exec(i)
		}
		ins := &pr.p.Instrs[i]
		for _, out := range ins.Out {
			// A gradient may still hold what the failed run added to it.
			if out == ir.None || pr.p.Values[out].Kind == ir.Grad && ins.Op == ir.Accumulate {
				continue
			}
			if !allFinite(pr.slots.F[out]) {
				return ins
			}
		}
	}
	return nil
}

// met returns which point instruction i is, or -1.
func (pr *program) met(i int) int {
	return slices.IndexFunc(pr.points, func(p meet.Point) bool { return p.Instr == i })
}

// allTotalsFinite reports whether nothing that parts told one another spoils them all:
// otherwise the cause is with another part.
func allTotalsFinite(totals [][]float64) bool {
	for _, v := range totals {
		if slices.ContainsFunc(v, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }) {
			return false
		}
	}
	return true
}

// layerOf returns the layer's part of a variable's name.
func layerOf(name string) string {
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		return name[:i]
	}
	return name
}

func allFinite(v []float32) bool {
	return !slices.ContainsFunc(v, func(v float32) bool { return !rules.Finite(v) })
}
