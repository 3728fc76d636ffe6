// Package rules has what all sessions of a job do alike, whatever computes: which programs
// it runs, how its steps are cut into parts, and what is refused. It has no state.
package rules

import (
	"fmt"
	"math"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
)

// A Kind says which program of a job.
type Kind uint8

// The programs of a job.
const (
	Forward Kind = iota
	Gradient
	Update
)

// Build gets a program of the job for a number of rows, 0 for Update, and verifies it. The
// variant is with targets for Forward, to add for Gradient.
func Build(job *backend.Job, vars []ir.Var, kind Kind, rows int, variant bool) (p *ir.Program, err error) {
	switch kind {
	case Forward:
		p, err = job.Programs.Forward(variant)
	case Gradient:
		p, err = job.Programs.Gradient(variant)
	case Update:
		p, err = job.Programs.Update()
	}
	if err != nil {
		return nil, err
	}
	if rows > 0 {
		p = p.At(rows)
	}
	if p.Batch != rows {
		return nil, fmt.Errorf("program %s: batch is %d, want %d", p.Name, p.Batch, rows)
	}
	return p, ir.Verify(p, vars)
}

// A Cut is how steps are cut into parts: into shards, or else into batches.
type Cut struct {
	BatchSize, Accumulate, Shards int
	Meets                         bool // parts of a gradient run need one another
}

// CutOf returns how a job's steps are cut, when its parts meet or not.
func CutOf(job *backend.Job, meets bool) Cut {
	return Cut{job.BatchSize, job.Accumulate, job.Shards, meets}
}

// Size returns the number of rows of a whole step.
func (c Cut) Size() int { return c.BatchSize * c.Accumulate }

// Rows returns the number of rows of a step of an epoch of so many rows, 0 or less for one
// that no epoch has.
func (c Cut) Rows(index, epoch int) int {
	if index < 0 {
		return 0
	}
	return min(c.Size(), epoch-index*c.Size())
}

// Steps returns the number of steps of an epoch of so many rows.
func (c Cut) Steps(epoch int) int { return (epoch + c.Size() - 1) / c.Size() }

// Parts returns the number of parts of a step of so many rows.
func (c Cut) Parts(rows int) int {
	if c.Shards > 0 {
		return c.Shards
	}
	return (rows + c.BatchSize - 1) / c.BatchSize
}

// PerRun returns the number of shards of a gradient run, where parts meet; 1 without shards.
func (c Cut) PerRun() int {
	if c.Shards == 0 {
		return 1
	}
	return backend.RunShards(c.Accumulate, c.Shards)
}

// Part returns part i of a step that takes rows first ≤ r < first+rows of the epoch's order.
// Its tick wraps after 2³¹ runs; dropout masks then repeat.
func (c Cut) Part(at backend.StepAt, first, rows, i int) backend.Part {
	switch {
	case c.Shards > 0 && c.Meets:
		return backend.ShardOfRun(at, first, rows, c.BatchSize, c.PerRun(), i, c.Shards)
	case c.Shards > 0:
		return backend.Shard(at, first, rows, i, c.Shards)
	}
	lo := i * c.BatchSize
	n := min(c.BatchSize, rows-lo)
	return backend.Part{
		First: first + lo, Rows: n, Weight: float32(n) / float32(rows),
		Tick: int32(at.Done*int64(c.Accumulate) + int64(i)),
	}
}

// CheckJob reports sizes that no job can have.
func CheckJob(job *backend.Job) error {
	if job.BatchSize < 1 || job.Accumulate < 1 {
		return fmt.Errorf("batch size is %d and accumulation %d, want >= 1", job.BatchSize, job.Accumulate)
	}
	if n := job.Shards; n != 0 && n < job.Accumulate {
		return fmt.Errorf("got %d shards, want at least the accumulation, %d", n, job.Accumulate)
	}
	return nil
}

// CheckPart reports a part that is none of the training rows.
func CheckPart(job *backend.Job, part backend.Part) error {
	rows := job.Data.Parts[data.Train].Rows
	if part.Rows < 1 || part.Rows > job.BatchSize {
		return fmt.Errorf("a part of %d rows, want 1 to %d", part.Rows, job.BatchSize)
	}
	if part.First < 0 || part.First > rows-part.Rows {
		return fmt.Errorf("a part of rows %d to %d in an epoch of %d", part.First, part.First+part.Rows-1, rows)
	}
	return nil
}

// Split returns a split of the job's data.
func Split(job *backend.Job, split data.Split) (*data.Part, error) {
	if job.Data == nil || int(split) >= len(job.Data.Parts) {
		return nil, fmt.Errorf("evaluate: the job has no such data")
	}
	return &job.Data.Parts[split], nil
}

// CheckBatches reports batches first ≤ i < last that so many rows do not have.
func CheckBatches(job *backend.Job, rows, first, last int) error {
	if batches := (rows + job.BatchSize - 1) / job.BatchSize; first < 0 || last < first || last > batches {
		return fmt.Errorf("evaluate: batches %d to %d of %d", first, last-1, batches)
	}
	return nil
}

// CheckAll reports values that do not fit all variables.
func CheckAll(vars []ir.Var, values [][]float32) error {
	if len(values) != len(vars) {
		return fmt.Errorf("restore: got %d variables, want %d", len(values), len(vars))
	}
	for i, v := range values {
		if want := ir.Size(vars[i].Shape); len(v) != want {
			return fmt.Errorf("restore: variable %s: got %d elements, want %d (%v)",
				vars[i].Name, len(v), want, vars[i].Shape)
		}
	}
	return nil
}

// CheckSome reports values, one after the other, that do not fit those variables. Verb is
// what is done with them.
func CheckSome(vars []ir.Var, verb string, which []int, values []float32) error {
	want := 0
	for _, i := range which {
		if i < 0 || i >= len(vars) {
			return fmt.Errorf("%s: there is no variable %d", verb, i)
		}
		want += ir.Size(vars[i].Shape)
	}
	if len(values) != want {
		return fmt.Errorf("%s: got %d elements, want %d", verb, len(values), want)
	}
	return nil
}

// Finite reports whether v is a number.
func Finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
