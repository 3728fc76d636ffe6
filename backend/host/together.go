package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/meet"
)

// Parts of a gradient run that meet are run in lockstep, from one point to the next. What
// they hold in between is kept apart: each part but the first has a memory of its own, for
// inputs, activations and gradients. Together the activations are those of all their rows,
// as if one program had them; of gradients there are as many as parts.

// memory is what a program runs on beside the variables.
type memory struct {
	arena []float32   // shared by all programs of this memory, of which one runs at a time
	flat  []float32   // all gradients
	grads [][]float32 // by variable, in flat; nil for optimiser state
}

// memoryOf returns the memory of the parts in place i of a run.
func (s *session) memoryOf(i int) *memory {
	for len(s.memories) <= i {
		m := &memory{flat: Alloc(s.layout.size)}
		m.grads = s.layout.views(s.vars, m.flat)
		s.memories = append(s.memories, m)
	}
	return s.memories[i]
}

// A meeting is the parts that are being run together.
type meeting struct {
	parts  []backend.Part
	progs  []*program  // nil for a part without rows
	own    [][]float64 // at the point at hand, by part
	totals [][]float64 // by point: of all parts of the latest run
	none   [][]float64 // by part and point: of one without rows
}

// nothing returns the vector of a part without rows.
func (m *meeting) nothing(part, index int, point meet.Point) []float64 {
	i := part*len(m.totals) + index
	for len(m.none) <= i {
		m.none = append(m.none, nil)
	}
	if m.none[i] == nil {
		m.none[i] = point.Vector()
	}
	meet.SetCount(m.none[i], 0) // others may have been merged into it
	return m.none[i]
}

// Meets reports whether parts need one another.
func (s *session) Meets() bool { return s.layOut() == nil && len(s.points) > 0 }

// Together computes the gradients of parts of a run.
func (s *session) Together(ctx context.Context, at backend.StepAt, parts []backend.Part,
	how backend.Together) ([]backend.Outcome, error) {
	if err := errors.Join(ctx.Err(), s.layOut()); err != nil {
		return nil, err
	}
	if how.Each == nil && len(parts) > 1 || how.Each != nil && how.Add {
		return nil, fmt.Errorf("together: %d parts, want one, or gradients apart that are not added", len(parts))
	}
	if err := s.together(at, parts, &how); err != nil {
		return nil, fmt.Errorf("together: %w", err)
	}
	outcomes := make([]backend.Outcome, len(parts))
	for i, part := range parts {
		if part.Rows > 0 {
			outcomes[i] = s.meeting.progs[i].outcome(part.Rows, s.layout.metrics)
		}
	}
	return outcomes, nil
}

// together runs the programs of parts, which stay in s.meeting.
func (s *session) together(at backend.StepAt, parts []backend.Part, how *backend.Together) error {
	m := &s.meeting
	m.parts, m.progs, m.own = parts, m.progs[:0], m.own[:0]
	for i, part := range parts {
		m.own = append(m.own, nil)
		if part.Rows == 0 {
			m.progs = append(m.progs, nil)
			continue
		}
		pr, in, err := s.loadIn(i, at, part, how.Add)
		if err != nil {
			return err
		}
		pr.fill(in)
		pr.begin()
		m.progs = append(m.progs, pr)
	}
	for i, point := range s.points {
		if err := s.meet(i, point, how); err != nil {
			return err
		}
	}
	for _, pr := range m.progs {
		if pr != nil {
			pr.goOn(len(pr.p.Instrs), how.Ready)
		}
	}
	for i, pr := range m.progs {
		if pr != nil && how.Each != nil {
			if err := how.Each(i, s.memories[i].flat); err != nil {
				return err
			}
		}
	}
	return nil
}

// meet runs all parts to a point, and past it.
func (s *session) meet(index int, point meet.Point, how *backend.Together) error {
	m := &s.meeting
	for i, pr := range m.progs {
		if pr == nil {
			m.own[i] = m.nothing(i, index, point)
			continue
		}
		if index >= len(pr.points) || pr.points[index].Channels != point.Channels {
			return fmt.Errorf("the program of %d rows meets elsewhere than that of a batch", m.parts[i].Rows)
		}
		at := pr.points[index].Instr
		pr.goOn(at, how.Ready)
		h := pr.meeter.Meet(at)
		h.Sums()
		m.own[i] = h.V
	}
	all, err := how.Meet(m.own)
	if err != nil {
		return err
	}
	if copy(m.totals[index], all) != len(all) || len(all) != meet.Len(point.Channels) {
		return fmt.Errorf("parts met with %d numbers, want %d", len(all), meet.Len(point.Channels))
	}
	for _, pr := range m.progs {
		if pr != nil {
			pr.past(pr.points[index].Instr, m.totals[index])
		}
	}
	return nil
}

// begin begins a run that stops on the way.
func (pr *program) begin() { pr.next, pr.marked = 0, 0 }

// goOn runs instructions up to number end, and calls ready at the marks before.
func (pr *program) goOn(end int, ready func(end int)) {
	for ; pr.next < end; pr.next++ {
		pr.mark(ready)
		pr.Exec(pr.next)
	}
	if end == len(pr.p.Instrs) {
		pr.mark(ready)
	}
}

// past finishes the instruction at hand, with the sums of all parts.
func (pr *program) past(at int, all []float64) {
	h := pr.meeter.Meet(at)
	copy(h.V, all)
	h.Rest()
	pr.next = at + 1
}

// mark calls ready when the next instruction is behind a mark.
func (pr *program) mark(ready func(end int)) {
	for ; pr.marked < len(pr.marks) && pr.marks[pr.marked].instr < pr.next; pr.marked++ {
		if ready != nil {
			ready(pr.marks[pr.marked].end)
		}
	}
}

// inTree merges the vectors of all shards of a run.
func inTree(own [][]float64) ([]float64, error) {
	err := meet.Fold(own, 0, len(own))
	return own[0], err
}
