package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

const (
	firstWait = 50 * time.Millisecond // before connecting again
	longWait  = 5 * time.Second
	hurry     = 5 * time.Second // how long to wait for a lost coordinator when the caller wants to end
	goodbye   = 2 * time.Second // for the coordinator to end the connection
	quiet     = time.Second     // of waiting before that is said
	maxLosses = 10              // in a row, without progress
)

var (
	errClosed      = errors.New("connection is closed")
	errInterrupted = errors.New(wire.Interrupted)
	// errGone: the connection to the coordinator has ended.
	errGone = errors.New("no connection to the coordinator")
)

// A lostError says that nobody holds the variables any more.
type lostError struct{ reason string }

func (e *lostError) Error() string { return "all workers are lost: " + e.reason }

// do asks for something that needs the variables, as often as it takes to get an
// answer: when they are lost, what is remembered is restored and repeated.
func (s *session) do(
	ctx context.Context, f wire.Frame, progress func(wire.Position),
) (wire.Frame, error) {
	for {
		answer, err := s.withVariables(ctx, f, progress)
		var lost *lostError
		if !errors.As(err, &lost) {
			return answer, err
		}
		if err := s.lost(lost.reason); err != nil {
			return wire.Frame{}, err
		}
	}
}

// lost notes that what is remembered must be restored. Too many losses in a row
// are an error.
func (s *session) lost(reason string) error {
	s.loaded = false
	if s.losses++; s.losses > maxLosses {
		return fmt.Errorf("cluster: the state was lost %d times in a row: %s", s.losses, reason)
	}
	s.opt.Log("cluster: %s; repeating %d steps from memory", reason, s.at.Done-s.baseAt.Done)
	return nil
}

func (s *session) withVariables(
	ctx context.Context, f wire.Frame, progress func(wire.Position),
) (wire.Frame, error) {
	if !s.loaded {
		if err := s.reload(ctx); err != nil {
			return wire.Frame{}, err
		}
	}
	return s.ask(ctx, f, progress)
}

// reload brings the workers to where the run is.
func (s *session) reload(ctx context.Context) error {
	all := make([]float32, 0, s.total)
	for _, v := range s.base {
		all = append(all, v...)
	}
	_, err := s.ask(ctx, wire.Frame{Message: &wire.Restore{At: s.baseAt}, Floats: all}, nil)
	if err != nil {
		return err
	}
	for _, l := range s.log {
		f, err := s.ask(ctx, wire.Frame{Message: l.train}, nil)
		if err != nil {
			return err
		}
		t := f.Message.(*wire.Trained)
		switch want := l.train.Span.Done + int64(l.train.Span.Last-l.train.Span.First); {
		case t.NotFinite != nil:
			return fmt.Errorf("cluster: repeating steps after a loss of workers: %w", t.NotFinite.Err())
		case t.At.Done != want && ctx.Err() != nil:
			return ctx.Err()
		case t.At.Done != want:
			return fmt.Errorf("cluster: repeated steps end at %d, want %d", t.At.Done, want)
		}
	}
	s.loaded = true
	return nil
}

// ask sends a request and returns its answer, over as many connections as that
// takes.
func (s *session) ask(
	ctx context.Context, f wire.Frame, progress func(wire.Position),
) (wire.Frame, error) {
	for {
		if s.line == nil {
			if err := s.attach(ctx); err != nil {
				return wire.Frame{}, err
			}
		}
		answer, err := s.exchange(ctx, f, progress)
		if !errors.Is(err, errGone) {
			return answer, err
		}
		s.hangUp()
		if s.local != nil {
			if cause := s.local.Err(); cause != nil { // the end of the connection only follows
				err = cause
			}
			return answer, fmt.Errorf("cluster: %w", err)
		}
		s.opt.Log("cluster: %v", err)
	}
}

// attach connects to the coordinator and asks it for the job. Once that coordinator has
// been reached it is tried again and again.
func (s *session) attach(ctx context.Context) error {
	if !s.met {
		err := s.tryAttach(ctx)
		if err == nil || !s.met || s.local != nil || !errors.Is(err, errGone) {
			return err
		}
		s.opt.Log("cluster: %v", err)
	}
	patience := s.opt.Patience
	if s.hurried {
		patience = hurry
	}
	ctx, cancel := outlive(ctx, hurry)
	defer cancel()
	begin, wait := time.Now(), firstWait
	for {
		err := s.tryAttach(ctx)
		if err == nil {
			s.opt.Log("cluster: the coordinator is there again")
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, errGone) || time.Since(begin) > patience {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, longWait)
	}
}

// outlive returns a context that ends some time after ctx does.
func outlive(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		select {
		case <-time.After(by):
			cancel()
		case <-out.Done():
		}
	})
	return out, cancel
}

// tryAttach connects once. An error that may pass is an errGone.
func (s *session) tryAttach(ctx context.Context) error {
	conn, err := s.dial(ctx)
	if err != nil {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, dist.ErrRefused): // it will not let this one in, however often it is asked
			return err
		}
		return &goneError{err}
	}
	s.owed = ""
	if near, ok := conn.(sharer); ok {
		near.Share(s.job.Data)
	}
	s.line = newLine(conn, s.job.Data, s.wire.ID, max(4*int64(s.total), wire.MaxMessage))
	attach := &wire.Attach{Protocol: wire.Protocol, Job: s.wire, Again: s.met}
	s.met = true
	if s.loaded {
		at := s.at
		attach.At = &at // else repeated spans say where they begin
	}
	f, err := s.exchange(ctx, wire.Frame{Message: attach}, nil)
	if err != nil && ctx.Err() != nil {
		s.leave(errInterrupted) // a job that still waits would keep others waiting
		return err
	}
	if err != nil {
		s.hangUp()
		return err
	}
	s.workers = f.Message.(*wire.Attached).Workers
	return nil
}

// A sharer is a connection inside this process.
type sharer interface{ Share(set *data.Set) }

// A goneError is an errGone with its reason.
type goneError struct{ err error }

func (e *goneError) Error() string        { return e.err.Error() }
func (e *goneError) Unwrap() error        { return e.err }
func (e *goneError) Is(target error) bool { return target == errGone }

// leave says good-bye to the coordinator, and why when the job is not complete, and
// ends the connection.
func (s *session) leave(why error) {
	bye := new(wire.Detach)
	if why != nil {
		bye.Err = why.Error()
	}
	if s.line.conn.Send(wire.Frame{Message: bye}) == nil {
		s.line.wait(goodbye)
	}
	s.hangUp()
}

// hangUp ends the connection.
func (s *session) hangUp() {
	s.line.close()
	s.line = nil
}
