package cuda

import (
	"context"
	"fmt"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/internal/data"
)

// Evaluate returns loss and metrics over a split, taken in order.
func (s *session) Evaluate(ctx context.Context, split data.Split) (stats backend.Stats, err error) {
	if s.dev == nil {
		return stats, errClosed
	}
	if _, err := rules.Split(&s.job, split); err != nil {
		return stats, err
	}
	err = s.dev.Do(func() (err error) { stats, err = s.evaluate(ctx, split); return err })
	return stats, s.explained(ctx, err)
}

func (s *session) evaluate(ctx context.Context, split data.Split) (stats backend.Stats, err error) {
	n, batch := s.rows(split), s.job.BatchSize
	if n == 0 {
		return stats, nil
	}
	first, err := s.program(programKey{kind: forward, rows: min(n, batch), variant: true})
	if err != nil {
		return stats, err
	}
	p := pass{
		split: split, order: data.InOrder(n), last: (n + batch - 1) / batch, rows: batch, sums: first.Plan,
	}
	control, ctxErr, err := s.pass(ctx, &p, &stats)
	if err == nil && control.Halt != 0 {
		ctxErr, err = s.evaluateOn(ctx, &p, int(control.Index), &stats)
	}
	if err != nil {
		return stats, s.faultIn(&p, err)
	}
	return stats, ctxErr
}

// evaluateOn goes on with unit i of an evaluation, which had a loss that is not
// finite: the device stops at one, but here it is a result like any other.
func (s *session) evaluateOn(ctx context.Context, p *pass, i int, stats *backend.Stats) (ctxErr, err error) {
	for ; i < p.last; i++ {
		if err := ctx.Err(); err != nil {
			return err, nil
		}
		rows, order, first, stage := p.size(i), p.order, i*p.rows, -1
		if s.streamed {
			order, first, stage = data.InOrder(rows), 0, 0
			if err := s.stage(p, i, i+1, stage); err != nil {
				return nil, err
			}
		}
		pr, err := s.program(programKey{kind: forward, rows: rows, variant: true})
		if err != nil {
			return nil, err
		}
		if err := s.controlAt(plan.ControlBlock{}, order, first); err != nil {
			return nil, err
		}
		batch, err := s.batchCommands(pr, s.bind(pr, p.split, stage), p.split, plan.Batch{Weight: 1, Accumulate: 1})
		if err != nil {
			return nil, err
		}
		if err := s.launch(batch, nil); err != nil {
			return nil, err
		}
		if err := s.addOutputs(pr, rows, stats); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// addOutputs adds loss and metrics of the batch just run to stats.
func (s *session) addOutputs(pr *program, rows int, stats *backend.Stats) error {
	t := backend.Stats{Rows: int64(rows), Metrics: map[string][]float64{}}
	for _, sum := range pr.Sums {
		name := ir.MetricPrefix + sum.Name
		if sum.Name == ir.OutLoss {
			name = ir.OutLoss
		}
		at, v, _ := pr.Value(name)
		values, err := s.values32(s.at.address(at), v.Size())
		if err != nil {
			return err
		}
		if sum.Name == ir.OutLoss {
			t.Loss = float64(values[0]) * float64(rows)
			continue
		}
		for _, x := range values {
			t.Metrics[sum.Name] = append(t.Metrics[sum.Name], float64(x))
		}
	}
	stats.Add(t)
	return nil
}

// Predict calls emit with the model's output for consecutive rows of x.
func (s *session) Predict(ctx context.Context, x *data.Table,
	emit func(out []float32, shape []int) error) error {
	if s.dev == nil {
		return errClosed
	}
	return s.dev.Do(func() error { return s.predictAll(ctx, x, emit) })
}

func (s *session) predictAll(ctx context.Context, x *data.Table,
	emit func(out []float32, shape []int) error) error {
	rows := x.Rows()
	if rows == 0 {
		return nil
	}
	batch := min(rows, s.job.BatchSize)
	pr, err := s.program(programKey{kind: forward, rows: batch, variant: false})
	if err != nil {
		return fmt.Errorf("cuda: %w", err)
	}
	if err := rules.CheckInput(pr.Program, ir.InX, x, batch); err != nil {
		return err
	}
	if _, _, ok := pr.Value(ir.OutPrediction); !ok {
		return fmt.Errorf("program %s has no output %s", pr.Program.Name, ir.OutPrediction)
	}
	c, err := s.column(x, false)
	if err == nil {
		c.data, err = s.zeros(int64(batch) * rowBytes(x))
	}
	if err != nil {
		return fmt.Errorf("cuda: rows: %w", advised(err))
	}
	defer func() {
		for _, a := range []address{c.data, c.scale, c.shift} {
			if a != 0 {
				s.dev.Release(a)
			}
		}
	}()
	for first := 0; first < rows; first += batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.predict(&c, first, min(first+batch, rows), emit); err != nil {
			return err
		}
	}
	return nil
}

// predict applies the model to rows of a table.
func (s *session) predict(c *column, first, last int, emit func(out []float32, shape []int) error) error {
	pr, err := s.program(programKey{kind: forward, rows: last - first, variant: false})
	if err != nil {
		return fmt.Errorf("cuda: %w", err)
	}
	at := s.at
	at.base[plan.Tables], at.base[plan.DataX] = pr.table, c.data
	at.norm(c, plan.CenterX, plan.ScaleX, plan.ShiftX)
	gather := gatherCommand(pr, &at, plan.Batch{X: c.Column, Weight: 1, Accumulate: 1})
	if err := s.prepare(pr.Plan, &gather.Launch); err != nil {
		return fmt.Errorf("cuda: %w", err)
	}
	list, err := s.programCommands(pr, &at)
	if err != nil {
		return fmt.Errorf("cuda: %w", err)
	}
	if err := s.controlAt(plan.ControlBlock{}, data.InOrder(last-first), 0); err != nil {
		return fmt.Errorf("cuda: %w", advised(err))
	}
	if err := s.dev.Upload(c.data, stored(c.table, first, last)); err != nil {
		return fmt.Errorf("cuda: rows: %w", advised(err))
	}
	if err := s.launch(append([]command{gather}, list...), nil); err != nil {
		return fmt.Errorf("cuda: %w", err)
	}
	ref, v, _ := pr.Value(ir.OutPrediction)
	out, err := s.values32(at.address(ref), v.Size())
	if err != nil {
		return fmt.Errorf("cuda: prediction: %w", advised(err))
	}
	return emit(out, v.Shape)
}
