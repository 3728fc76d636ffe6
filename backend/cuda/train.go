package cuda

import (
	"context"
	"fmt"
	"math"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
)

// A pass is consecutive steps, or batches of an evaluation, first ≤ i < last;
// unit i takes the rows [i, i+1)·rows of the order.
type pass struct {
	train       bool
	split       data.Split
	order       data.Perm
	first, last int
	rows        int // of a unit
	done        int64
	tick        int32      // added to the number of each batch
	sums        *plan.Plan // which says what is summed up
}

// size is the number of rows of unit i.
func (p *pass) size(i int) int { return min(p.rows, p.order.Len()-i*p.rows) }

// rowsOf is the number of rows of the first n units.
func (p *pass) rowsOf(n int) int64 {
	return int64(min((p.first+n)*p.rows, p.order.Len()) - min(p.first*p.rows, p.order.Len()))
}

// Train takes the steps of span.
func (s *session) Train(ctx context.Context, span backend.Span) (stats backend.Stats, steps int, err error) {
	if s.dev == nil {
		return span.Sums.Clone(), 0, errClosed
	}
	if s.tree != nil {
		return s.trainShards(ctx, span)
	}
	err = s.dev.Do(func() (err error) { stats, steps, err = s.train(ctx, span); return err })
	return stats, steps, s.explained(ctx, err)
}

func (s *session) train(ctx context.Context, span backend.Span) (backend.Stats, int, error) {
	stats := span.Sums.Clone()
	p, err := s.trainPass(span)
	if err != nil || p.first >= p.last {
		return stats, 0, err
	}
	rates := floats32(s.host.rates)
	copy(rates, span.Rates[:p.last-p.first])
	if err := s.dev.Upload(s.at.base[plan.Rates], s.host.rates[:4*(p.last-p.first)]); err != nil {
		return stats, 0, fmt.Errorf("cuda: rates: %w", advised(err))
	}
	control, ctxErr, err := s.pass(ctx, &p, &stats)
	if err != nil {
		return span.Sums.Clone(), 0, s.faultIn(&p, err)
	}
	steps := int(control.Index)
	if control.Halt != 0 {
		return stats, steps, s.trace(&p, p.first+steps, control.Loss)
	}
	return stats, steps, ctxErr
}

// trainPass checks a span.
func (s *session) trainPass(span backend.Span) (p pass, err error) {
	switch {
	case s.job.Data == nil:
		return p, fmt.Errorf("train: the job has no data")
	case len(span.Rates) < span.Last-span.First:
		return p, fmt.Errorf("train: got %d rates for %d steps", len(span.Rates), span.Last-span.First)
	}
	rows := s.rows(data.Train)
	p = pass{
		train: true, split: data.Train, order: data.InOrder(rows), first: span.First, last: span.Last,
		rows: s.stepRows(), done: span.Step, tick: int32(span.Tick),
	}
	if s.job.Shuffle {
		p.order = data.NewPerm(rows, s.job.Seed, span.Epoch)
	}
	if steps := s.planner.stepsPerEpoch(s.job.BatchSize); p.first < p.last && (p.first < 0 || p.last > steps) {
		return p, fmt.Errorf("train: steps %d to %d of an epoch of %d rows, which has %d",
			p.first, p.last-1, rows, steps)
	}
	if p.first < p.last {
		key := programKey{kind: gradient, rows: min(s.job.BatchSize, rows), variant: false}
		first, err := s.program(key)
		if err != nil {
			return p, err
		}
		p.sums = first.Plan
	}
	return p, nil
}

// pass lets the device do the units of a pass and adds their statistics to stats.
// It returns what the Control block says then; ctxErr is why the pass ended early.
func (s *session) pass(ctx context.Context, p *pass, stats *backend.Stats) (c plan.ControlBlock, ctxErr, err error) {
	if err := s.begin(p, stats); err != nil {
		return c, nil, err
	}
	if s.streamed {
		ctxErr, err = s.stream(ctx, p)
	} else {
		ctxErr, err = s.replay(ctx, p, p.first, p.last, -1)
	}
	if err != nil {
		return c, nil, err
	}
	return s.end(p, stats, ctxErr)
}

// begin writes the Control block and the sums so far.
func (s *session) begin(p *pass, stats *backend.Stats) error {
	control := plan.ControlBlock{Perm: p.order.Key(), Done: p.done, First: uint32(p.first * p.rows), Tick: p.tick}
	if s.streamed {
		// Rows are brought in their order, and First counts within a stage.
		control.Perm, control.First = data.Key{N: math.MaxUint32, Ordered: 1}, 0
	}
	clear(s.host.progress)
	s.unit = p.first
	copy(s.host.control, control.Bytes())
	if err := s.dev.Upload(s.at.base[plan.Control], s.host.control); err != nil {
		return err
	}
	n := p.sums.SumsSize()
	sums := floats(s.host.sums)[:2*n]
	clear(sums)
	for _, sum := range p.sums.Sums {
		to := sums[n+sum.Offset:][:sum.Size]
		if sum.Name == ir.OutLoss {
			to[0] = stats.Loss
		} else {
			copy(to, stats.Metrics[sum.Name])
		}
	}
	s.pace.begin()
	return s.dev.Upload(s.at.base[plan.Sums], s.host.sums[:16*n])
}

// replay makes the device do units first ≤ i < last.
func (s *session) replay(ctx context.Context, p *pass, first, last, stage int) (ctxErr, err error) {
	for i := first; i < last; i++ {
		if ctxErr := ctx.Err(); ctxErr != nil {
			return ctxErr, nil
		}
		r, err := s.run(runKey{p.train, p.split, p.size(i), stage})
		if err != nil {
			return nil, err
		}
		s.unit = i
		if err := s.dev.Replay(r.graph); err != nil {
			return nil, err
		}
		if err := s.pace.step(s.dev); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// firstOffset is where First is in the Control buffer, as in plan.ControlBlock.
const firstOffset = 76

// stream brings the rows of the units to the device in chunks, while it works on
// the chunk before.
func (s *session) stream(ctx context.Context, p *pass) (ctxErr, err error) {
	units := max(1, s.planner.stageRows(&s.job.Data.Parts[p.split], s.stepRows())/p.rows)
	for first, at := p.first, 0; first < p.last; first, at = first+units, (at+1)%numStages {
		last := min(first+units, p.last)
		if ctxErr := ctx.Err(); ctxErr != nil {
			return ctxErr, nil
		}
		if err := s.dev.Await(stageMark + at); err != nil {
			return nil, err
		}
		if err := s.stage(p, first, last, at); err != nil {
			return nil, err
		}
		if ctxErr, err = s.replay(ctx, p, first, last, at); ctxErr != nil || err != nil {
			return ctxErr, err
		}
		if err := s.dev.Mark(stageMark + at); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// stage brings the rows of units to a stage.
func (s *session) stage(p *pass, first, last, at int) error {
	end := min(last*p.rows, p.order.Len())
	if err := s.fill(&s.stages[at], p.split, p.order, first*p.rows, end); err != nil {
		return err
	}
	return s.dev.Clear(s.at.base[plan.Control]+firstOffset, 4)
}

// end reads the Control block and the sums, which is where the host waits for the
// device, and adds what has been done to stats.
func (s *session) end(p *pass, stats *backend.Stats, ctxErr error) (plan.ControlBlock, error, error) {
	n := p.sums.SumsSize()
	if err := s.dev.Download(s.host.control, s.at.base[plan.Control]); err != nil {
		return plan.ControlBlock{}, nil, err
	}
	if err := s.dev.Download(s.host.sums[:16*n], s.at.base[plan.Sums]); err != nil {
		return plan.ControlBlock{}, nil, err
	}
	if err := s.dev.Sync(); err != nil {
		return plan.ControlBlock{}, nil, err
	}
	c := plan.ParseControl(s.host.control)
	if c.Index < 0 || int(c.Index) > p.last-p.first {
		return c, nil, fmt.Errorf("the device counts %d of %d steps", c.Index, p.last-p.first)
	}
	stats.Rows += p.rowsOf(int(c.Index))
	sums := floats(s.host.sums)[n : 2*n]
	for _, sum := range p.sums.Sums {
		if sum.Name == ir.OutLoss {
			stats.Loss = sums[sum.Offset]
			continue
		}
		if stats.Metrics == nil {
			stats.Metrics = map[string][]float64{}
		}
		stats.Metrics[sum.Name] = append(stats.Metrics[sum.Name][:0], sums[sum.Offset:][:sum.Size]...)
	}
	return c, ctxErr, nil
}

// controlAt writes a Control block for looking at a single batch, without halt.
func (s *session) controlAt(control plan.ControlBlock, order data.Perm, first int) error {
	control.Perm, control.First = order.Key(), uint32(first)
	return s.dev.Upload(s.at.base[plan.Control], control.Bytes())
}

// values32 downloads elements as float32.
func (s *session) values32(at address, n int) ([]float32, error) {
	v := make([]float32, n)
	if err := s.dev.Download(bytesOf(v), at); err != nil {
		return nil, err
	}
	return v, s.dev.Sync()
}
