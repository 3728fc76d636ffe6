package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/mem"

	"github.com/gespann/gespann/dist/rpc/lane"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock"
	"github.com/gespann/gespann/internal/memlimit"
)

// tail is how much of a long frame is sent last, from a copy, when all of the
// rest has left: a frame whose Send failed half-way never arrives, whatever the
// caller then does with the memory.
const tail = 1 << 10

// A stream is either side of a gRPC stream.
type stream interface {
	Context() context.Context
	SendMsg(m any) error
	RecvMsg(m any) error
}

// A conn is a dist.Conn over a stream. Where there is a lane beside it, what is long
// goes over that.
type conn struct {
	stream
	line    *line
	lane    *lane.Lane  // or nil
	who     string      // the other side, for messages
	from    wire.Source // the other side
	allowed atomic.Int64
	heard   atomic.Int64 // when bytes last came; as the Elapsed of clock.System
	spoke   atomic.Bool  // a frame has come
	closed  chan struct{}
	once    sync.Once
	reason  error            // of the end, once closed is
	finish  func()           // the side's part of Close
	memory  *memlimit.Budget // of what comes; nil: no end

	sending chan struct{} // holds one token while someone sends
	flight  flight

	receiving chan struct{} // likewise
}

func newConn(s stream, l *line, shared *lane.Lane, who string, from wire.Source) *conn {
	return &conn{stream: s, line: l, lane: shared, who: who, from: from, closed: make(chan struct{}),
		sending: make(chan struct{}, 1), receiving: make(chan struct{}, 1)}
}

// Send implements dist.Conn.
func (c *conn) Send(f wire.Frame) error {
	head, err := wire.AppendHead(nil, f)
	if err != nil {
		return err
	}
	if err := c.take(c.sending); err != nil {
		return err
	}
	defer func() { <-c.sending }()
	payload := f.Payload()
	if len(payload) <= inline {
		return c.message(mem.SliceBuffer(append(head, payload...)))
	}
	return c.long(head, payload)
}

// take waits for a turn.
func (c *conn) take(turn chan struct{}) error {
	select {
	case <-c.closed:
		return ErrClosed
	default:
	}
	select {
	case <-c.closed:
		return ErrClosed
	case turn <- struct{}{}:
		return nil
	}
}

func (c *conn) message(b mem.Buffer) error {
	err := c.SendMsg(&outgoing{mem.BufferSlice{b}}) // gRPC keeps the slice
	return c.sendError(err)
}

func (c *conn) sendError(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-c.closed:
		return ErrClosed
	default:
	}
	// Of a stream that dialled, Recv has the reason.
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, lane.ErrClosed) {
		return fmt.Errorf("%s: connection has ended", c.who)
	}
	return sentence(c.who, err)
}

// long sends a frame in pieces, from the caller's memory.
func (c *conn) long(head, payload []byte) error {
	if c.lane != nil {
		if err := c.message(mem.SliceBuffer(head)); err != nil {
			return err
		}
		return c.sendError(c.lane.Send(payload))
	}
	defer c.landed()
	if err := c.message(mem.SliceBuffer(head)); err != nil {
		return err
	}
	body, last := payload[:len(payload)-tail], payload[len(payload)-tail:]
	for len(body) > 0 {
		n := min(chunk, len(body))
		if len(body)-n < minLent {
			n = len(body) // rather one that is a little longer
		}
		if err := c.message(c.flight.lend(body[:n])); err != nil {
			return err
		}
		body = body[n:]
	}
	c.landed()
	return c.message(append(mem.SliceBuffer(nil), last...))
}

// landed waits until nothing is lent to gRPC any more.
func (c *conn) landed() { c.flight.wait(closeTime, c.line, c.Context().Done(), c.closed) }

// Recv implements dist.Conn. It returns io.EOF when the other side has closed the
// connection.
func (c *conn) Recv() (wire.Frame, error) {
	if err := c.take(c.receiving); err != nil {
		return wire.Frame{}, err
	}
	defer func() { <-c.receiving }()
	f, err := c.recv()
	if err == nil {
		return f, nil
	}
	select {
	case <-c.closed:
		return wire.Frame{}, ErrClosed
	default:
	}
	if errors.Is(err, io.EOF) {
		return wire.Frame{}, io.EOF
	}
	err = sentence(c.who, err)
	c.end(err)
	return wire.Frame{}, err
}

func (c *conn) recv() (wire.Frame, error) {
	var text whole
	if err := c.RecvMsg(&text); err != nil {
		return wire.Frame{}, err
	}
	c.hears()
	taken := textMemory(text)
	if taken > 0 {
		if err := c.ask(taken, "a message"); err != nil {
			return wire.Frame{}, err
		}
	}
	f, err := c.frame(text, &taken)
	if err != nil {
		c.memory.Give(taken)
		return wire.Frame{}, err
	}
	if taken > 0 && c.memory != nil {
		f.Done = func() { c.memory.Give(taken) }
	}
	return f, nil
}

// frame receives the frame that begins with text. It adds to taken what it takes from
// the memory for it.
func (c *conn) frame(text []byte, taken *int64) (wire.Frame, error) {
	head, rest, err := c.parse(text)
	if err != nil {
		return wire.Frame{}, err
	}
	c.spoke.Store(true)
	c.line.spoke.Store(true)
	if err := c.reserve(head, taken); err != nil {
		return wire.Frame{}, err
	}
	f, memory := head.Frame()
	if head.Size <= inline {
		if int64(len(rest)) != head.Size {
			return wire.Frame{}, fmt.Errorf("message %q: got %d bytes with it, want %d", f.Kind(), len(rest), head.Size)
		}
		copy(memory, rest)
		return f, nil
	}
	if len(rest) > 0 {
		return wire.Frame{}, fmt.Errorf("message %q: got %d bytes behind it, want none", f.Kind(), len(rest))
	}
	return f, c.rest(memory)
}

// rest receives what is long. Who stops in the middle of it does not keep the memory.
func (c *conn) rest(memory []byte) error {
	stalled := time.AfterFunc(stallTime, func() {
		c.end(fmt.Errorf("nothing came for %v in the middle of a frame", stallTime))
	})
	defer stalled.Stop()
	p := part{memory}
	for len(p.rest) > 0 {
		if err := c.piece(&p); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		stalled.Reset(stallTime)
		c.hears()
	}
	return nil
}

// reserve takes memory for what goes with a message, if that is long.
func (c *conn) reserve(head wire.Head, taken *int64) error {
	if head.Size <= inline {
		return nil
	}
	err := c.ask(head.Size, head.Message.Kind())
	if err == nil {
		*taken += head.Size
	}
	return err
}

// ask takes memory for something, and waits for a while when there is none: then the
// other side waits, too. It counts as heard meanwhile.
func (c *conn) ask(bytes int64, what string) error {
	if c.memory == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.Context(), memoryTime)
	defer cancel()
	return c.memory.Take(ctx, bytes, what, c.hears)
}

// textMemory is what a message may take in memory, if it is long: JSON of many small
// parts takes more than its own length.
func textMemory(text []byte) int64 {
	if len(text) <= longText+inline {
		return 0
	}
	return 16 * int64(len(text))
}

// piece receives some of what is long.
func (c *conn) piece(p *part) error {
	if c.lane == nil {
		return c.RecvMsg(p)
	}
	n := min(chunk, len(p.rest))
	err := c.lane.Recv(p.rest[:n])
	p.rest = p.rest[n:]
	return err
}

// hears notes that bytes have come.
func (c *conn) hears() { c.heard.Store(int64(clock.System{}.Elapsed())) }

// Heard implements dist.Hearing.
func (c *conn) Heard() time.Duration { return time.Duration(c.heard.Load()) }

// parse parses the beginning of a frame. JSON can take many times its length in
// memory: only a few long messages are parsed at a time.
func (c *conn) parse(text []byte) (wire.Head, []byte, error) {
	if len(text) > longText+inline {
		longTexts <- struct{}{}
		defer func() { <-longTexts }()
	}
	return wire.ParseHead(text, c.from, c.allowed.Load())
}

// longTexts has a token for each long message that is being parsed in this
// process.
var longTexts = make(chan struct{}, 4)

const longText = 4 << 10

// Allow implements dist.Conn.
func (c *conn) Allow(bytes int64) { c.allowed.Store(bytes) }

// Remote implements dist.Conn.
func (c *conn) Remote() string { return c.line.name }

// Close implements dist.Conn. What was sent before is delivered, if the other side
// reads it within half a second.
func (c *conn) Close() error {
	c.end(nil)
	return nil
}

// end ends the connection, for a reason if it is not at will.
func (c *conn) end(reason error) {
	c.once.Do(func() {
		c.reason = reason
		close(c.closed)
		c.line.closeLane(c.lane)
		c.finish()
	})
}
