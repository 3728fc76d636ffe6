package cuda

import (
	"context"
	"math"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/meet"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/backend/sumtree"
	"github.com/gespann/gespann/internal/data"
)

// With Job.Shards a step is taken as replicas take it: the gradient of each shard
// comes to host memory and is added there in the order of the tree. That costs two
// copies of the gradients for each shard, and so is for runs that must have the
// bits of others, not for speed. Nor is there a choice of how products are computed.

// plantTree makes the tree of shards, if there are any.
func (s *session) plantTree() (err error) {
	if s.job.Shards == 0 {
		return nil
	}
	s.large = math.MaxInt64
	s.tree, err = sumtree.New(s.job.Shards, nil)
	return err
}

// trainShards takes the steps of a span shard by shard.
func (s *session) trainShards(ctx context.Context, span backend.Span) (backend.Stats, int, error) {
	stats := span.Sums.Clone()
	if _, err := s.trainPass(span); err != nil {
		return stats, 0, err
	}
	for i := span.First; i < span.Last; i++ {
		if err := ctx.Err(); err != nil {
			return stats, i - span.First, err
		}
		at := backend.StepAt{Epoch: span.Epoch, Index: i, Done: span.Step + int64(i-span.First)}
		// A step that has begun is finished.
		err := s.shardStep(context.WithoutCancel(ctx), at, span.Rates[i-span.First], int32(span.Tick), &stats)
		if err != nil {
			return stats, i - span.First, err
		}
	}
	return stats, max(span.Last-span.First, 0), nil
}

func (s *session) shardStep(ctx context.Context, at backend.StepAt, rate float32, tick int32, stats *backend.Stats) error {
	c := rules.CutOf(&s.job, s.Meets())
	first, rows := at.Index*c.Size(), c.Rows(at.Index, s.rows(data.Train))
	s.tree.Reset()
	var outcomes []backend.Outcome
	var err error
	if c.Meets {
		outcomes, err = s.meetingShards(ctx, c, at, first, rows, tick)
	} else {
		outcomes, err = s.shards(ctx, c, at, first, rows, tick)
	}
	if err != nil {
		return err
	}
	sum, _ := s.tree.Root()
	copy(s.Gradients(), sum)
	if err := s.Update(ctx, at, rate); err != nil {
		return err
	}
	s.flat.metrics.AddStep(stats, outcomes)
	return nil
}

// shards pushes the gradients of shards, one after the other.
func (s *session) shards(ctx context.Context, c rules.Cut, at backend.StepAt, first, rows int, tick int32) ([]backend.Outcome, error) {
	outcomes := make([]backend.Outcome, 0, s.job.Shards)
	for i := range s.job.Shards {
		part := c.Part(at, first, rows, i)
		part.Tick += tick
		if part.Rows == 0 {
			if err := s.tree.Push(i, i+1, nil); err != nil {
				return nil, err
			}
			continue
		}
		o, err := s.Gradient(ctx, at, part, false, nil)
		if err != nil {
			return nil, err
		}
		if !rules.Finite(o.Loss) {
			return nil, s.Trace(ctx, at, part, o.Loss)
		}
		outcomes = append(outcomes, o)
		if err := s.tree.Push(i, i+1, s.Gradients()); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// meetingShards pushes the gradients of shards that meet, one gradient run after the other.
func (s *session) meetingShards(ctx context.Context, c rules.Cut, at backend.StepAt, first, rows int, tick int32) ([]backend.Outcome, error) {
	outcomes := make([]backend.Outcome, 0, s.job.Shards)
	n := c.PerRun()
	for run := 0; run < s.job.Shards; run += n {
		parts := make([]backend.Part, n)
		for i := range parts {
			parts[i] = c.Part(at, first, rows, run+i)
			parts[i].Tick += tick
		}
		got, err := s.Together(ctx, at, parts, backend.Together{
			Meet: func(own [][]float64) ([]float64, error) { return own[0], meet.Fold(own, 0, len(own)) },
			Each: func(i int, dw []float32) error { return s.tree.Push(run+i, run+i+1, dw) },
		})
		if err != nil {
			return nil, err
		}
		for i, o := range got {
			if o.Rows > 0 && !rules.Finite(o.Loss) {
				return nil, backend.TraceRun(parts, i, func(part backend.Part) error { return s.Trace(ctx, at, part, o.Loss) })
			}
			if o.Rows > 0 {
				outcomes = append(outcomes, o)
			} else if err := s.tree.Push(run+i, run+i+1, nil); err != nil {
				return nil, err
			}
		}
	}
	return outcomes, nil
}
