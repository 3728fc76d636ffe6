// Package clocktest has clocks for tests: one whose wall jumps, and one that stands
// until a test moves it.
package clocktest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/gespann/gespann/internal/clock"
)

// Steps are what administrators, time servers, dead batteries and a suspended machine
// do to a wall clock.
var Steps = []time.Duration{
	0, time.Hour, -time.Hour, 10 * 365 * 24 * time.Hour, -10 * 365 * 24 * time.Hour, time.Second, -3 * time.Second,
}

// A Jumper is a clock whose wall jumps at each look: to the next of Steps, and an hour
// further each time, so that also the latest time that was ever seen is left behind. Its
// other time is that of the machine.
type Jumper struct {
	clock.System
	looks atomic.Int64
}

// Now implements clock.Clock. The time has no monotonic reading, as one from a file.
func (j *Jumper) Now() time.Time {
	n := j.looks.Add(1)
	return time.Now().Round(0).Add(Steps[n%int64(len(Steps))] + time.Duration(n)*time.Hour)
}

// Looks returns how often the wall was looked at.
func (j *Jumper) Looks() int64 { return j.looks.Load() }

// A Hand is a clock that a test moves.
type Hand struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
	step    time.Duration
}

// At returns a Hand whose wall is at a time. At each look at the wall a step passes.
func At(wall time.Time, step time.Duration) *Hand { return &Hand{wall: wall, step: step} }

// Now implements clock.Clock.
func (h *Hand) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wall, h.elapsed = h.wall.Add(h.step), h.elapsed+h.step
	return h.wall
}

// Elapsed implements clock.Clock.
func (h *Hand) Elapsed() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.elapsed
}

// Pass lets time pass.
func (h *Hand) Pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wall, h.elapsed = h.wall.Add(d), h.elapsed+d
}

// Set sets the wall, while no time passes.
func (h *Hand) Set(wall time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wall = wall
}
