package backend

import (
	"context"
	"errors"

	"github.com/gespann/gespann/internal/data"
)

// A Replica is a session that is one of several that train the same model: its
// steps can be taken apart. Sessions of cpu, ref and gpu are Replicas.
//
// A step on n replicas is
//
//	for each part of the step that is this replica's: Gradient
//	sum Gradients() over all replicas, in place
//	Update
//
// and leaves equal variables on all of them, if they were equal before.
type Replica interface {
	Session
	// Gradients returns the memory of all gradients and batch statistics as one
	// vector, which Gradient writes and Update reads. It stays the same slice until
	// Close. Its layout depends on the programs and Job.BatchSize only. What no
	// gradient uses holds zeros. A replica that has no part of a step clears it. It
	// is nil for a model that has no gradient program.
	Gradients() []float32
	// Gradient computes the gradient of part, of at most Job.BatchSize rows, times
	// part.Weight, and writes it to Gradients, or adds it to what is there. It
	// calls ready, if that is not nil, from its goroutine, whenever a longer piece
	// Gradients()[:end] has its final value, lastly with the whole length; from then
	// on it neither reads nor writes that piece. ready must be quick. A loss that is
	// not finite is no error here: see Trace.
	Gradient(ctx context.Context, at StepAt, part Part, add bool, ready func(end int)) (Outcome, error)
	// Meets reports whether the parts of a gradient run need one another: the model has
	// batch normalisation, which is over all rows of a run. Gradient takes a part for all of
	// its run; Together is for those of which there are more.
	Meets() bool
	// Together computes the gradients of those parts of one gradient run that are this
	// replica's, all up to where parts meet before one goes on. A part may have no rows: it
	// meets the others with nothing. The outcomes are in the order of parts. Errors of how are
	// returned as they are, or wrapped.
	Together(ctx context.Context, at StepAt, parts []Part, how Together) ([]Outcome, error)
	// Update applies Gradients to the variables, as optimiser step at.Done+1.
	Update(ctx context.Context, at StepAt, rate float32) error
	// Trace returns the *NotFiniteError of a part whose loss was not finite. It
	// computes the part again, and so spoils Gradients.
	Trace(ctx context.Context, at StepAt, part Part, loss float32) error
	// Read copies the variables of these indices, one after the other, to dst, whose
	// length they must fill; Write sets them from src likewise, or none. They do in one
	// pass what Snapshot and Restore do with all variables.
	Read(ctx context.Context, vars []int, dst []float32) error
	Write(ctx context.Context, vars []int, src []float32) error
	// Outcomes describes the metrics of an Outcome.
	Outcomes() Layout
	// EvaluateBatches calls each with the statistics of batches first ≤ i < last of
	// a split, in order. Those of all batches, added one after the other, are what
	// Evaluate returns, to the bit.
	EvaluateBatches(ctx context.Context, split data.Split, first, last int, each func(Stats)) error
}

// A StepAt says which optimiser step.
type StepAt struct {
	Epoch int
	Index int   // of the step in the epoch
	Done  int64 // optimiser steps before it, since the start of the run
}

// A Part is the rows of a step that one gradient run takes.
type Part struct {
	First, Rows int // positions in the epoch's order of rows
	// Weight is the part's share of the step's rows, so that weighted gradients of
	// all parts add up to the gradient of the mean loss.
	Weight float32
	Tick   int32 // for dropout: unique among the parts of a run, until it wraps
}

// A Together says how a replica's parts meet each other, and those of other replicas.
type Together struct {
	// Meet is called wherever parts meet, in the order of the program, which all replicas
	// have: see package meet. It gets the vector of each part, which it may change, and
	// returns that of all parts of the run, which is read before the next call.
	Meet func(own [][]float64) ([]float64, error)
	// Each, if not nil, is called with the gradient of each part that has rows, in order,
	// when all are complete: how many parts there are, so many gradients are held. They
	// are the replica's, and may be changed. If it is nil there is one part, and its gradient
	// is in Gradients, or with Add added to it, and Ready is as of Gradient.
	Each  func(i int, gradient []float32) error
	Add   bool
	Ready func(end int)
}

// TraceRun calls trace, which is Replica.Trace, for the parts of a gradient run that met, in
// which the loss of part i is the first that is not finite, until one of them shows a cause
// of its own: through the statistics that they share it spoils all others. If none does, it
// returns what there is to say of part i.
func TraceRun(parts []Part, i int, trace func(Part) error) error {
	unknown := func(err error) bool {
		var cause *NotFiniteError
		return errors.As(err, &cause) && cause.Layer == UnknownLayer
	}
	first := trace(parts[i])
	for k, part := range parts {
		if !unknown(first) {
			break
		}
		if k == i || part.Rows == 0 {
			continue
		}
		if err := trace(part); !unknown(err) {
			return err
		}
	}
	return first
}

// An Outcome is what a gradient run measured: its mean loss, and the metrics as
// sums over its rows, in the order of Layout.
type Outcome struct {
	Rows    int
	Loss    float32
	Metrics []float32
}

// A Layout names the metrics of an Outcome, one after the other.
type Layout struct {
	Names []string
	Sizes []int // numbers of each
}

// Len returns how many numbers the metrics of an Outcome have.
func (l Layout) Len() int {
	n := 0
	for _, size := range l.Sizes {
		n += size
	}
	return n
}

// AddStep adds the outcomes of all parts of a step, in the order of their rows, to
// stats. Like Session.Train it sums up the step first, so that whoever computed
// the parts, the sums of an epoch have the same bits.
func (l Layout) AddStep(stats *Stats, parts []Outcome) {
	var step Stats
	for _, o := range parts {
		if o.Rows > 0 {
			l.AddTo(&step, o)
		}
	}
	stats.Add(step)
}

// AddTo adds the outcome of one part to the sums of its step: see AddStep.
func (l Layout) AddTo(stats *Stats, o Outcome) {
	stats.Rows += int64(o.Rows)
	stats.Loss += float64(o.Loss) * float64(o.Rows)
	at := 0
	for i, name := range l.Names {
		if stats.Metrics == nil {
			stats.Metrics = map[string][]float64{}
		}
		sums := stats.Metrics[name]
		if sums == nil {
			sums = make([]float64, l.Sizes[i])
			stats.Metrics[name] = sums
		}
		for k := range sums {
			sums[k] += float64(o.Metrics[at+k])
		}
		at += l.Sizes[i]
	}
}

// A Granular session trains best in spans whose number of steps is a multiple of
// its granule: between those, its workers wait for one another.
type Granular interface {
	Granule() int
}
