package host

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/data"
)

// Train takes the steps of span.
func (s *session) Train(ctx context.Context, span backend.Span) (backend.Stats, int, error) {
	stats := cloneStats(span.Sums)
	if s.job.Data == nil {
		return stats, 0, fmt.Errorf("train: the job has no data")
	}
	if len(span.Rates) < span.Last-span.First {
		return stats, 0, fmt.Errorf("train: got %d rates for %d steps",
			len(span.Rates), span.Last-span.First)
	}
	order := data.InOrder(s.job.Data.Parts[data.Train].Rows)
	if s.job.Shuffle {
		order = data.NewPerm(order.Len(), s.job.Seed, span.Epoch)
	}
	for i := span.First; i < span.Last; i++ {
		if err := ctx.Err(); err != nil {
			return stats, i - span.First, err
		}
		at := step{order: order, index: i, done: span.Step + int64(i-span.First)}
		err := s.step(at, span.Rates[i-span.First], &stats)
		if err != nil {
			return stats, i - span.First, err
		}
	}
	return stats, max(span.Last-span.First, 0), nil
}

// A step is one optimiser step.
type step struct {
	order data.Perm
	index int   // in the epoch
	done  int64 // steps before it, since the start of the run
}

// step runs the gradients of one step's batches, then the update. The weight of
// a batch is its share of the step's rows, so the gradient is the mean over all
// rows whatever their number.
func (s *session) step(at step, rate float32, stats *backend.Stats) error {
	part := &s.job.Data.Parts[data.Train]
	size := s.job.BatchSize * s.job.Accumulate
	first := at.index * size
	last := min(first+size, part.Rows)
	if at.index < 0 || first >= last {
		return fmt.Errorf("train: step %d of an epoch of %d rows", at.index, part.Rows)
	}
	up, err := s.program(update, 0, false)
	if err != nil {
		return err
	}
	clearSums(s.sums.Metrics)
	s.sums.Rows, s.sums.Loss = 0, 0
	for micro := 0; first < last; micro++ {
		rows := s.rows[:min(s.job.BatchSize, last-first)]
		at.order.Fill(rows, first)
		pr, err := s.program(gradient, len(rows), micro > 0)
		if err != nil {
			return err
		}
		in := batch{
			x: &part.X, y: &part.Y, rows: rows,
			seed: float32(len(rows)) / float32(last-at.index*size),
			// int32 wraps after 2³¹ batches; dropout masks then repeat.
			tick: int32(at.done*int64(s.job.Accumulate) + int64(micro)),
		}
		pr.fill(in)
		pr.Run()
		if pr.loss != nil && !finite(pr.loss[0]) {
			return s.trace(pr, in, at.done+1, pr.loss[0])
		}
		pr.addTo(&s.sums, len(rows))
		first += len(rows)
	}
	if up.rate != nil {
		up.rate[0] = rate
	}
	if up.step != nil {
		up.step[0] = int32(at.done + 1)
	}
	up.Run()
	stats.Add(s.sums)
	return nil
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
	pr.x.gather(b.x, b.rows)
	if b.y != nil {
		pr.y.gather(b.y, b.rows)
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

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }

func clearSums(metrics map[string][]float64) {
	for _, sums := range metrics {
		clear(sums)
	}
}

func cloneStats(s backend.Stats) backend.Stats {
	s.Metrics = maps.Clone(s.Metrics)
	for name, sums := range s.Metrics {
		s.Metrics[name] = slices.Clone(sums)
	}
	return s
}
