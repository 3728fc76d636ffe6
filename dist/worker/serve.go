package worker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

const (
	beatEvery = time.Second
	// waiting is how many messages wait while the worker works, and loaded how many of
	// them with tensors: a coordinator sends two or three before it has an answer.
	waiting = 64
	loaded  = 8
)

// serving is one connection.
type serving struct {
	*worker
	conn   dist.Conn
	frames chan wire.Frame // for the goroutine that works, in order
	orders orders
	loads  atomic.Int32            // frames with tensors among frames
	cancel context.CancelCauseFunc // ends the connection
}

// serve connects, and works until the connection ends. It reports whether the
// coordinator welcomed the worker, and why the connection ended. None of its
// goroutines outlives it.
func (w *worker) serve(ctx context.Context) (welcome bool, err error) {
	conn, err := w.dial(ctx)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s := &serving{worker: w, conn: conn, frames: make(chan wire.Frame, waiting), cancel: cancel}
	var all sync.WaitGroup
	all.Go(func() {
		<-ctx.Done()
		_ = conn.Close() // so that Send and Recv return; there is nothing to tell
	})
	defer all.Wait()
	defer cancel(nil)
	watchdog := newWatchdog(conn, func() { cancel(errSilent) })
	defer watchdog.stop()
	if err := s.greet(); err != nil {
		return false, s.because(ctx, err)
	}
	w.Monitor.connected(true)
	defer w.Monitor.connected(false)
	w.account.pause() // nobody knows for how long it was away
	w.Log.Info("connected", "coordinator", conn.Remote())
	all.Go(func() { s.read(ctx, watchdog) })
	all.Go(func() { s.beat(ctx) })
	all.Go(func() { s.leave(ctx) })
	for {
		f, err := s.next(ctx)
		if err == nil {
			err = s.do(ctx, f)
		}
		if err != nil {
			return true, s.because(ctx, err)
		}
	}
}

// dial connects, unless the worker is told to leave meanwhile.
func (w *worker) dial(ctx context.Context) (dist.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-w.Leave:
			cancel(errLeft)
		case <-done:
		}
	}()
	return w.Dial(ctx)
}

// leave waits until the worker is told to, tells the coordinator, and ends the
// connection when that does not dismiss it in time.
func (s *serving) leave(ctx context.Context) {
	select {
	case <-s.Leave:
	case <-ctx.Done():
		return
	}
	s.Monitor.note(func(v *View) { v.Leaving = true })
	s.Log.Info("leaving when what has begun is done", "at most", s.LeaveTime)
	if err := s.send(&wire.Leave{}, nil); err != nil {
		s.cancel(fmt.Errorf("lost the coordinator: %w", err))
		return
	}
	late := time.NewTimer(s.LeaveTime)
	defer late.Stop()
	select {
	case <-late.C:
		s.cancel(errLeft)
	case <-ctx.Done():
	}
}

// because returns why the connection ended, which err is a consequence of.
func (s *serving) because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// greet says who the worker is and what it holds, and waits for an answer.
func (s *serving) greet() error {
	hello := &wire.Hello{
		Protocol: wire.Protocol, ID: s.id, Secret: s.secret, Name: s.Name, Version: s.Version, Backend: s.Backend,
		Device: s.Device, Threads: s.Threads, Peer: s.Peers.Addresses(), Host: s.Host,
	}
	if s.held != nil {
		hello.Job, hello.At = s.held.ID, s.held.position()
	}
	if err := s.send(hello, nil); err != nil {
		return err
	}
	f, err := s.conn.Recv()
	if err != nil {
		return err
	}
	switch m := f.Message.(type) {
	case *wire.Welcome:
		return nil
	case *wire.Dismiss:
		return &DismissedError{m.Reason, m.Retry}
	}
	return fmt.Errorf("got %s from the coordinator, want welcome", f.Kind())
}

// read takes messages off the connection until it ends. What cannot wait is
// handled here.
func (s *serving) read(ctx context.Context, watchdog *watchdog) {
	for {
		watchdog.start()
		f, err := s.conn.Recv()
		watchdog.stop() // a coordinator is not silent because this worker is busy
		if err != nil {
			s.cancel(fmt.Errorf("lost the coordinator: %w", err))
			return
		}
		switch m := f.Message.(type) {
		case *wire.Ping:
			continue
		case *wire.Dismiss:
			s.cancel(&DismissedError{m.Reason, m.Retry})
			return
		}
		if len(f.Floats) > 0 && s.loads.Add(1) > loaded {
			s.cancel(fmt.Errorf("the coordinator sent %d messages with tensors before the first was done", loaded+1))
			return
		}
		s.orders.seen(f.Message)
		select {
		case s.frames <- f:
		case <-ctx.Done():
			return
		}
	}
}

// beat says that the worker is alive, until the connection ends.
func (s *serving) beat(ctx context.Context) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		s.Monitor.moves()
		beat := s.account.beat()
		if err := s.send(&beat, nil); err != nil {
			s.cancel(fmt.Errorf("lost the coordinator: %w", err))
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// next waits for a message.
func (s *serving) next(ctx context.Context) (wire.Frame, error) {
	select {
	case <-ctx.Done():
		return wire.Frame{}, context.Cause(ctx)
	case f := <-s.frames:
		if len(f.Floats) > 0 {
			s.loads.Add(-1)
		}
		return f, nil
	}
}

func (s *serving) send(m wire.Message, floats []float32) error {
	return s.conn.Send(wire.Frame{Message: m, Floats: floats})
}

// do handles a message. An error ends the connection; what goes wrong with the
// job is told to the coordinator.
func (s *serving) do(ctx context.Context, f wire.Frame) error {
	task := s.orders.begin(ctx, f.Message)
	defer s.orders.end(task, f.Message)
	err := s.handle(task, f)
	switch {
	case err == nil:
		return nil
	case task.ctx.Err() != nil: // whatever ended it tells the coordinator
		s.Log.Debug("interrupted", "message", f.Kind(), "because", context.Cause(task.ctx))
		return nil
	}
	return s.failed(task, f, err)
}

// failed tells the coordinator that the worker cannot do what f asks.
func (s *serving) failed(t *task, f wire.Frame, err error) error {
	m := &wire.Failed{Job: t.job, Err: err.Error()}
	if m.Job == "" && s.held != nil {
		m.Job = s.held.ID
	}
	if m.NotFinite = wire.FromNotFinite(err); m.NotFinite != nil {
		if s.held != nil && s.held.at != nil { // as far as it came before that step
			at := s.held.at.position()
			m.At = &at
		}
	}
	s.Monitor.note(func(v *View) { v.Failures++ })
	s.Log.Error("cannot do what the coordinator asks", "message", f.Kind(), "error", err)
	return s.send(m, nil)
}

// handle does what a message asks for, and answers. Floats and bytes that are too
// many or too few are errors.
func (s *serving) handle(t *task, f wire.Frame) error {
	switch m := f.Message.(type) {
	case *wire.Open:
		return s.open(t, m)
	case *wire.Close:
		if s.held != nil && s.held.ID == m.Job {
			s.drop()
		}
		if m.Ended && s.OneJob {
			s.cancel(errDone)
		}
		return nil
	case *wire.Rows, *wire.Stop:
		return nil // the rest of a table that is not wanted any more; see orders
	}
	if s.held == nil {
		switch f.Message.(type) {
		case *wire.Abort, *wire.Merged:
			return nil // of a job that has been closed
		}
		return fmt.Errorf("got %s, but no job is open", f.Kind())
	}
	switch m := f.Message.(type) {
	case *wire.Load:
		return s.load(t, m, f.Floats)
	case *wire.Fetch:
		return s.fetch(t, m)
	case *wire.Form:
		return s.form(t, m)
	case *wire.Run:
		return s.run(t, m)
	case *wire.Abort:
		return s.aborted(m)
	case *wire.Lease:
		return s.lease(t, m, f.Floats)
	case *wire.Merged:
		return s.merged(t, m, f.Floats)
	case *wire.Evaluate:
		return s.evaluate(t, m, f.Floats)
	}
	return fmt.Errorf("got %s, which is no message for a worker", f.Kind())
}
