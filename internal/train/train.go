// Package train runs a training job: epochs, learning rates, validation, early
// stopping and checkpoints, in a directory of its own.
//
// A run is a function of its spec and data. All that decides how it goes on is in
// its checkpoints, so that a run that was interrupted, by whatever means, and
// continued ends with the same bits as one that was not.
package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// Options say what to train and where.
type Options struct {
	Spec    *spec.Spec
	Model   *model.Model
	Data    *data.Set
	Dir     *Dir            // locked: from Create, or Open to continue its run
	Backend backend.Backend // nil: the one that Spec names
	Version string
	// Weights are those of another run, to begin with; From says of which. A run that
	// has begun goes on from its own.
	Weights *checkpoint.State
	From    string
	Events  func(Event)   // called in order, by the goroutine of Run
	Refresh time.Duration // between Progress events; 0: a tenth of a second
}

// A Result is how a run ended.
type Result struct {
	Dir     string
	Model   string // path of the trained weights
	Epochs  int    // finished
	Stopped bool   // by early stopping
	Best    int    // epoch whose weights were put back, from 1; 0: none were
	// BestSeen is the epoch with the best monitored value, from 1, whether or not its
	// weights were put back; 0: the value was never there.
	BestSeen int
	Test     []Value // loss and metrics on the test rows; nil without any
}

// An InterruptedError reports that the context of Run ended. The run was saved.
type InterruptedError struct {
	Checkpoint string // "" before the first step
	Epoch      int    // the epoch at hand, from 1
	Step       int    // its steps taken
	Steps      int    // of the epoch
}

func (e *InterruptedError) Error() string {
	if e.Checkpoint == "" {
		return "interrupted before the first step"
	}
	return fmt.Sprintf("interrupted in epoch %d after step %d of %d, saved as %s",
		e.Epoch, e.Step, e.Steps, e.Checkpoint)
}

// A StoppedError reports what stopped a run, and what of it is kept.
type StoppedError struct {
	Err        error
	Dir        string
	Checkpoint string // the last good one; "" when there is none
	// RateKey is the setting of the learning rate, and Rate its value, with which the
	// schedule begins.
	RateKey string
	Rate    float32
}

func (e *StoppedError) Error() string {
	if e.Checkpoint == "" {
		return fmt.Sprintf("%v; nothing had been saved yet", e.Err)
	}
	return fmt.Sprintf("%v; the last checkpoint is %s", e.Err, e.Checkpoint)
}

// Unwrap returns what stopped the run.
func (e *StoppedError) Unwrap() error { return e.Err }

// Run trains until the run is complete, from wherever the checkpoints of its
// directory left it. When ctx ends, it finishes the current step, saves, and
// returns an *InterruptedError. Any other error after the start is a
// *StoppedError; one before it leaves no directory that Create has made.
func Run(ctx context.Context, o Options) (*Result, error) {
	l, err := newLoop(ctx, o)
	if err != nil {
		o.Dir.discard()
		return nil, err
	}
	o.Dir.new = false
	defer l.session.Close()
	defer l.log.Close()
	err = l.run(ctx)
	if err == nil {
		var result *Result
		if result, err = l.finish(ctx); err == nil {
			return result, nil
		}
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = l.interrupted(ctx)
	}
	if stopped := (*InterruptedError)(nil); errors.As(err, &stopped) {
		return nil, errors.Join(err, l.writeResults(statusInterrupted, nil))
	}
	l.results.Reason = err.Error()
	l.writeResults(statusFailed, nil) // as far as that is possible after err
	return nil, &StoppedError{
		Err: err, Dir: o.Dir.Path, Checkpoint: l.saved,
		RateKey: "optimizer." + o.Spec.Optimizer.Kind + ".learning_rate",
		Rate:    model.NewSchedule(o.Spec, l.total).Base(),
	}
}

// interrupted saves the run where it is.
func (l *loop) interrupted(ctx context.Context) error {
	// After the last step the session may hold the best weights instead of the
	// latest; finish has saved those.
	if !l.at.at(l.savedAt) {
		if err := l.save(ctx); err != nil {
			return err
		}
	}
	l.bill()
	return &InterruptedError{
		Checkpoint: l.saved, Epoch: l.at.Epoch + 1, Step: l.at.Step, Steps: l.steps,
	}
}

// bill tells what the workers cost, where there are several.
func (l *loop) bill() {
	if a, ok := l.session.(backend.Accountant); ok {
		account := a.Account()
		l.results.Sessions[len(l.results.Sessions)-1].Bill = &billResult{account, account.Worth()}
		l.Events(Bill{account})
	}
}

// finish puts the best weights back, evaluates the test rows, and saves.
func (l *loop) finish(ctx context.Context) (*Result, error) {
	if !l.at.at(l.savedAt) {
		if err := l.save(ctx); err != nil {
			return nil, err
		}
	}
	r := &Result{
		Dir: l.Dir.Path, Model: l.Dir.ModelPath(), Epochs: l.at.Epoch, Stopped: l.stopped(),
		BestSeen: l.at.Best.Epoch,
	}
	if l.Spec.Train.EarlyStopping.Patience > 0 && l.at.Best.Seen {
		if err := l.restoreBest(ctx); err != nil {
			return nil, err
		}
		r.Best = l.at.Best.Epoch
	}
	if l.Data.Parts[data.Test].Rows > 0 {
		stats, err := l.session.Evaluate(ctx, data.Test)
		if err != nil {
			return nil, err
		}
		r.Test = Values(stats, l.Model.Metrics())
	}
	if err := l.saveModel(ctx); err != nil {
		return nil, err
	}
	l.bill()
	status := statusComplete
	if r.Stopped {
		status = statusStopped
	}
	if err := l.writeResults(status, r); err != nil {
		return nil, err
	}
	l.Events(r)
	return r, nil
}

func (l *loop) restoreBest(ctx context.Context) error {
	state, _, err := readState(l.Dir.bestPath())
	if err != nil {
		return err
	}
	values, err := state.Values(l.Model.Vars())
	if err != nil {
		return err
	}
	return l.session.Restore(ctx, values)
}

// parameters counts the numbers that are trained.
func parameters(vars []ir.Var) int {
	n := 0
	for _, v := range vars {
		if v.Role == ir.Param {
			n += ir.Size(v.Shape)
		}
	}
	return n
}

// CheckBackend reports a backend that this build does not have.
func CheckBackend(s *spec.Spec) error {
	_, err := lookup(s)
	return err
}

func lookup(s *spec.Spec) (backend.Backend, error) {
	b, err := backend.Lookup(kind(s))
	if err != nil {
		bad := s.Errorf("backend.kind", "%v", err)
		bad.Hint = spec.Suggest(kind(s), append(backend.Names(), "auto"))
		return nil, spec.Errors{bad}
	}
	return b, nil
}

// kind returns the backend that a spec names.
func kind(s *spec.Spec) string { return cmp.Or(s.Backend.Use, s.Backend.Kind) }

// OpenSession opens a session for a model on the backend that its spec names.
func OpenSession(ctx context.Context, s *spec.Spec, m *model.Model, set *data.Set) (backend.Session, error) {
	b, err := lookup(s)
	if err != nil {
		return nil, err
	}
	job, err := NewJob(s, m, set)
	if err != nil {
		return nil, err
	}
	return b.Open(ctx, job)
}

// NewJob returns what a spec asks of a backend. Set may be nil, for a model that
// only predicts.
func NewJob(s *spec.Spec, m *model.Model, set *data.Set) (backend.Job, error) {
	text, err := s.Marshal()
	if err != nil {
		return backend.Job{}, err
	}
	job := backend.Job{
		Spec: text, Programs: m, Data: set, Seed: s.Train.Seed,
		BatchSize: s.Data.BatchSize, Accumulate: s.Train.Accumulate,
		Shuffle: s.Data.Shuffle, Threads: s.Backend.Threads,
		Device: s.Backend.Device, Precision: s.Backend.Precision,
	}
	if s.Train.Deterministic {
		job.Shards = backend.ShardsFor(s.Train.Accumulate)
	}
	if kind(s) == "cluster" {
		job.Cluster = cluster(s)
		if m.Members() > 0 {
			job.Cluster.Member = m.Member()
		}
	}
	return job, nil
}

// cluster returns who trains, and how they work together.
func cluster(s *spec.Spec) *backend.Cluster {
	c := &s.Cluster
	return &backend.Cluster{
		Name: s.Train.Name, Rate: s.LearningRate(), Epochs: s.Train.Epochs,
		Workers: c.Least(), Wire: c.Wire, Data: c.Data,
		Strategy: c.Strategy.Kind, Params: c.StrategyParams(),
	}
}
