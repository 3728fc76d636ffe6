package worker

import (
	"context"
	"fmt"
	"maps"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/wire"
)

// evaluate evaluates batches of a split, with the worker's variables or with
// parameters and states that came along.
func (s *serving) evaluate(t *task, m *wire.Evaluate, floats []float32) (err error) {
	if err := s.mine(m.Job); err != nil {
		return err
	}
	s.account.enter(compute)
	defer s.account.enter(idle)
	j := s.held
	switch {
	case len(floats) > 0:
		putBack, err := j.lend(t.ctx, floats)
		if err != nil {
			return fmt.Errorf("evaluate: %w", err)
		}
		defer func() {
			if e := putBack(); err == nil {
				err = e
			}
		}()
	case j.at == nil:
		return fmt.Errorf("evaluate: %w", errNowhere)
	}
	answer := &wire.Evaluated{Job: j.ID, Task: m.Task}
	err = j.replica.EvaluateBatches(t.ctx, m.Split, m.First, m.Last, func(stats backend.Stats) {
		answer.Stats = append(answer.Stats, numbers(stats))
	})
	if err != nil {
		return err
	}
	return s.send(answer, nil)
}

// numbers returns statistics without metrics that are tables, such as a confusion
// matrix: training shows none, and they would fill the messages.
func numbers(stats backend.Stats) wire.Stats {
	s := wire.FromStats(stats)
	maps.DeleteFunc(s.Metrics, func(_ string, sums []wire.Number) bool { return len(sums) > 1 })
	return s
}

// lend sets parameters and states until putBack.
func (j *job) lend(ctx context.Context, floats []float32) (putBack func() error, err error) {
	own, err := j.replica.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if err := j.restore(ctx, &j.model, floats); err != nil {
		return nil, err
	}
	return func() error { return j.replica.Restore(context.WithoutCancel(ctx), own) }, nil
}
