// Package backend is the contract between the training loop and whatever does
// the arithmetic, and the registry of what there is.
//
// The unit of work is a span of optimiser steps, not a batch: a span names its
// batches by epoch and index, and every backend computes which rows those are.
// So a GPU keeps the data in its own memory, a remote worker reads its own copy,
// and no batch ever crosses this interface.
package backend

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
)

// A Backend trains and runs models on one kind of hardware.
type Backend interface {
	// Open prepares a job. Its variables hold zeros until Restore.
	Open(ctx context.Context, job Job) (Session, error)
}

// A Planner is a Backend that can say how it would run programs: which kernels, on
// which layouts, cut into what. It needs neither data nor, where it has none, its
// hardware.
type Planner interface {
	// Plan describes programs that have passed ir.Verify, for people: a line for each
	// instruction, by the decisions that a session takes for a gradient program and the
	// update after it. Of job it takes Threads, Device, Precision, Accumulate and Shards.
	Plan(job Job, programs ...*ir.Program) (string, error)
}

// A Job is what to run.
type Job struct {
	// Spec is the canonical YAML of the run: all that a remote worker needs to
	// build the same programs and data.
	Spec     []byte
	Programs Programs
	Data     *data.Set
	Seed     uint64 // of the shuffling
	// BatchSize is the number of rows per gradient run; Accumulate ≥ 1 such runs
	// make one optimiser step.
	BatchSize, Accumulate int
	Shuffle               bool
	Threads               int    // of the CPU; 0: all
	Device                int    // index of the card
	Precision             string // of products on a card: "fp32", "tf32" or "bf16"; "" is fp32
	// Shards, if not 0, makes training deterministic across backends and workers:
	// each step's rows are cut into so many shards (see Shard), a power of two and
	// at least Accumulate, whose gradients are added in the order of a balanced
	// binary tree.
	Shards  int
	Cluster *Cluster // for backend cluster; nil for others
}

// A Cluster says how several workers train a job together. How they are reached is up to
// the backend.
type Cluster struct {
	Name string // of the run, for people
	// Workers is with how many the run begins; others may join.
	Workers  int
	Strategy string             // "sync", "adag", ...: package dist/strategy has them
	Params   map[string]float64 // of the strategy: "window", "rho", ...
	Rate     float64            // learning rate of the optimiser, which elastic averaging scales with
	Epochs   int                // of the whole run, for those who watch; 0: not known
	Wire     string             // between workers: "fp32" or "bf16"
	// Data says where workers get the rows: "local", from their own disks; "stream",
	// from this process; "auto", the first if the same rows are there.
	Data   string
	Member Programs // of a member of an ensemble, where Job.Programs are those of all; else nil
}

// Programs has the programs of a model, which callers must not change. Those with a
// batch are for any number of rows; ir.Program.At gives them one.
type Programs interface {
	// Vars returns the variables that all programs share, in a fixed order.
	Vars() []ir.Var
	// Forward returns the inference program. Without targets it has no input y, no loss
	// and no metrics.
	Forward(targets bool) (*ir.Program, error)
	// Gradient returns the training program. With add, it adds to the gradients
	// instead of overwriting them.
	Gradient(add bool) (*ir.Program, error)
	// Update returns the optimiser's program.
	Update() (*ir.Program, error)
}

// A Span names optimiser steps First ≤ i < Last of an epoch. Step i takes rows
// [i, i+1)·BatchSize·Accumulate of the epoch's permutation of the training rows.
type Span struct {
	Epoch, First, Last int
	Step               int64     // optimiser steps before First, since the start of the run
	Rates              []float32 // learning rate of each step
	// Sums are the statistics of the epoch's steps before First. Train adds each
	// step to them in turn, so that an epoch's sums have the same bits however
	// it is cut into spans.
	Sums Stats
	// Tick is added to the number of each gradient run, for dropout: replicas that
	// take different steps at the same time use different masks.
	Tick int64
	// Report, if not nil, may be called by Train, from its goroutine, with the steps
	// so far, in spans that take long, and with the sums that it knows by then. With
	// 0 steps it says that the first one begins only now.
	Report func(sums Stats, steps int)
}

// Stats sums up what a span or an evaluation saw.
type Stats struct {
	Rows    int64
	Loss    float64              // Σ over rows of the loss; Loss/Rows is the mean
	Metrics map[string][]float64 // per metric, sums over rows
}

// Clone returns a copy of s that shares nothing with it.
func (s Stats) Clone() Stats {
	s.Metrics = maps.Clone(s.Metrics)
	for name, sums := range s.Metrics {
		s.Metrics[name] = slices.Clone(sums)
	}
	return s
}

// Add adds t to s.
func (s *Stats) Add(t Stats) {
	s.Rows += t.Rows
	s.Loss += t.Loss
	if s.Metrics == nil {
		s.Metrics = map[string][]float64{}
	}
	for name, sums := range t.Metrics {
		if s.Metrics[name] == nil {
			s.Metrics[name] = make([]float64, len(sums))
		}
		for i, v := range sums {
			s.Metrics[name][i] += v
		}
	}
}

// A Session is an open job. Its methods must not be called concurrently.
type Session interface {
	// Train takes the steps of span in order and returns span.Sums with their
	// statistics added, and their number. On cancellation it finishes the current
	// step and returns the context's error with what it has so far. A loss that is
	// not finite is a *NotFiniteError; the variables are then those before that
	// step.
	Train(ctx context.Context, span Span) (stats Stats, steps int, err error)
	// Evaluate returns loss and metrics over a split.
	Evaluate(ctx context.Context, split data.Split) (Stats, error)
	// Predict calls emit with the model's output for consecutive rows of x; the
	// slice is reused.
	Predict(ctx context.Context, x *data.Table, emit func(out []float32, shape []int) error) error
	// Snapshot returns copies of all variables, in the order of Programs.Vars.
	Snapshot(ctx context.Context) ([][]float32, error)
	// Restore overwrites all variables.
	Restore(ctx context.Context, vars [][]float32) error
	Close() error
}

// A NotFiniteError reports a loss that is NaN or infinite.
type NotFiniteError struct {
	Step  int64 // optimiser step, counted from 1
	Loss  float32
	Layer string // where the first value that is not finite appeared
	Value string // what it was: "matmul output", "variable dense.kernel"
}

// UnknownLayer is the Layer where the first such value was not found.
const UnknownLayer = "the model"

func (e *NotFiniteError) Error() string {
	return fmt.Sprintf("step %d: loss is %v: first value that is not finite is the %s in %s",
		e.Step, e.Loss, e.Value, e.Layer)
}

var registry = map[string]Backend{}

// Register makes a backend available under a name. It is called from init.
func Register(name string, b Backend) { registry[name] = b }

// Lookup returns the backend of that name.
func Lookup(name string) (Backend, error) {
	b, ok := registry[name]
	if !ok {
		return nil, fmt.Errorf("backend %q is not in this build, want one of %s", name,
			strings.Join(Names(), ", "))
	}
	return b, nil
}

// Names returns the registered names, sorted.
func Names() []string { return slices.Sorted(maps.Keys(registry)) }
