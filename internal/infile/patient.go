package infile

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// maxLeft is how many calls that do not return a process leaves behind: each has a thread.
const maxLeft = 64

// left is how many there are. It is of the process, as threads are.
var left atomic.Int64

// Left returns how many calls have been left behind and have not returned since.
func Left() int { return int(left.Load()) }

// leave counts a call that is left behind, and tells it.
func (s Files) leave(path string) {
	n := left.Add(1)
	if s.Log != nil {
		s.Log("%s: a read of it hangs, and is left behind; %d of at most %d", path, n, maxLeft)
	}
}

// stuck is the error of a file that has not answered in time.
func (s Files) stuck(path, what string) error { return &StuckError{path, s.Patience, what} }

// alarm returns a channel that gets something after the patience, and what stops it.
func (s Files) alarm() (<-chan time.Time, func() bool) {
	if s.Patience <= 0 {
		return nil, func() bool { return true }
	}
	t := time.NewTimer(s.Patience)
	return t.C, t.Stop
}

// moment is what a call gets to return in when it is not wanted any more, so that what is
// said to hang does.
const moment = 50 * time.Millisecond

// patiently returns what call returns; or an error, when ctx or the patience ends first.
// Then call is left behind, and what it returns later is dropped.
func patiently[T any](ctx context.Context, s Files, path, what string, call func() (T, error), drop func(T)) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, ctx.Err()
	}
	if left.Load() >= maxLeft {
		return none, fmt.Errorf("%s: %w", path, errTooMany)
	}
	c := &calling{over: make(chan struct{})}
	var value T
	var failed error
	go func() {
		v, err := call()
		if c.returns(func() { value, failed = v, err }) || err != nil || drop == nil {
			return
		}
		drop(v)
	}()
	alarm, stop := s.alarm()
	defer stop()
	err := s.stuck(path, what)
	select {
	case <-c.over:
		return value, failed
	case <-alarm:
	case <-ctx.Done():
		err = ctx.Err()
		soon := time.NewTimer(moment)
		defer soon.Stop()
		select {
		case <-c.over:
		case <-soon.C:
		}
	}
	if c.leave() {
		s.leave(path)
	} else if failed == nil && drop != nil {
		drop(value) // nobody wants it
	}
	return none, err
}

// A calling is a call that is under way, or has returned, or was left behind.
type calling struct {
	mu   sync.Mutex
	gone bool
	over chan struct{} // closed when it has returned to one who waits
}

// returns calls keep and reports true, unless the call was left behind.
func (c *calling) returns(keep func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		left.Add(-1)
		return false
	}
	keep()
	close(c.over)
	return true
}

// leave leaves the call behind; false: it has returned, or was left before.
func (c *calling) leave() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.over:
		return false
	default:
	}
	was := c.gone
	c.gone = true
	return !was
}

// left reports whether the call was left behind.
func (c *calling) left() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone
}
