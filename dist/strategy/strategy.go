// Package strategy has the ways in which several workers train one model: what a
// worker sends, what the center makes of it, and what the worker does with the
// answer. It is arithmetic on vectors: no messages, no clock.
//
// Notation: w a worker's parameters and states, p those that it last got from the
// center, c the center's, k the window in steps, n the number of workers.
package strategy

// A Pattern says how workers and center take turns.
type Pattern uint8

const (
	// AllReduce: every step is taken together; gradients are summed.
	AllReduce Pattern = iota
	// Rounds: everyone takes k steps alone, then the center merges all results.
	Rounds
	// Windows: everyone takes k steps alone and commits, without waiting for others.
	Windows
	// Alone: one worker takes all steps.
	Alone
	// Members: every member of an ensemble is trained on its own.
	Members
)

// A Strategy is one way of working together.
type Strategy struct {
	Name    string
	Pattern Pattern
	Source  string // paper
	// Window returns k, when an epoch has so many steps.
	Window func(p Params, stepsPerEpoch int) int
	// NewCenter and NewLocal return the two sides; nil for AllReduce.
	NewCenter func(p Params) Center
	NewLocal  func(p Params) Local
}

// Params are the parameters of a strategy, complete with defaults, and what it
// takes from the rest of the spec.
type Params struct {
	Named map[string]float64 // "window", "rho", "outer_learning_rate", ...
	Rate  float64            // learning rate of the optimiser
}

// A Center is the center's side. Its methods are not called concurrently.
type Center interface {
	// Merge adds one worker's commit to c and writes to reply what the worker gets;
	// reply has the length of c and may be c's own memory only if the caller copies.
	// Staleness is the number of other commits since the worker last got c.
	Merge(c, commit, reply []float32, staleness int)
	// Round merges the commits of a round, made after so many steps each, into c.
	// What the workers get is c.
	Round(c []float32, commits [][]float32, steps []int)
}

// A Local is a worker's side.
type Local interface {
	// Commit writes to out what to send after a window: of w, and p.
	Commit(out, w, p []float32, steps int)
	// Receive changes w, and p, by the center's answer.
	Receive(w, p, reply []float32)
}
