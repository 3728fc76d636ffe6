package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gespann/gespann/dist/wire"
)

// answerTo returns the kind of the answer to a request.
func answerTo(m wire.Message) string {
	switch m.(type) {
	case *wire.Attach:
		return new(wire.Attached).Kind()
	case *wire.Restore:
		return new(wire.Restored).Kind()
	case *wire.Probe:
		return new(wire.Probed).Kind()
	case *wire.Train:
		return new(wire.Trained).Kind()
	case *wire.Snapshot:
		return new(wire.Variables).Kind()
	case *wire.Test:
		return new(wire.Tested).Kind()
	case *wire.Bill:
		return new(wire.Billed).Kind()
	}
	panic("cluster: invariant: no answer to " + m.Kind())
}

// exchange sends a request over the present connection and returns the answer.
// When ctx ends, training is asked to stop, and the answer awaited; a test, too, but its
// answer, as that to anything else, is left for later, when it is dropped.
func (s *session) exchange(
	ctx context.Context, f wire.Frame, progress func(wire.Position),
) (wire.Frame, error) {
	if err := s.settle(ctx); err != nil {
		return wire.Frame{}, err
	}
	if err := s.line.conn.Send(f); err != nil {
		return wire.Frame{}, &goneError{err}
	}
	_, training := f.Message.(*wire.Train)
	return s.await(ctx, answerTo(f.Message), training, progress)
}

// settle waits for an answer that was not waited for.
func (s *session) settle(ctx context.Context) error {
	if s.owed == "" {
		return nil
	}
	kind := s.owed
	_, err := s.await(ctx, kind, false, nil)
	return err
}

// await returns the answer of a kind.
func (s *session) await(
	ctx context.Context, kind string, training bool, progress func(wire.Position),
) (wire.Frame, error) {
	w := waiting{log: s.opt.Log}
	defer w.stop()
	ended := ctx.Done()
	s.owed = kind
	for {
		select {
		case f, ok := <-s.line.answers:
			if !ok {
				s.owed = ""
				return f, &goneError{s.line.err}
			}
			done, err := s.take(f, kind, &w, progress)
			if done || err != nil {
				s.owed = ""
				return f, err
			}
		case <-w.long():
			w.say()
		case <-s.localFailed():
			return wire.Frame{}, fmt.Errorf("cluster: %w", s.local.Err())
		case <-ended:
			if kind == new(wire.Tested).Kind() { // whose answer may need workers that are leaving, too
				if err := s.line.conn.Send(wire.Frame{Message: new(wire.Stop)}); err != nil {
					return wire.Frame{}, &goneError{err}
				}
			}
			if !training {
				return wire.Frame{}, ctx.Err()
			}
			ended = nil
			if err := s.line.conn.Send(wire.Frame{Message: new(wire.Stop)}); err != nil {
				return wire.Frame{}, &goneError{err}
			}
		}
	}
}

// take looks at a message, and reports whether it is the answer.
func (s *session) take(
	f wire.Frame, kind string, w *waiting, progress func(wire.Position),
) (bool, error) {
	switch m := f.Message.(type) {
	case *wire.Queued:
		w.because(m.Reason)
		return false, nil
	case *wire.Progress:
		w.stop()
		if progress != nil {
			progress(m.At)
		}
		return false, nil
	case *wire.Warned:
		s.opt.Log("cluster: %s", m.Text)
		return false, nil
	case *wire.Lost:
		return false, &lostError{m.Reason}
	case *wire.Fault:
		return false, fmt.Errorf("cluster: %s", m.Err)
	case *wire.Dismiss:
		err := fmt.Errorf("cluster: the coordinator ends the connection: %s", m.Reason)
		if m.Retry {
			err = &goneError{err}
		}
		return false, err
	}
	if got := f.Kind(); got != kind {
		return false, fmt.Errorf("cluster: got the message %q, want %q", got, kind)
	}
	return true, nil
}

// localFailed returns the channel that tells that a cluster on this machine cannot
// go on.
func (s *session) localFailed() <-chan struct{} {
	if s.local == nil {
		return nil
	}
	return s.local.Failed()
}

// A waiting says what is waited for, if that takes long.
type waiting struct {
	log    func(format string, args ...any)
	reason string
	timer  *time.Timer
	said   bool
}

// because is told why there is no answer yet.
func (w *waiting) because(reason string) {
	if reason == w.reason {
		return
	}
	w.reason = reason
	switch {
	case w.said:
		w.say()
	case w.timer == nil:
		w.timer = time.NewTimer(quiet)
	}
}

// long returns the channel that tells that it takes long.
func (w *waiting) long() <-chan time.Time {
	if w.timer == nil {
		return nil
	}
	return w.timer.C
}

func (w *waiting) say() {
	w.said = true
	if strings.HasPrefix(w.reason, "waiting ") {
		w.log("cluster: %s", w.reason)
		return
	}
	w.log("cluster: waiting: %s", w.reason)
}

// stop ends the waiting: there is progress.
func (w *waiting) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
	w.timer, w.reason, w.said = nil, "", false
}
