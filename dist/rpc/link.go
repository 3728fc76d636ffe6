package rpc

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc/mem"

	"github.com/gespann/gespann/dist/rpc/lane"
)

// A link is a dist.Link over a stream, or over a lane beside it. Send waits when the
// other side has not received the last 16 MiB; of a lane, the last lane.Room.
type link struct {
	stream
	line   *line
	lane   *lane.Lane // or nil
	who    string
	closed chan struct{}
	once   sync.Once
	finish func() // the side's part of Close
	flight flight

	sending sync.Mutex
	in      sink
}

func newLink(s stream, l *line, shared *lane.Lane, who string) *link {
	return &link{stream: s, line: l, lane: shared, who: who, closed: make(chan struct{}), finish: func() {}}
}

// Copies implements dist.Copier.
func (l *link) Copies() bool { return l.lane != nil }

// Send implements dist.Link.
func (l *link) Send(b []byte) error {
	if l.lane != nil {
		return l.err("sending", l.lane.Send(b))
	}
	l.sending.Lock()
	defer l.sending.Unlock()
	for len(b) > 0 {
		n := min(chunk, len(b))
		if len(b)-n < minLent {
			n = len(b) // rather one that is a little longer
		}
		var piece mem.Buffer
		if n < minLent {
			piece = append(mem.SliceBuffer(nil), b[:n]...)
		} else {
			piece = l.flight.lend(b[:n])
		}
		if err := l.SendMsg(&outgoing{mem.BufferSlice{piece}}); err != nil {
			return l.err("sending", err)
		}
		b = b[n:]
	}
	return nil
}

// Recv implements dist.Link.
func (l *link) Recv(b []byte) error {
	if l.lane != nil {
		return l.err("receiving", l.lane.Recv(b))
	}
	l.in.want = b
	l.in.fill()
	for len(l.in.want) > 0 {
		if err := l.RecvMsg(&l.in); err != nil {
			return l.err("receiving", err)
		}
	}
	return nil
}

func (l *link) err(doing string, err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-l.closed:
		return ErrClosed
	default:
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, lane.ErrClosed) {
		return fmt.Errorf("%s: %s: the link has ended: %w", l.who, doing, io.ErrUnexpectedEOF)
	}
	return sentence(l.who, err)
}

// Close implements dist.Link. When it returns, nobody reads what was sent.
func (l *link) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.line.closeLane(l.lane)
		l.finish()
	})
	l.flight.wait(linkTime, l.line, l.closed, nil)
	return nil
}

// A sink takes bytes into want, and keeps what is more.
type sink struct {
	want []byte
	rest []byte
}

// fill takes from what was kept.
func (s *sink) fill() {
	n := copy(s.want, s.rest)
	s.want, s.rest = s.want[n:], s.rest[n:]
}

func (s *sink) take(data mem.BufferSlice) error {
	for _, b := range data {
		piece := b.ReadOnlyData()
		n := copy(s.want, piece)
		s.want = s.want[n:]
		s.rest = append(s.rest, piece[n:]...)
	}
	return nil
}
