// Package disttest has connections between parts of a cluster that live in one
// process, and what can go wrong with them.
package disttest

import (
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

// depth is how many frames a connection holds before Send waits.
const depth = 64

// Pipe returns the two ends of a connection, named as their other side sees
// them.
func Pipe(nameA, nameB string) (a, b *Conn) {
	line := &line{closed: make(chan struct{}), open: make(chan struct{})}
	close(line.open)
	ab, ba := make(chan wire.Frame, depth), make(chan wire.Frame, depth)
	a = &Conn{line: line, out: ab, in: ba, remote: nameB}
	b = &Conn{line: line, out: ba, in: ab, remote: nameA}
	return a, b
}

// A Conn is one end of a Pipe.
type Conn struct {
	*line
	out, in chan wire.Frame
	remote  string
	mu      sync.Mutex
	allowed int64
}

// A line is what both ends share.
type line struct {
	closed chan struct{}
	once   sync.Once
	mu     sync.Mutex
	open   chan struct{} // closed while frames move
}

var (
	_ dist.Conn = (*Conn)(nil)

	errClosed   = errors.New("connection is closed")
	errTooLarge = errors.New("frame is larger than allowed")
)

// Send hands f over; tensors are copied.
func (c *Conn) Send(f wire.Frame) error {
	f.Floats, f.Bytes = slices.Clone(f.Floats), slices.Clone(f.Bytes)
	if err := c.pass(); err != nil {
		return err
	}
	select {
	case <-c.closed:
		return errClosed
	default:
	}
	select {
	case <-c.closed:
		return errClosed
	case c.out <- f:
		return nil
	}
}

// Recv returns the next frame, also when the connection was closed after it was
// sent.
func (c *Conn) Recv() (wire.Frame, error) {
	if err := c.pass(); err != nil {
		return wire.Frame{}, err
	}
	select {
	case f := <-c.in:
		return c.check(f)
	default:
	}
	select {
	case <-c.closed:
		return wire.Frame{}, io.EOF
	case f := <-c.in:
		return c.check(f)
	}
}

func (c *Conn) check(f wire.Frame) (wire.Frame, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int64(4*len(f.Floats)+len(f.Bytes)) > c.allowed {
		c.Close()
		return wire.Frame{}, errTooLarge
	}
	return f, nil
}

// Allow sets how many bytes a frame to this end may carry.
func (c *Conn) Allow(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.allowed = bytes
}

// Remote names the other side.
func (c *Conn) Remote() string { return c.remote }

// Close ends the connection for both ends.
func (l *line) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Freeze lets nothing through until Thaw, as when a process is stopped or a
// cable is out.
func (l *line) Freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.open:
		l.open = make(chan struct{})
	default:
	}
}

// Thaw ends Freeze; nothing is lost.
func (l *line) Thaw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.open:
	default:
		close(l.open)
	}
}

// pass waits while the line is frozen.
func (l *line) pass() error {
	l.mu.Lock()
	open := l.open
	l.mu.Unlock()
	select {
	case <-open:
		return nil
	default:
	}
	select {
	case <-open:
		return nil
	case <-l.closed:
		return errClosed
	}
}
