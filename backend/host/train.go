package host

import (
	"context"
	"fmt"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/internal/data"
)

// Train takes the steps of span.
func (s *session) Train(ctx context.Context, span backend.Span) (backend.Stats, int, error) {
	stats := span.Sums.Clone()
	if s.job.Data == nil {
		return stats, 0, fmt.Errorf("train: %w", errNoData)
	}
	if len(span.Rates) < span.Last-span.First {
		return stats, 0, fmt.Errorf("train: got %d rates for %d steps",
			len(span.Rates), span.Last-span.First)
	}
	for i := span.First; i < span.Last; i++ {
		if err := ctx.Err(); err != nil {
			return stats, i - span.First, err
		}
		at := backend.StepAt{Epoch: span.Epoch, Index: i, Done: span.Step + int64(i-span.First)}
		err := s.step(at, span.Rates[i-span.First], int32(span.Tick), &stats)
		if err != nil {
			return stats, i - span.First, err
		}
	}
	return stats, max(span.Last-span.First, 0), nil
}

// step takes one optimiser step: the gradients of its parts, then the update.
func (s *session) step(at backend.StepAt, rate float32, tick int32, stats *backend.Stats) error {
	rows := s.stepRows(at.Index)
	if rows < 1 {
		return fmt.Errorf("train: step %d of an epoch of %d rows", at.Index, s.trainRows())
	}
	up, err := s.program(update, 0, false)
	if err != nil {
		return err
	}
	clearSums(s.sums.Metrics)
	s.sums.Rows, s.sums.Loss = 0, 0
	if s.tree == nil && s.cut().Parts(rows) == 1 {
		err = s.whole(at, s.part(at, rows, 0, tick), up, rate)
	} else {
		err = s.addUp(at, rows, tick)
		if err == nil {
			up.update(at, rate)
		}
	}
	if err == nil {
		stats.Add(s.sums)
	}
	return err
}

// whole takes a step of one part.
func (s *session) whole(at backend.StepAt, part backend.Part, up *program, rate float32) error {
	pr, in, err := s.load(at, part, false)
	if err != nil {
		return err
	}
	both := s.both(pr, up)
	if both == nil {
		if err := s.run(at, part, pr, in); err != nil {
			return err
		}
		up.update(at, rate)
		return nil
	}
	up.set(at, rate)
	both.Begin()
	pr.fill(in)
	both.ToLoss()
	if !rules.Finite(pr.loss[0]) {
		return s.trace(pr, in, at.Done+1, pr.loss[0])
	}
	both.Finish()
	pr.addTo(&s.sums, part.Rows)
	return nil
}

// both returns what runs a gradient program and the update at once, nil for nothing.
func (s *session) both(pr, up *program) StepRunner {
	if pr.with != up {
		pr.with, pr.both = up, nil
		if e, ok := s.ex.(Stepper); ok && pr.loss != nil {
			pr.both = e.Step(pr.Runner, up.Runner)
		}
	}
	return pr.both
}

// addUp computes the gradient of a step of so many rows, part by part.
func (s *session) addUp(at backend.StepAt, rows int, tick int32) error {
	if s.tree != nil {
		s.tree.Reset()
	}
	if s.tree != nil && len(s.points) > 0 {
		if err := s.addRuns(at, rows, tick); err != nil {
			return err
		}
	} else {
		for i := range s.cut().Parts(rows) {
			if err := s.add(at, s.part(at, rows, i, tick), i); err != nil {
				return err
			}
		}
	}
	if s.tree != nil {
		sum, _ := s.tree.Root()
		copy(s.memories[0].flat, sum)
	}
	return nil
}

// addRuns adds the shards of a step whose parts meet, one run after the other.
func (s *session) addRuns(at backend.StepAt, rows int, tick int32) error {
	n := s.cut().PerRun()
	for first := 0; first < s.job.Shards; first += n {
		parts := s.shards[:0]
		for i := range n {
			parts = append(parts, s.part(at, rows, first+i, tick))
		}
		s.shards = parts
		if err := s.together(at, parts, &s.how); err != nil {
			return err
		}
		for i, part := range parts {
			var gradient []float32
			if part.Rows > 0 {
				pr := s.meeting.progs[i]
				if pr.loss != nil && !rules.Finite(pr.loss[0]) {
					return s.traceRun(at, parts, i, pr.loss[0])
				}
				pr.addTo(&s.sums, part.Rows)
				gradient = s.memories[i].flat
			}
			if err := s.tree.Push(first+i, first+i+1, gradient); err != nil {
				return err
			}
		}
	}
	return nil
}

// add adds part i of a step to the step's gradient and sums.
func (s *session) add(at backend.StepAt, part backend.Part, i int) error {
	if part.Rows == 0 {
		return s.tree.Push(i, i+1, nil)
	}
	pr, in, err := s.load(at, part, s.tree == nil && i > 0)
	if err != nil {
		return err
	}
	if err := s.run(at, part, pr, in); err != nil {
		return err
	}
	if s.tree != nil {
		return s.tree.Push(i, i+1, s.memories[0].flat)
	}
	return nil
}

// traceRun finds what spoiled a run whose parts met, in which the loss of part i is the
// first that is not finite: the cause may be in any part.
func (s *session) traceRun(at backend.StepAt, parts []backend.Part, i int, loss float32) error {
	return backend.TraceRun(parts, i, func(part backend.Part) error {
		return s.Trace(context.Background(), at, part, loss)
	})
}

// run computes the gradient of a part, and adds to the step's sums.
func (s *session) run(at backend.StepAt, part backend.Part, pr *program, in batch) error {
	pr.fill(in)
	pr.Run()
	if pr.loss != nil && !rules.Finite(pr.loss[0]) {
		return s.trace(pr, in, at.Done+1, pr.loss[0])
	}
	pr.addTo(&s.sums, part.Rows)
	return nil
}

// trainRows returns the number of rows of an epoch.
func (s *session) trainRows() int { return s.job.Data.Parts[data.Train].Rows }

// stepRows returns the number of rows of a step, 0 or less for one that no epoch
// has.
func (s *session) stepRows(index int) int { return s.cut().Rows(index, s.trainRows()) }

// cut says how steps are cut.
func (s *session) cut() rules.Cut { return rules.CutOf(&s.job, len(s.points) > 0) }

// part returns part i of a step of so many rows.
func (s *session) part(at backend.StepAt, rows, i int, tick int32) backend.Part {
	c := s.cut()
	part := c.Part(at, at.Index*c.Size(), rows, i)
	part.Tick += tick
	return part
}

// A batch is what a run reads.
type batch struct {
	x, y *data.Table
	rows []uint32
	seed float32
	tick int32
}

// fill writes a program's inputs.
func (pr *program) fill(b batch) {
	pr.gather(pr.x, b.x, b.rows)
	if b.y != nil {
		pr.gather(pr.y, b.y, b.rows)
	}
	if pr.seed != nil {
		pr.seed[0] = b.seed
	}
	if pr.tick != nil {
		pr.tick[0] = b.tick
	}
}

// addTo adds the outputs of a run to stats.
func (pr *program) addTo(stats *backend.Stats, rows int) {
	stats.Rows += int64(rows)
	if pr.loss != nil {
		stats.Loss += float64(pr.loss[0]) * float64(rows)
	}
	for _, m := range pr.metrics {
		sums := stats.Metrics[m.name]
		if sums == nil {
			if stats.Metrics == nil {
				stats.Metrics = map[string][]float64{}
			}
			sums = make([]float64, len(m.sums))
			stats.Metrics[m.name] = sums
		}
		for i, v := range m.sums {
			sums[i] += float64(v)
		}
	}
}

func clearSums(metrics map[string][]float64) {
	for _, sums := range metrics {
		clear(sums)
	}
}
