package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
)

// solo is what a worker that takes steps alone keeps between leases. Vectors are
// parameters and states; for a member of an ensemble, all variables.
type solo struct {
	local strategy.Local
	of    *vector
	sent  []float32 // after the latest lease
	p     []float32 // as last got from the center
	lease int       // whose answer is awaited; -1: none
}

// begin prepares the worker for its first lease.
func (j *job) begin() *solo {
	s := &solo{local: j.strategy.NewLocal(strategy.ParamsOf(&j.Job)), of: &j.model, lease: -1}
	if j.strategy.Pattern == strategy.Members {
		s.of = &j.all
	}
	s.sent = make([]float32, s.of.len)
	return s
}

// lease takes the steps of a lease, and commits what they did.
func (s *serving) lease(t *task, m *wire.Lease, floats []float32) error {
	if err := s.mine(m.Job); err != nil {
		return err
	}
	j := s.held
	j.leave()
	if j.strategy.NewLocal == nil {
		return fmt.Errorf("lease: steps of strategy %s are taken together", j.Strategy)
	}
	if j.solo == nil {
		j.solo = j.begin()
	}
	s.account.begin(m.Rested)
	began := time.Now()
	switch {
	case m.Load:
		if err := j.restore(t.ctx, j.solo.of, floats); err != nil {
			return fmt.Errorf("lease: %w", err)
		}
		j.solo.p = floats
	case j.solo.p == nil:
		return fmt.Errorf("lease: %w", errNowhere)
	}
	j.at = &place{Epoch: m.Span.Epoch, Index: m.Span.First, Done: m.Span.Done}
	s.account.add(wire.Cost{Comm: time.Since(began).Seconds(), Received: int64(4 * len(floats))})

	stats, steps, err := s.alone(t, m)
	if err != nil {
		s.account.end(idle)
		return err
	}
	return s.commit(t, m, stats, steps)
}

// alone trains. A lease that is stopped early has fewer steps, but at least one.
func (s *serving) alone(t *task, m *wire.Lease) (backend.Stats, int, error) {
	j, span := s.held, backend.Span{
		Epoch: m.Span.Epoch, First: m.Span.First, Last: m.Span.Last, Step: m.Span.Done, Rates: m.Span.Rates,
		// Different steps have different dropout masks as it is; members of an
		// ensemble take the same steps.
		Tick: int64(m.Member) * memberTicks,
	}
	began := time.Now()
	stats, steps, err := j.replica.Train(t.steps, span)
	if stopped(t, err) && steps == 0 && span.First < span.Last {
		span.Last = span.First + 1
		stats, steps, err = j.replica.Train(t.ctx, span)
	}
	j.at.Index, j.at.Done = j.at.Index+steps, j.at.Done+int64(steps)
	s.account.at(j.at.Done)
	s.account.took(steps)
	s.account.add(wire.Cost{Compute: time.Since(began).Seconds(), Rows: stats.Rows})
	if stopped(t, err) {
		err = nil
	}
	return stats, steps, err
}

// stopped reports whether training has ended because it was asked to stop, and
// its result is still wanted.
func stopped(t *task, err error) bool {
	return err != nil && t.ctx.Err() == nil && errors.Is(context.Cause(t.steps), errStopped)
}

// memberTicks is odd, and so keeps members apart also where ticks wrap at 2³².
const memberTicks = 0x9E3779B1

// commit sends what the strategy sends after a lease.
func (s *serving) commit(t *task, m *wire.Lease, stats backend.Stats, steps int) error {
	solo := s.held.solo
	began := time.Now()
	if err := s.held.snapshot(t.ctx, solo.of, solo.sent); err != nil {
		return err
	}
	solo.lease = m.Lease
	solo.local.Commit(solo.sent, solo.p, steps)
	s.account.add(wire.Cost{Sent: int64(4 * len(solo.sent))})
	answer := &wire.Commit{Job: m.Job, Lease: m.Lease, Steps: steps,
		Stats: wire.FromStats(stats), Cost: s.account.beat().Cost}
	if err := s.send(answer, solo.sent); err != nil {
		return err
	}
	s.account.add(wire.Cost{Comm: time.Since(began).Seconds()})
	s.account.end(wait)
	return nil
}

// merged takes the center's answer to a commit.
func (s *serving) merged(t *task, m *wire.Merged, floats []float32) error {
	if err := s.mine(m.Job); err != nil {
		return err
	}
	solo := s.held.solo
	if solo == nil || solo.lease != m.Lease {
		return fmt.Errorf("merged: lease %d was not committed", m.Lease)
	}
	solo.lease = -1
	if s.held.strategy.Pattern == strategy.Members {
		return nil // the next lease brings its member
	}
	if err := solo.of.check(floats); err != nil {
		return fmt.Errorf("merged: %w", err)
	}
	s.account.enter(compute)
	began := time.Now()
	solo.local.Receive(solo.sent, floats)
	if err := s.held.restore(t.ctx, solo.of, floats); err != nil {
		return err
	}
	wire.Reuse(solo.p)
	solo.p = floats
	s.account.add(wire.Cost{Received: int64(4 * len(floats))})
	s.account.between(time.Since(began))
	return nil
}
