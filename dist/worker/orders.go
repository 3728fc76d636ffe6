package worker

import (
	"context"
	"errors"
	"sync"

	"github.com/gespann/gespann/dist/wire"
)

// Messages wait in line while the worker works. Four kinds of them concern what it
// is doing: Abort a group, Form another, Close a job, and Stop either kind of
// training. The goroutine that reads announces them here, and so ends the task at hand
// early. Until such a message is handled in its turn, tasks that were before it in the
// line end as soon as they begin.

var (
	errAborted = errors.New("the group was aborted")
	errClosed  = errors.New("the job was closed")
	errStopped = errors.New("asked to stop")
)

// orders are messages that have been read and not yet handled.
type orders struct {
	mu     sync.Mutex
	aborts map[int]int    // by generation: how many
	stops  map[int]int    // by generation
	closes map[string]int // by job
	formed int            // the latest generation: those before it have ended
	task   *task          // at hand; nil: none
}

// A task is what a message asks for, being done.
type task struct {
	// ctx ends when the task is not wanted any more, whose answer nobody waits for.
	// It is kept here because it lives as long as the task.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// steps ends with ctx, or when no more steps are to be taken.
	steps context.Context
	stop  context.CancelCauseFunc

	gen   int    // of steps taken together; else -1
	job   string // or "": the one that is open
	lease bool
}

// begin returns a task for a message. It has ended when a message behind it in the
// line says so.
func (o *orders) begin(ctx context.Context, m wire.Message) *task {
	t := &task{gen: -1}
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	t.steps, t.stop = context.WithCancelCause(t.ctx)
	switch m := m.(type) {
	case *wire.Open:
		t.job = m.Job.ID
	case *wire.Load:
		t.job = m.Job
	case *wire.Fetch:
		t.job = m.Job
	case *wire.Form:
		t.job, t.gen = m.Job, m.Gen
	case *wire.Run:
		t.gen = m.Gen
	case *wire.Lease:
		t.job, t.lease = m.Job, true
	case *wire.Merged:
		t.job = m.Job
	case *wire.Evaluate:
		t.job = m.Job
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.task = t
	for gen := range o.aborts {
		o.abort(gen)
	}
	o.supersede()
	for gen := range o.stops {
		o.stop(gen)
	}
	for job := range o.closes {
		o.close(job)
	}
	return t
}

// end ends a task, and forgets its message.
func (o *orders) end(t *task, m wire.Message) {
	t.stop(nil)
	t.cancel(nil)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.task = nil
	switch m := m.(type) {
	case *wire.Abort:
		less(o.aborts, m.Gen)
	case *wire.Stop:
		less(o.stops, m.Gen)
	case *wire.Close:
		less(o.closes, m.Job)
	}
}

// seen announces a message.
func (o *orders) seen(m wire.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch m := m.(type) {
	case *wire.Abort:
		more(&o.aborts, m.Gen)
		o.abort(m.Gen)
	case *wire.Form:
		o.formed = max(o.formed, m.Gen)
		o.supersede()
	case *wire.Stop:
		more(&o.stops, m.Gen)
		o.stop(m.Gen)
	case *wire.Close:
		more(&o.closes, m.Job)
		o.close(m.Job)
	}
}

func (o *orders) abort(gen int) {
	if o.task != nil && o.task.gen == gen {
		o.task.cancel(errAborted)
	}
}

// supersede ends what a group does when another has been formed.
func (o *orders) supersede() {
	if t := o.task; t != nil && t.gen >= 0 && t.gen < o.formed {
		t.cancel(errAborted)
	}
}

// stop ends training after the current step. A lease has no generation.
func (o *orders) stop(gen int) {
	if o.task != nil && (o.task.lease || o.task.gen == gen) {
		o.task.stop(errStopped)
	}
}

// close ends all that is being done for a job. Run does not say for which.
func (o *orders) close(job string) {
	if t := o.task; t != nil && (t.job == job || t.job == "" && t.gen >= 0) {
		t.cancel(errClosed)
	}
}

func more[K comparable](m *map[K]int, k K) {
	if *m == nil {
		*m = map[K]int{}
	}
	(*m)[k]++
}

func less[K comparable](m map[K]int, k K) {
	if m[k]--; m[k] <= 0 {
		delete(m, k)
	}
}
