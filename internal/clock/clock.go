// Package clock tells the two times of a process apart: the wall clock, which people
// read and which may jump, and the time that passes, by which decisions are made.
package clock

import "time"

// A Clock tells both times. Timers need none: those of package time go by the time
// that passes, whatever happens to the wall clock.
type Clock interface {
	// Now is the time of the wall clock. It is for what people read: an administrator
	// may set it, and a time server step it, in both directions. What is decided by the
	// difference of two of them is decided by chance.
	Now() time.Time
	// Elapsed is the time since some moment of this process, by a clock that never
	// goes back. It stands still while the machine is suspended.
	Elapsed() time.Duration
}

// System is the clock of this machine. All values of it have the same beginning.
type System struct{}

// Now implements Clock.
func (System) Now() time.Time { return time.Now() }

// Elapsed implements Clock.
func (System) Elapsed() time.Duration { return time.Since(start) }

// start has the monotonic reading that Elapsed counts from.
var start = time.Now()
