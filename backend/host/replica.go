package host

import (
	"context"
	"fmt"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/internal/data"
)

var _ backend.Replica = (*session)(nil)

// Gradients returns the vector of all gradients, nil for a model that has no
// gradient program.
func (s *session) Gradients() []float32 {
	if s.layOut() != nil {
		return nil // Gradient and Update say why
	}
	return s.memories[0].flat
}

// Outcomes describes the metrics of an Outcome.
func (s *session) Outcomes() backend.Layout {
	if s.layOut() != nil {
		return backend.Layout{}
	}
	return s.layout.metrics
}

// Gradient computes the gradient of a part.
func (s *session) Gradient(ctx context.Context, at backend.StepAt, part backend.Part, add bool,
	ready func(end int)) (backend.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return backend.Outcome{}, err
	}
	pr, in, err := s.load(at, part, add)
	if err != nil {
		return backend.Outcome{}, fmt.Errorf("gradient: %w", err)
	}
	pr.fill(in)
	pr.run(ready)
	return pr.outcome(part.Rows, s.layout.metrics), nil
}

// outcome returns what a run of so many rows has measured.
func (pr *program) outcome(rows int, metrics backend.Layout) backend.Outcome {
	o := backend.Outcome{Rows: rows, Metrics: make([]float32, 0, metrics.Len())}
	if pr.loss != nil {
		o.Loss = pr.loss[0]
	}
	for _, m := range pr.metrics {
		o.Metrics = append(o.Metrics, m.sums...)
	}
	return o
}

// Update applies Gradients to the variables.
func (s *session) Update(ctx context.Context, at backend.StepAt, rate float32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	up, err := s.program(update, 0, false)
	if err != nil {
		return err
	}
	up.update(at, rate)
	return nil
}

// Trace finds what is not finite in a part.
func (s *session) Trace(ctx context.Context, at backend.StepAt, part backend.Part, loss float32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	pr, in, err := s.load(at, part, false)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	return s.trace(pr, in, at.Done+1, loss)
}

// load returns the gradient program of a part, and what it reads.
func (s *session) load(at backend.StepAt, part backend.Part, add bool) (*program, batch, error) {
	return s.loadIn(0, at, part, add)
}

// loadIn is load on one of the session's memories.
func (s *session) loadIn(memory int, at backend.StepAt, part backend.Part, add bool) (*program, batch, error) {
	if s.job.Data == nil {
		return nil, batch{}, errNoData
	}
	set := &s.job.Data.Parts[data.Train]
	if err := rules.CheckPart(&s.job, part); err != nil {
		return nil, batch{}, err
	}
	pr, err := s.programIn(memory, gradient, part.Rows, add)
	if err != nil {
		return nil, batch{}, err
	}
	order := data.InOrder(set.Rows)
	if s.job.Shuffle {
		order = data.NewPerm(set.Rows, s.job.Seed, at.Epoch)
	}
	in := batch{x: &set.X, y: &set.Y, rows: s.rows[:part.Rows], seed: part.Weight, tick: part.Tick}
	order.Fill(in.rows, part.First)
	return pr, in, nil
}

// run runs the program. With ready, it stops at the marks to call that.
func (pr *program) run(ready func(end int)) {
	if ready == nil {
		pr.Run()
		return
	}
	i := 0
	for _, m := range pr.marks {
		for ; i <= m.instr; i++ {
			pr.Exec(i)
		}
		ready(m.end)
	}
	for ; i < len(pr.p.Instrs); i++ {
		pr.Exec(i)
	}
}

// update runs the optimiser's program.
func (pr *program) update(at backend.StepAt, rate float32) {
	pr.set(at, rate)
	pr.Run()
}

// set writes the inputs of the optimiser's program.
func (pr *program) set(at backend.StepAt, rate float32) {
	if pr.rate != nil {
		pr.rate[0] = rate
	}
	if pr.step != nil {
		pr.step[0] = int32(at.Done + 1)
	}
}
