package worker

import (
	"cmp"
	"sync"
	"time"

	"github.com/gespann/gespann/dist/wire"
)

// Phases of a worker, for those who watch it.
const (
	idle    = "idle"
	opening = "opening"
	compute = "compute"
	wait    = "wait" // for other workers, or for the center
)

// An account says what a worker is doing, and where the time of its training went.
// Its methods may be called concurrently.
type account struct {
	mu    sync.Mutex
	cost  wire.Cost // of the job
	past  wire.Cost // of those before it
	done  int64     // optimiser steps that the variables have had
	steps int64     // that this worker has taken, in all jobs
	phase string
	since time.Time // of the phase
	// ready is when the latest training ended, or the first group was told to form: until
	// the next begins, the worker waits, but for the time in which nobody asked for steps.
	// Zero: nothing is waited for.
	ready time.Time
}

// reset begins the account of a job.
func (a *account) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	plus(&a.past, a.cost)
	a.cost, a.done, a.ready = wire.Cost{}, 0, time.Time{}
}

// enter begins a phase.
func (a *account) enter(phase string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.phase, a.since = phase, time.Now()
}

// at says how many optimiser steps the worker's variables have had.
func (a *account) at(done int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = done
}

// took counts optimiser steps.
func (a *account) took(steps int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.steps += int64(steps)
}

// begin begins training: the time since the last one was spent waiting, but for so many
// seconds of rest.
func (a *account) begin(rested float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ready.IsZero() {
		a.cost.Wait += max(0, time.Since(a.ready).Seconds()-rested)
		a.ready = time.Time{}
	}
	a.phase, a.since = compute, time.Now()
}

// end ends training, for now, and returns the account.
func (a *account) end(phase string) wire.Cost {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ready = time.Now()
	a.phase, a.since = phase, a.ready
	return a.cost
}

// expect says that training comes: the worker waits for it.
func (a *account) expect() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ready.IsZero() {
		a.ready = time.Now()
	}
}

// between adds communication between two trainings, which is not waiting. It may come after
// steps were last asked for: what of the waiting was in a rest, the next begin says.
func (a *account) between(comm time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cost.Comm += comm.Seconds()
	if !a.ready.IsZero() {
		a.ready = a.ready.Add(comm)
	}
	a.phase, a.since = wait, time.Now()
}

// pause says that what follows is neither training nor waiting for it.
func (a *account) pause() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ready = time.Time{}
}

// add adds to the account.
func (a *account) add(c wire.Cost) {
	a.mu.Lock()
	defer a.mu.Unlock()
	plus(&a.cost, c)
}

// plus adds to a cost.
func plus(sum *wire.Cost, c wire.Cost) {
	sum.Compute += c.Compute
	sum.Update += c.Update
	sum.Wait += c.Wait
	sum.Comm += c.Comm
	sum.Rows += c.Rows
	sum.Sent += c.Sent
	sum.Received += c.Received
}

// all says what the worker is doing, and what it has done in all jobs.
func (a *account) all() (phase string, steps int64, total wire.Cost) {
	a.mu.Lock()
	defer a.mu.Unlock()
	total = a.past
	plus(&total, a.cost)
	return cmp.Or(a.phase, idle), a.steps, total
}

// beat says how the worker is doing.
func (a *account) beat() wire.Beat {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := wire.Beat{Done: a.done, Phase: a.phase, Cost: a.cost}
	if b.Phase == "" {
		b.Phase = idle
	} else {
		b.Seconds = time.Since(a.since).Seconds()
	}
	return b
}
