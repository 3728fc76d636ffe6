package cuda

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/internal/data"
)

// trace finds the first value that is not finite behind a loss that is not:
// among the variables, the inputs, then the instructions, which it runs one by
// one. Unit i of the pass has changed no variable, so its gradient runs are taken
// again until one has such a loss.
func (s *session) trace(p *pass, i int, loss float32) error {
	e := &backend.NotFiniteError{
		Step: p.done + int64(i-p.first) + 1, Loss: loss, Layer: backend.UnknownLayer, Value: "loss",
	}
	found, err := s.traceVars(e)
	if err == nil && !found {
		err = s.traceStep(p, i, e)
	}
	if err != nil {
		return fmt.Errorf("cuda: %w: looking for its cause: %w", e, advised(err))
	}
	return e
}

// traceVars looks for the cause in the variables.
func (s *session) traceVars(e *backend.NotFiniteError) (found bool, err error) {
	for k, v := range s.vars {
		values, err := s.values32(s.at.vars[k], ir.Size(v.Shape))
		if err != nil {
			return false, err
		}
		if !allFinite(values) {
			e.Layer, e.Value = layerOf(v.Name), "variable "+v.Name
			return true, nil
		}
	}
	return false, nil
}

// traceStep looks for the cause in the gradient runs of a step.
func (s *session) traceStep(p *pass, i int, e *backend.NotFiniteError) error {
	order, begin, stage := p.order, i*p.rows, -1
	if s.streamed {
		stage = 0
		if err := s.stage(p, i, i+1, stage); err != nil {
			return err
		}
		order, begin = data.InOrder(p.size(i)), 0
	}
	for micro, first := 0, 0; first < p.size(i); micro, first = micro+1, first+s.job.BatchSize {
		rows := min(s.job.BatchSize, p.size(i)-first)
		pr, err := s.program(programKey{kind: gradient, rows: rows, variant: micro > 0})
		if err != nil {
			return err
		}
		if err := s.controlAt(plan.ControlBlock{Done: e.Step - 1, Tick: p.tick}, order, begin+first); err != nil {
			return err
		}
		list, err := s.batchCommands(pr, s.bind(pr, p.split, stage), p.split, plan.Batch{
			Weight: float32(rows) / float32(p.size(i)), Micro: micro, Accumulate: s.job.Accumulate,
		})
		if err != nil {
			return err
		}
		if err := s.launch(list, nil); err != nil {
			return err
		}
		if bad, err := s.badLoss(pr); err != nil {
			return err
		} else if bad {
			return s.traceBatch(pr, list, e)
		}
	}
	return nil
}

// badLoss reports whether the loss of the run just made is not finite.
func (s *session) badLoss(pr *program) (bool, error) {
	at, v, ok := pr.Value(ir.OutLoss)
	if !ok || v.Kind != ir.Output {
		return false, nil
	}
	loss, err := s.values32(s.at.address(at), 1)
	return err == nil && !rules.Finite(loss[0]), err
}

// traceBatch takes a batch again, instruction by instruction.
func (s *session) traceBatch(pr *program, list []command, e *backend.NotFiniteError) error {
	if err := s.launch(list[:1], nil); err != nil {
		return err
	}
	for _, name := range []string{ir.InX, ir.InY} {
		at, v, ok := pr.Value(name)
		if !ok || v.Type != ir.Float {
			continue
		}
		values, err := s.values32(s.at.address(at), v.Size())
		if err != nil {
			return err
		}
		if !allFinite(values) {
			e.Layer, e.Value = "the data", "input "+name
			return nil
		}
	}
	for at := 1; at < len(list); {
		instr := list[at].Instr
		next := at
		for next < len(list) && list[next].Instr == instr {
			next++
		}
		if err := s.launch(list[at:next], nil); err != nil {
			return err
		}
		var computed []int
		for _, c := range list[at:next] {
			computed = append(append(computed, c.Instr), c.Also...)
		}
		slices.Sort(computed)
		for _, instr := range slices.Compact(computed) {
			if bad, err := s.badOutput(pr, instr); bad || err != nil {
				if bad {
					ins := &pr.Program.Instrs[instr]
					e.Layer, e.Value = ins.Layer, ins.Op.String()+" output"
				}
				return err
			}
		}
		at = next
	}
	return nil
}

// badOutput reports whether an instruction has put out a value that is not
// finite.
func (s *session) badOutput(pr *program, instr int) (bool, error) {
	ins := &pr.Program.Instrs[instr]
	for _, out := range ins.Out {
		// A gradient may still hold what the failed run added to it.
		if out == ir.None || pr.Program.Values[out].Kind == ir.Grad && ins.Op == ir.Accumulate {
			continue
		}
		v := &pr.Program.Values[out]
		if v.Type != ir.Float {
			continue
		}
		values, err := s.values32(s.at.address(pr.Values[out]), v.Size())
		if err != nil || !allFinite(values) {
			return err == nil, err
		}
	}
	return false, nil
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
