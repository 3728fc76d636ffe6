// Package host is the session that backends working in host memory share: it
// owns variables, gradients, the arena and the batch, and asks an Executor only
// to run programs.
package host

import (
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
)

// An Executor turns programs into something that runs.
type Executor interface {
	// Compile prepares p, which has passed ir.Verify, to run on the given
	// memory. Slots stay valid, at the same address, until Close.
	Compile(p *ir.Program, s Slots) (Runner, error)
	// Close ends the executor; its runners must not be used any more.
	Close()
}

// An Adder is an executor that adds vectors faster than a plain loop, to the same
// bits.
type Adder interface {
	// Add does sum[i] += x[i]; the lengths are equal. It allocates nothing.
	Add(sum, x []float32)
}

// A Gatherer is an executor that gathers rows faster than data.Table, to the same bits.
type Gatherer interface {
	// Gather writes rows of t to dst, as its own Gather does. It allocates nothing.
	Gather(dst []float32, t *data.Table, rows []uint32)
}

// An Arranger is an executor that lays out the arena in its own way.
type Arranger interface {
	// Arrange returns a layout of p that ir.PlanMemory might return if values lived
	// longer.
	Arrange(p *ir.Program) ir.Plan
}

// A Stepper is an executor that runs an optimiser step of one gradient run faster as a
// whole, to the same bits.
type Stepper interface {
	// Step returns a runner of a gradient program and an update program, as compiled
	// before, or nil where there is nothing to gain.
	Step(gradient, update Runner) StepRunner
}

// A StepRunner runs an optimiser step, in three parts. None allocates.
type StepRunner interface {
	// Begin reads the inputs of the update. Those of the gradient are written after it,
	// maybe to the same memory.
	Begin()
	// ToLoss runs at least what the loss needs, and nothing that changes a variable.
	ToLoss()
	// Finish runs the rest, unless the step is given up. Not all gradients are written.
	Finish()
}

// Slots is the memory of a program's values, by slot: F for Float, I for Int,
// nil in the other. Views share the memory of what they show. Each begins at a
// multiple of 64 bytes and is followed by 64 elements that may be read, whatever
// they hold, but not written.
type Slots struct {
	F [][]float32
	I [][]int32
}

// A Runner runs one program. Neither method allocates, and they are not called
// concurrently.
type Runner interface {
	// Run runs all instructions in order.
	Run()
	// Exec runs instruction i alone, on the memory as it is: how a session finds
	// the first value that is not finite.
	Exec(i int)
}

// A Meeter is a Runner that can stop inside the instructions at which the parts of a
// gradient run meet: see package meet.
type Meeter interface {
	// Meet returns the two halves of instruction i, one of meet.Points.
	Meet(i int) *Halves
}

// Halves are what an instruction does before and after parts meet. Exec does both, and so
// takes its own rows for all.
type Halves struct {
	V []float64 // of the part, after Sums; of all parts, before Rest
	// Sums writes V, and those outputs that are of the part alone; Rest the others. Neither
	// allocates.
	Sums, Rest func()
}
