// Package ir defines the program that a backend runs: a flat list of
// instructions over numbered values, whose shapes are numbers and multiples of the rows of
// a batch.
//
// A model becomes three programs. "forward" maps inputs to predictions, loss and
// metrics as at inference. "gradient" maps inputs to the loss, the gradient of
// every parameter and the new batch statistic of every state. "update" applies
// them. Gradient and forward programs are pure: only update programs write
// variables, so a step can be repeated or abandoned at any moment before its
// update.
//
// Tensors are dense and row-major; images are NHWC, convolution weights HWIO.
// Programs have no control flow, and every value is assigned once. Verify is the
// grammar, PlanMemory the layout, String and Parse the text form.
package ir

import "slices"

// A Type is the element type of a value.
type Type uint8

const (
	// Float is float32; ref also runs programs in float64, to check gradients.
	Float Type = iota
	// Int is int32: labels, embedding ids, counters.
	Int
)

// A Kind says who owns a value and how long it lives.
type Kind uint8

const (
	// Temp lives in the arena, from its instruction to its last use.
	Temp Kind = iota
	// Input is written by the session before a run.
	Input
	// Output is read by the session after a run, by name.
	Output
	// Variable is a persistent tensor that all programs of a model share; only
	// update programs write it, in place.
	Variable
	// Grad is the gradient (of a parameter) or new batch statistic (of a state)
	// of one variable. The gradient program writes it and the update program
	// reads it; it persists in between. A program has at most one Variable and one
	// Grad of a variable.
	Grad
	// View is another value's memory under another shape. To read or assign it is
	// to read or assign that value.
	View
)

// A Slot is the index of a value in Program.Values.
type Slot int32

// None is the slot of no value.
const None Slot = -1

// A Value is one tensor of a program.
type Value struct {
	// Name is unique in the program for Input, Output, Variable and Grad; the
	// others may have none.
	Name  string
	Type  Type
	Kind  Kind
	Shape []int // dims ≥ 1, or a first one of rows, see B; a scalar has shape [1]
	Var   int   // index into the model's variables for Variable and Grad, else -1
	Of    Slot  // the value that a View shows, else None; never itself a View
}

// Size returns the number of elements.
func (v *Value) Size() int { return Size(v.Shape) }

// Size returns the number of elements of a tensor of the given shape; of k·B elements
// it is −k, like a dim.
func Size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// An Instr applies one op. Out values of update ops (Variable) and of accumulate
// (Grad) are read and overwritten in place; all others are written only.
type Instr struct {
	Op    Op
	Attrs Attrs
	In    []Slot
	Out   []Slot
	// Layer is the spec path and name the instruction comes from, such as
	// "model[2] dense_1", for messages and traces.
	Layer string
}

// A Program is a list of instructions in execution order.
type Program struct {
	Name   string // "forward", "gradient" or "update"
	Batch  int    // rows per run, or B: any number of them; 0 for update
	Values []Value
	Instrs []Instr
}

// B is the number of rows of a batch where it is left open: the Batch of a program for
// any number of them, and a dim. A dim −k is k·B. Only the first dim of a value can be
// one, so sizes are numbers or multiples of B too, and the rules of shapes are the same
// for both.
const B = -1

// At returns the program for batches of so many rows, at least 1. A program that is
// not for any number of rows is returned as it is. The result shares with p what has
// no rows.
func (p *Program) At(rows int) *Program {
	if p.Batch != B {
		return p
	}
	if rows < 1 {
		panic("ir: invariant: a batch has rows")
	}
	at := &Program{Name: p.Name, Batch: rows, Values: slices.Clone(p.Values), Instrs: slices.Clone(p.Instrs)}
	for i := range at.Values {
		if v := &at.Values[i]; len(v.Shape) > 0 && v.Shape[0] < 0 {
			v.Shape = slices.Clone(v.Shape)
			v.Shape[0] *= -rows
		}
	}
	for i := range at.Instrs {
		if d := &at.Instrs[i].Attrs.Dims[0]; *d < 0 {
			*d *= -rows
		}
	}
	return at
}

// Names of the inputs and outputs that sessions and lowering agree on.
const (
	InX    = "x"    // features [Batch, ...], Float, or Int for embedding ids
	InY    = "y"    // targets: Int [Batch] class labels, or Float [Batch, ...]
	InSeed = "seed" // Float [1]: weight of this batch's loss, 1/accumulation
	InTick = "tick" // Int [1]: number of this run, for dropout; unique per step
	InRate = "rate" // Float [1]: learning rate of this step
	InStep = "step" // Int [1]: optimiser step, counted from 1

	OutLoss       = "loss"       // Float [1]: mean loss of the batch
	OutPrediction = "prediction" // the model's output
	// MetricPrefix precedes a metric's name in its output. A metric's value is a
	// sum over the rows of the batch, so batches of any size can be added up.
	MetricPrefix = "metric/"
)

// Names of the states that follow mean and variance of batches, behind the layer's and a
// dot: who puts together states of several replicas has to know which belong together.
const (
	StateMean     = "moving_mean"
	StateVariance = "moving_variance"
)

// A Role says what a variable is for.
type Role uint8

const (
	// Param is trained by the optimiser.
	Param Role = iota
	// State is a running statistic of a layer.
	State
	// OptState belongs to the optimiser.
	OptState
)

// A Var is a persistent tensor that all programs of a model share. Variables are
// always Float.
type Var struct {
	Name  string // "dense_1.kernel", "optimizer.m.dense_1.kernel"
	Shape []int
	Role  Role
}
