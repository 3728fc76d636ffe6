package cuda

import (
	"context"
	"fmt"
	"math"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/meet"
	"github.com/gespann/gespann/backend/sumtree"
	"github.com/gespann/gespann/internal/data"
)

// With Job.Shards a step is taken as replicas take it: the gradient of each shard
// comes to host memory and is added there in the order of the tree. That costs two
// copies of the gradients for each shard, and so is for runs that must have the
// bits of others, not for speed. Nor is there a choice of how products are computed.

// plantTree checks the number of shards.
func (s *session) plantTree() (err error) {
	n := s.job.Shards
	if n == 0 {
		return nil
	}
	if n < s.job.Accumulate {
		return fmt.Errorf("got %d shards, want at least the accumulation, %d", n, s.job.Accumulate)
	}
	s.large = math.MaxInt64
	s.tree, err = sumtree.New(n, nil)
	return err
}

// trainShards takes the steps of a span shard by shard.
func (s *session) trainShards(ctx context.Context, span backend.Span) (backend.Stats, int, error) {
	stats := cloneStats(span.Sums)
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
	first := at.Index * s.stepRows()
	rows := min(s.stepRows(), s.rows(data.Train)-first)
	s.tree.Reset()
	var outcomes []backend.Outcome
	var err error
	if s.Meets() {
		outcomes, err = s.meetingShards(ctx, at, first, rows, tick)
	} else {
		outcomes, err = s.shards(ctx, at, first, rows, tick)
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
func (s *session) shards(ctx context.Context, at backend.StepAt, first, rows int, tick int32) ([]backend.Outcome, error) {
	outcomes := make([]backend.Outcome, 0, s.job.Shards)
	for i := range s.job.Shards {
		part := backend.Shard(at, first, rows, i, s.job.Shards)
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
		if !finite(o.Loss) {
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
func (s *session) meetingShards(ctx context.Context, at backend.StepAt, first, rows int, tick int32) ([]backend.Outcome, error) {
	outcomes := make([]backend.Outcome, 0, s.job.Shards)
	n := meetingShards(&s.job)
	for run := 0; run < s.job.Shards; run += n {
		parts := make([]backend.Part, n)
		for i := range parts {
			parts[i] = backend.ShardOfRun(at, first, rows, s.job.BatchSize, n, run+i, s.job.Shards)
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
			if o.Rows > 0 && !finite(o.Loss) {
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
