package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gespann/gespann/dist/coord"
	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
)

// errCancelled ends a submitted job that someone does not want any more.
var errCancelled = errors.New("cancelled")

// errLeft is of a training loop that does not end when it should.
var errLeft = errors.New("the training loop does not end, and was left behind")

// room is what must be free on a disk before a job is tried again.
const room = 1 << 20

// runJob runs one job to its end, however often the disk is full meanwhile, or files
// cannot be opened.
func (s *Server) runJob(r jobs.Record) {
	ctx, cancel := context.WithCancelCause(s.runner)
	defer cancel(nil)
	s.mu.Lock()
	s.running[r.ID] = cancel
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.running, r.ID)
		delete(s.lacking, r.ID)
	}()
	wait := s.o.RetryDisk
	for {
		if now, err := s.book.Find(r.ID); err != nil || now.Cancel || wire.Ended(now.State) {
			cancel(errCancelled)
		}
		err := context.Cause(ctx)
		if err == nil {
			err = s.attempt(ctx, r)
		}
		if errors.Is(err, errLeft) {
			s.o.Log.Error("a job does not end, and its training loop was left behind", "job", r.ID)
			s.book.Log(r.ID, err.Error())
		}
		if cause := context.Cause(ctx); cause != nil {
			s.interrupted(r.ID, cause)
			return
		}
		if lacks, _ := jobs.Passing(err); lacks == "" {
			s.ended(r.ID, err)
			return
		}
		if !s.awaitRoom(ctx, r.ID, err, wait) {
			s.interrupted(r.ID, context.Cause(ctx))
			return
		}
		wait = min(2*wait, 16*s.o.RetryDisk)
	}
}

// attempt runs the training loop once.
func (s *Server) attempt(ctx context.Context, r jobs.Record) (err error) {
	s.setState(r.ID, wire.JobStarting, "")
	spec, err := s.book.Spec(r.ID)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.book.RunDir(r.ID), 0o777); err != nil {
		return err
	}
	dataDir, err := absolute(s.book.DataDir(&r))
	if err != nil {
		return err
	}
	driver := s.connect(r.By, r.ID)
	defer s.detach(r.ID, driver)
	var left atomic.Bool
	ended := make(chan error, 1)
	go func() {
		ended <- s.loop(ctx, Submission{
			ID: r.ID, Name: r.Name, Dir: s.book.RunDir(r.ID), Spec: spec, Origin: s.book.Origin(r.ID), Driver: driver,
			Owner: r.By, DataDir: dataDir,
			Tell: func(line string) {
				if line != "" && !left.Load() {
					s.book.Log(r.ID, line)
				}
			},
		})
	}()
	err = s.await(ctx, driver, ended)
	left.Store(errors.Is(err, errLeft))
	return err
}

// loop runs the training loop of a job. One that panics leaves other jobs and the
// coordinator as they are.
func (s *Server) loop(ctx context.Context, j Submission) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the training loop panicked: %v", p)
			s.o.Log.Error("a job panicked", "job", j.ID, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return s.o.RunJob(ctx, j)
}

// lastTime is what a training loop gets to end in when its connection has been closed.
const lastTime = time.Second

// await waits for the end of a training loop. When ctx has ended, that may take a while,
// in which it saves. One that does not save in time, or waits for a machine that does not
// answer, loses its connection; one that hangs all the same is left behind.
func (s *Server) await(ctx context.Context, driver *Local, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	late := time.NewTimer(s.o.Grace)
	defer late.Stop()
	stopping, closed := s.runner.Done(), false
	for {
		select {
		case err := <-ended:
			return err
		case <-stopping:
			late.Reset(min(s.o.Leave, s.o.Grace))
			stopping = nil
		case <-late.C:
			if closed {
				return errLeft
			}
			driver.Close()
			late.Reset(min(lastTime, s.o.Grace))
			stopping, closed = nil, true
		}
	}
}

// detach ends the connection of a job's driver, and sees to it that the machine
// has forgotten the job.
func (s *Server) detach(id string, driver *Local) {
	driver.Close()
	<-driver.served
	done := make(chan struct{})
	if s.post(incoming{call: func(c *core) {
		if c.jobs[id] != nil {
			c.step(coord.Cancel{Job: id, Reason: "its training loop has ended"})
			c.free(id) // if the machine did not know it
		}
		close(done)
	}}) {
		<-done
	}
}

// ended closes the record of a job.
func (s *Server) ended(id string, err error) {
	state, reason := wire.JobDone, ""
	if err != nil {
		state, reason = wire.JobFailed, err.Error()
		s.book.Log(id, "failed: "+reason)
	}
	s.setState(id, state, reason)
}

// interrupted notes that a job was stopped from outside: for ever, or until the
// coordinator starts again.
func (s *Server) interrupted(id string, cause error) {
	if errors.Is(cause, errCancelled) {
		s.book.Log(id, "cancelled")
		s.setState(id, wire.JobCancelled, "")
		return
	}
	s.book.Log(id, "the coordinator is stopping; the job goes on when it starts again")
	s.setState(id, wire.JobQueued, "the coordinator was stopped")
}

// awaitRoom waits until files can be opened and written again; false: the job is not to go
// on.
func (s *Server) awaitRoom(ctx context.Context, id string, full error, wait time.Duration) bool {
	lacks, advice := jobs.Passing(full)
	s.book.Log(id, "paused: "+lacks+": "+full.Error())
	s.setState(id, wire.JobPaused, lacks+": "+full.Error()+"\nhint: "+advice+"; the job goes on by itself")
	s.o.Log.Error("a job is paused: "+lacks, "job", id, "err", full)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		if s.book.Room(room) == nil {
			s.book.Log(id, "files can be written again: going on")
			return true
		}
	}
}

// setState writes a state to the book, and to disk if there is room.
func (s *Server) setState(id, state, reason string) {
	s.book.Update(id, func(r *jobs.Record) {
		r.State, r.Reason = state, reason
		if !wire.Ended(state) { // nobody works on it now
			r.Workers = 0
		}
	})
	s.book.Flush(true) // what does not fit is tried again, and Err tells it
	if wire.Ended(state) {
		s.post(incoming{call: func(c *core) { c.totals.count(state); c.changed = true }})
	}
}

// Submit queues a job. When it returns, the job is on disk.
func (s *Server) Submit(ctx context.Context, q Request) (wire.JobStatus, error) {
	s.mu.Lock()
	closing := s.closing
	s.mu.Unlock()
	if closing {
		return wire.JobStatus{}, errClosing
	}
	if s.o.RunJob == nil {
		return wire.JobStatus{}, jobs.ErrNoFolder
	}
	if len(q.Spec) > wire.MaxSpec {
		return wire.JobStatus{}, fmt.Errorf("spec: has %d bytes, want at most %d", len(q.Spec), wire.MaxSpec)
	}
	plan := Plan{Name: q.Name}
	if s.o.Check != nil {
		var err error
		if plan, err = s.planFor(ctx, q); err != nil {
			return wire.JobStatus{}, err
		}
	}
	if q.Name == "" {
		q.Name = plan.Name
	}
	if plan.Spec != nil {
		q.Spec = plan.Spec
	}
	r, err := s.book.Submit(jobs.Submission{
		Name: q.Name, Spec: q.Spec, Origin: q.Origin, By: q.Owner, Files: q.DataDir,
		Epochs: plan.Epochs, Wants: plan.Workers, Data: plan.Data,
	})
	if err == nil {
		s.o.Log.Info("submitted", "job", r.ID)
		if s.explain(&r.JobStatus); r.Reason != "" {
			s.book.Log(r.ID, r.Reason)
		}
	}
	return r.JobStatus, err
}

// planFor asks Check, and does not wait for it longer than whoever submits.
func (s *Server) planFor(ctx context.Context, q Request) (Plan, error) {
	type answer struct {
		plan Plan
		err  error
	}
	checked := make(chan answer, 1)
	go func() {
		plan, err := s.o.Check(ctx, q)
		checked <- answer{plan, err}
	}()
	select {
	case a := <-checked:
		return a.plan, a.err
	case <-ctx.Done():
		return Plan{}, ctx.Err()
	}
}

// A NotOnDiskError reports something that was done, but that a coordinator which is
// started again would not know of.
type NotOnDiskError struct {
	Done string
	Err  error
}

func (e *NotOnDiskError) Error() string {
	return fmt.Sprintf("%s, but that is not on disk yet: %v\n"+
		"hint: it is written as soon as that can be; a coordinator that ends before would begin with the job again", e.Done, e.Err)
}

// Unwrap returns what is wrong with the disk.
func (e *NotOnDiskError) Unwrap() error { return e.Err }

// Cancel ends a job: at once when it waits, else after its current step, with
// what it has saved. When it returns nil, that is on disk; a NotOnDiskError says that it
// is not. The status is that of now: of a job that saves first, not cancelled yet. Any
// beginning of an ID that names one job will do.
func (s *Server) Cancel(id string) (wire.JobStatus, error) {
	r, err := s.book.Find(id)
	if err != nil {
		return r.JobStatus, err
	}
	id = r.ID
	if wire.Ended(r.State) {
		if err := s.book.Commit(id); err != nil {
			return r.JobStatus, &NotOnDiskError{Done: r.State, Err: err}
		}
		return r.JobStatus, fmt.Errorf("job %s: has ended already: %s", r.ID, r.State)
	}
	s.book.Update(id, func(r *jobs.Record) {
		r.Cancel = true
		if r.State == wire.JobQueued || r.State == wire.JobLost {
			r.State, r.Reason = wire.JobCancelled, ""
		}
	})
	s.mu.Lock()
	cancel := s.running[id]
	s.mu.Unlock()
	if cancel != nil {
		cancel(errCancelled)
	} else {
		s.post(incoming{call: func(c *core) {
			if j := c.jobs[id]; j != nil {
				j.ending, j.reason = wire.JobCancelled, ""
				c.step(coord.Cancel{Job: id, Reason: "someone cancelled it"})
			}
		}})
	}
	if err = s.book.Commit(id); err != nil {
		err = &NotOnDiskError{Done: "cancelled", Err: err}
	}
	r, _ = s.book.Find(id)
	return r.JobStatus, err
}
