// Package strategy has the ways in which several workers train one model: what a
// worker sends, what the center makes of it, and what the worker does with the
// answer. It is arithmetic on vectors: no connections, no clock.
//
// Notation: w a worker's parameters and states, p those that it last got from the
// center, c the center's, k the window in steps, n the number of workers, α = rho
// times the learning rate.
//
// States are the running statistics of batch normalisation. They are averages
// themselves, not sums of small changes: to add what several workers changed, or to
// go beyond a mean, can make a variance negative. So whatever a rule does with
// parameters, states become a weighted mean of what the workers and the center have:
// see each rule. Of mean and variance of several, the variance is that of all their rows,
//
//	E[variance + mean²] − (E[mean])² = E[variance] + E[(mean − E[mean])²]
//
// which is how it is computed: nothing cancels. Weights are the steps taken, which have
// equally many rows but for the last of an epoch.
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
	Params  []Param
	// Window returns k, when an epoch has so many steps. When fewer than n·k are left
	// in the epoch, n workers that take a round together share them equally.
	Window func(p Params, stepsPerEpoch int) int
	// NewCenter and NewLocal return the two sides; nil for AllReduce. A center may
	// keep a momentum: a new one is made when c is set from outside.
	NewCenter func(p Params) Center
	NewLocal  func(p Params) Local
}

// Params are the parameters of a strategy, complete with defaults, and what it
// takes from the rest of the spec.
type Params struct {
	Named map[string]float64 // "window", "rho", "outer_learning_rate", ...
	Rate  float64            // learning rate of the optimiser, before any schedule
	// States are where vectors have states, in order; the rest is parameters.
	States []Range
	// Moments are the states that are mean and variance of the same channels.
	Moments []Moments
}

// Moments are where vectors have a mean and the variance that goes with it, equally long.
type Moments struct{ Mean, Variance Range }

// A Range is the elements Lo ≤ i < Hi of a vector.
type Range struct{ Lo, Hi int }

// window is the Window of strategies that have it as a parameter.
func window(p Params, _ int) int { return int(p.Named["window"]) }

// epoch is the Window of strategies whose workers take all there is.
func epoch(_ Params, stepsPerEpoch int) int { return stepsPerEpoch }

// split calls params and states for the ranges of a vector of length n.
func (p Params) split(n int, params, states func(lo, hi int)) {
	at := 0
	for _, r := range p.States {
		params(at, r.Lo)
		states(r.Lo, r.Hi)
		at = r.Hi
	}
	params(at, n)
}

// A Center is the center's side. Its methods are not called concurrently.
type Center interface {
	// Merge adds one worker's commit to c, and turns commit into what the worker gets:
	// both pass through the processor once. Staleness is the number of other commits
	// since the worker last got c.
	Merge(c, commit []float32, staleness int)
	// Round merges the commits of a round, made after so many steps each, into c.
	// What the workers get is c. The commits may be changed.
	//
	// Strategies of Windows merge one after the other; for those of Rounds, Merge is a
	// round of one.
	Round(c []float32, commits [][]float32, steps []int)
}

// A Local is a worker's side.
type Local interface {
	// Commit turns w, after a window that began with p, into what to send.
	Commit(w, p []float32, steps int)
	// Receive turns the center's answer to what was sent into the variables to go on
	// with, which are the next p.
	Receive(sent, reply []float32)
}
