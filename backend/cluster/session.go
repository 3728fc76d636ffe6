package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// maxReplay is how much training is at most repeated when all workers are lost:
// after that, the session takes a snapshot of its own.
const maxReplay = 30 * time.Second

type session struct {
	opt   Options
	job   backend.Job
	wire  wire.Job
	dial  func(ctx context.Context) (dist.Conn, error)
	local Local // nil with a coordinator elsewhere
	vars  []ir.Var
	total int // floats of all variables

	line    *line // nil: not connected
	met     bool  // a coordinator was reached, once
	workers int   // that were there then
	owed    string
	hurried bool            // the caller wants to end
	asked   context.Context // of the latest request; nil: none

	// What is remembered: the variables as they were at baseAt, and the spans since.
	base   [][]float32
	baseAt wire.Position
	placed bool // baseAt is known
	log    []logged
	at     wire.Position // where the run is, after base and log
	loaded bool          // the workers are there
	losses int           // since anyone made progress

	seconds   float64 // of training
	rows      int64
	probed    bool
	oneWorker float64 // rows per second
	fault     error   // why the job cannot go on

	home backend.Session // in this process, on Options.Predictor
}

// A logged span has been trained; the seconds are how long that took.
type logged struct {
	train   *wire.Train
	seconds float64
}

func newSession(opt Options, job backend.Job, dial func(context.Context) (dist.Conn, error)) *session {
	s := &session{opt: opt, job: job, wire: wireJob(job), dial: dial, vars: job.Programs.Vars()}
	for _, v := range s.vars {
		n := ir.Size(v.Shape)
		s.total += n
		s.base = append(s.base, make([]float32, n))
	}
	return s
}

// Granule returns after how many steps the workers have all met.
func (s *session) Granule() int {
	return granule(&s.wire, max(s.workers, 1), stepsPerEpoch(s.job))
}

// Train lets the workers take the steps of the span.
func (s *session) Train(ctx context.Context, span backend.Span) (backend.Stats, int, error) {
	s.asked = ctx
	if err := ctx.Err(); err != nil {
		return span.Sums, 0, s.failed(err)
	}
	s.fault, s.hurried = nil, false
	if err := s.place(ctx, span); err != nil {
		return span.Sums, 0, s.failed(err)
	}
	if err := s.probe(ctx, span); err != nil {
		return span.Sums, 0, s.failed(err)
	}
	if span.Report != nil {
		span.Report(span.Sums, 0)
	}
	m := &wire.Train{Span: wireSpan(span), Sums: wire.FromStats(span.Sums), Steps: stepsPerEpoch(s.job)}
	begin := time.Now()
	f, err := s.do(ctx, wire.Frame{Message: m}, func(at wire.Position) {
		if steps := int(at.Done - span.Step); span.Report != nil && steps > 0 {
			span.Report(span.Sums, steps)
		}
	})
	s.seconds += time.Since(begin).Seconds()
	if err != nil {
		return span.Sums, 0, s.failed(err)
	}
	return s.trained(ctx, span, m, f.Message.(*wire.Trained), time.Since(begin).Seconds())
}

// trained remembers a span that the workers have taken, all or the first steps of
// it.
func (s *session) trained(
	ctx context.Context, span backend.Span, m *wire.Train, t *wire.Trained, seconds float64,
) (backend.Stats, int, error) {
	steps, wanted := int(t.At.Done-span.Step), span.Last-span.First
	if steps < 0 || steps > wanted {
		return span.Sums, 0, s.failed(fmt.Errorf("cluster: got %d steps, want at most %d", steps, wanted))
	}
	s.losses = 0
	s.at = t.At
	s.rows += t.At.Sums.Rows - span.Sums.Rows
	if steps > 0 {
		m.Span.Last, m.Span.Rates = m.Span.First+steps, m.Span.Rates[:steps]
		s.log = append(s.log, logged{m, seconds})
	}
	stats := t.At.Sums.Stats()
	switch {
	case t.NotFinite != nil:
		return stats, steps, s.failed(t.NotFinite.Err())
	case steps < wanted && ctx.Err() != nil:
		s.hurried = true
		s.fault = errInterrupted
		return stats, steps, ctx.Err()
	case steps < wanted:
		return stats, steps, s.failed(fmt.Errorf("cluster: got %d steps, want %d", steps, wanted))
	}
	if s.replayTime() > maxReplay.Seconds() && ctx.Err() == nil {
		if _, err := s.Snapshot(ctx); err != nil && ctx.Err() == nil {
			return stats, steps, err
		}
	}
	return stats, steps, nil
}

// replayTime returns how long the spans since the base took.
func (s *session) replayTime() float64 {
	total := 0.0
	for _, l := range s.log {
		total += l.seconds
	}
	return total
}

// failed remembers why the job ends, for the coordinator. One that was interrupted may go
// on, wherever that was: its workers are to wait for it.
func (s *session) failed(err error) error {
	s.fault = err
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		s.fault = errInterrupted
	}
	return err
}

// wireSpan returns the message for a span, with memory of its own.
func wireSpan(span backend.Span) wire.Span {
	return wire.Span{
		Epoch: span.Epoch, First: span.First, Last: span.Last, Done: span.Step,
		Rates: slices.Clone(span.Rates),
	}
}

// place makes sure that the run is where the span begins. A caller that goes back,
// or somewhere else, takes the variables along.
func (s *session) place(ctx context.Context, span backend.Span) error {
	begin := wire.Position{
		Epoch: span.Epoch, Index: span.First, Done: span.Step, Sums: wire.FromStats(span.Sums),
	}
	if s.placed && s.continues(begin) {
		return nil
	}
	if s.placed {
		if _, err := s.Snapshot(ctx); err != nil {
			return err
		}
	}
	s.baseAt, s.at, s.placed, s.loaded = begin, begin, true, false
	return nil
}

// continues reports whether the run can go on at begin.
func (s *session) continues(begin wire.Position) bool {
	if s.at.Done != begin.Done {
		return false
	}
	if s.at.Epoch == begin.Epoch {
		return s.at.Index == begin.Index
	}
	return begin.Index == 0 && s.at.Index == stepsPerEpoch(s.job)
}

// Evaluate lets the workers evaluate a split. An ensemble, of which each has a part
// only, is evaluated in this process.
func (s *session) Evaluate(ctx context.Context, split data.Split) (backend.Stats, error) {
	s.asked = ctx
	if s.job.Cluster.Member != nil {
		if err := s.takeHome(ctx); err != nil {
			return backend.Stats{}, err
		}
		return s.home.Evaluate(ctx, split)
	}
	f, err := s.do(ctx, wire.Frame{Message: &wire.Test{Split: split}}, nil)
	if err != nil {
		return backend.Stats{}, s.failed(err)
	}
	return f.Message.(*wire.Tested).Stats.Stats(), nil
}

// Snapshot fetches the variables, and remembers them.
func (s *session) Snapshot(ctx context.Context) ([][]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, s.failed(err)
	}
	for len(s.log) > 0 {
		f, err := s.do(ctx, wire.Frame{Message: new(wire.Snapshot)}, nil)
		if err != nil {
			return nil, s.failed(err)
		}
		if at := f.Message.(*wire.Variables).At; at.Done != s.at.Done {
			err = s.lost(fmt.Sprintf("its workers are at step %d, the run is at %d", at.Done, s.at.Done))
		} else if len(f.Floats) != s.total {
			err = fmt.Errorf("cluster: got variables of %d numbers, want %d", len(f.Floats), s.total)
		} else {
			s.remember(f.Floats)
		}
		if err != nil {
			return nil, s.failed(err)
		}
	}
	return cloneAll(s.base), nil
}

// remember makes vars, which are those of where the run is, the base.
func (s *session) remember(vars []float32) {
	for i := range s.base {
		n := len(s.base[i])
		s.base[i], vars = vars[:n:n], vars[n:]
	}
	s.baseAt, s.log = s.at, nil
}

// Restore remembers the variables; the workers get them with the next request,
// which says where in the run they belong.
func (s *session) Restore(ctx context.Context, vars [][]float32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(vars) != len(s.base) {
		return fmt.Errorf("restore: got %d variables, want %d", len(vars), len(s.base))
	}
	for i, v := range vars {
		if len(v) != len(s.base[i]) {
			return fmt.Errorf("restore: variable %s: got %d elements, want %d (%v)",
				s.vars[i].Name, len(v), len(s.base[i]), s.vars[i].Shape)
		}
	}
	s.base, s.log = cloneAll(vars), nil
	s.baseAt, s.placed, s.loaded = s.at, false, false
	return nil
}

func cloneAll(vars [][]float32) [][]float32 {
	out := make([][]float32, len(vars))
	for i, v := range vars {
		out[i] = slices.Clone(v)
	}
	return out
}

// Predict runs the model in this process.
func (s *session) Predict(
	ctx context.Context, x *data.Table, emit func(out []float32, shape []int) error,
) error {
	if err := s.takeHome(ctx); err != nil {
		return err
	}
	return s.home.Predict(ctx, x, emit)
}

// takeHome brings the variables to a session in this process.
func (s *session) takeHome(ctx context.Context) error {
	vars, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	if s.home == nil {
		b, err := backend.Lookup(s.opt.Predictor)
		if err != nil {
			return err
		}
		job := s.job
		job.Data, job.Cluster, job.Shards = s.job.Data.Untrained(), nil, 0
		if s.home, err = b.Open(ctx, job); err != nil {
			return err
		}
	}
	return s.home.Restore(ctx, vars)
}

// unfinished returns errInterrupted for a run that its caller has ended between two
// requests, before its last epoch.
func (s *session) unfinished() error {
	whole := int64(s.job.Cluster.Epochs) * int64(stepsPerEpoch(s.job))
	if s.asked != nil && s.asked.Err() != nil && s.at.Done < whole {
		return errInterrupted
	}
	return nil
}

// Close says good-bye to the coordinator, and ends a cluster on this machine.
func (s *session) Close() error {
	var errs []error
	if s.line != nil {
		why := s.fault
		if why == nil {
			why = s.unfinished()
		}
		s.leave(why)
	}
	if s.local != nil {
		errs = append(errs, s.local.Close())
		s.local = nil
	}
	if s.home != nil {
		errs = append(errs, s.home.Close())
		s.home = nil
	}
	return errors.Join(errs...)
}
