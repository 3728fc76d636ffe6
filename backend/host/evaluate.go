package host

import (
	"context"
	"fmt"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/internal/data"
)

// Evaluate returns loss and metrics over a split, taken in order.
func (s *session) Evaluate(ctx context.Context, split data.Split) (stats backend.Stats, err error) {
	part, err := rules.Split(&s.job, split)
	if err != nil {
		return stats, err
	}
	err = s.forward(ctx, &part.X, &part.Y, 0, part.Rows, func(pr *program, rows int) error {
		pr.addTo(&stats, rows)
		return nil
	})
	return stats, err
}

// EvaluateBatches calls each with the statistics of batches first ≤ i < last.
func (s *session) EvaluateBatches(ctx context.Context, split data.Split, first, last int,
	each func(backend.Stats)) error {
	part, err := rules.Split(&s.job, split)
	if err != nil {
		return err
	}
	if err := rules.CheckBatches(&s.job, part.Rows, first, last); err != nil {
		return err
	}
	size := s.job.BatchSize
	return s.forward(ctx, &part.X, &part.Y, first*size, min(last*size, part.Rows),
		func(pr *program, rows int) error {
			var stats backend.Stats
			pr.addTo(&stats, rows)
			each(stats)
			return nil
		})
}

// Predict calls emit with the model's output for consecutive rows of x.
func (s *session) Predict(ctx context.Context, x *data.Table,
	emit func(out []float32, shape []int) error) error {
	rows := x.Rows()
	if rows == 0 {
		return nil
	}
	batch := min(rows, s.job.BatchSize)
	pr, err := s.program(forward, batch, false)
	if err != nil {
		return err
	}
	if err := rules.CheckInput(pr.p, ir.InX, x, batch); err != nil {
		return err
	}
	if pr.prediction == nil {
		return fmt.Errorf("program %s has no output %s", pr.p.Name, ir.OutPrediction)
	}
	return s.forward(ctx, x, nil, 0, rows, func(pr *program, _ int) error {
		return emit(pr.prediction, pr.shape)
	})
}

// forward runs the inference program over rows first ≤ r < last in order, and
// calls each after every batch. Without y it is the program without targets.
func (s *session) forward(ctx context.Context, x, y *data.Table, first, last int,
	each func(pr *program, rows int) error) error {
	order := data.InOrder(last)
	for ; first < last; first += s.job.BatchSize {
		if err := ctx.Err(); err != nil {
			return err
		}
		batchRows := s.rows[:min(s.job.BatchSize, last-first)]
		order.Fill(batchRows, first)
		pr, err := s.program(forward, len(batchRows), y != nil)
		if err != nil {
			return err
		}
		pr.fill(batch{x: x, y: y, rows: batchRows, seed: 1})
		pr.Run()
		if err := each(pr, len(batchRows)); err != nil {
			return err
		}
	}
	return nil
}
