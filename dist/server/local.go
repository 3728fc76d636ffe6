package server

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// A Local is the connection of a driver in the coordinator's process. It carries
// frames without a wire; tensors are copied, so that both sides own theirs.
type Local struct {
	end
	set    *atomic.Pointer[data.Set]
	served chan struct{} // closed when the coordinator's side has ended
}

var _ dist.Conn = (*Local)(nil)

// Connect connects a driver in this process. Close it when done.
func (s *Server) Connect() *Local { return s.connect("", dist.Principal{Account: true}) }

func (s *Server) connect(submitted string, who dist.Principal) *Local {
	ab, ba, closed := make(chan wire.Frame), make(chan wire.Frame), make(chan struct{})
	both := &sync.Once{}
	set := &atomic.Pointer[data.Set]{}
	l := &Local{
		end: end{out: ab, in: ba, closed: closed, once: both, remote: "coordinator"},
		set: set, served: make(chan struct{}),
	}
	other := &localDriver{end{out: ba, in: ab, closed: closed, once: both, remote: "this process"}, set}
	go func() {
		defer close(l.served)
		s.driver(context.Background(), other, submitted, who) // its errors are told to the driver
	}()
	return l
}

// Share gives the coordinator the rows of the job, which must not change until
// the connection has ended. Otherwise it asks for them when a worker has none.
func (l *Local) Share(set *data.Set) { l.set.Store(set) }

// A localDriver is the coordinator's side.
type localDriver struct {
	end
	set *atomic.Pointer[data.Set]
}

// Rows returns what Share has given, or nil.
func (d *localDriver) Rows() *data.Set { return d.set.Load() }

// An end of a connection in one process.
type end struct {
	out    chan<- wire.Frame
	in     <-chan wire.Frame
	closed chan struct{}
	once   *sync.Once
	remote string
}

var errClosed = errors.New("the connection is closed")

// Send hands f over, with copies of its tensors.
func (e *end) Send(f wire.Frame) error {
	select {
	case <-e.closed:
		return errClosed
	default:
	}
	f.Floats, f.Bytes = slices.Clone(f.Floats), slices.Clone(f.Bytes)
	select {
	case e.out <- f:
		return nil
	case <-e.closed:
		return errClosed
	}
}

// Recv returns the next frame.
func (e *end) Recv() (wire.Frame, error) {
	select {
	case f := <-e.in:
		return f, nil
	case <-e.closed:
		return wire.Frame{}, io.EOF
	}
}

// Allow does nothing: both sides are one program.
func (e *end) Allow(int64) {}

// Close ends the connection for both sides.
func (e *end) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}

// Remote names the other side.
func (e *end) Remote() string { return e.remote }
