package server

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

const (
	// maxQueue is how many frames may wait for a connection. A worker gets a few
	// messages per step at most, so one that leaves as many does not read.
	maxQueue = 256
	// flushTime is how long the last frames of a connection may take.
	flushTime = 2 * time.Second
)

// A peer is a connection with a queue of frames to send, so that nobody waits
// for it.
type peer struct {
	conn  dist.Conn
	since time.Time
	who   dist.Principal
	// What it is, once that is known: the ID of a worker, or the job of a driver.
	worker, job string
	form        atomic.Pointer[form] // of the vectors that it sends; nil: not known

	mu     sync.Mutex
	queue  []outgoing
	loaded int    // of them with a tensor
	last   bool   // nothing follows what is queued
	reason string // why the connection was ended from here
	wake   chan struct{}
	ended  chan struct{} // closed when the writer has ended
	ctx    context.Context
	cancel context.CancelFunc // of what else is being sent
}

// An outgoing frame may carry a tensor, to which it has a reference.
type outgoing struct {
	frame  wire.Frame
	tensor *tensor
}

// newPeer starts the goroutine that writes. It ends with the connection, or after
// finish.
func newPeer(ctx context.Context, conn dist.Conn, now time.Time) *peer {
	p := &peer{conn: conn, since: now, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(ctx)
	go p.write()
	return p
}

// write sends what is queued, in order. It is the only one that closes the
// connection while something waits in the queue, unless that takes too long.
func (p *peer) write() {
	defer close(p.ended)
	defer p.conn.Close()
	for {
		o, ok := p.next()
		if !ok {
			return
		}
		err := p.conn.Send(o.frame)
		o.tensor.release()
		if err != nil {
			p.discard()
			return
		}
	}
}

// next waits for a frame; false: there will be none.
func (p *peer) next() (outgoing, bool) {
	for {
		p.mu.Lock()
		if len(p.queue) > 0 {
			o := p.queue[0]
			p.queue[0] = outgoing{}
			p.queue = p.queue[1:]
			if o.tensor != nil {
				p.loaded--
			}
			p.mu.Unlock()
			return o, true
		}
		p.queue = nil
		last := p.last
		p.mu.Unlock()
		if last {
			return outgoing{}, false
		}
		select {
		case <-p.wake:
		case <-p.ctx.Done():
			p.discard()
			return outgoing{}, false
		}
	}
}

// discard gives back what will not be sent.
func (p *peer) discard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.queue {
		o.tensor.release()
	}
	p.queue, p.loaded, p.last = nil, 0, true
}

// send queues a frame, or drops the connection when too many wait. It takes the
// caller's reference to the tensor.
func (p *peer) send(m wire.Message, t *tensor) {
	f := wire.Frame{Message: m}
	if t != nil {
		f.Floats = t.data
	}
	p.mu.Lock()
	if p.last {
		p.mu.Unlock()
		t.release()
		return
	}
	if len(p.queue) >= maxQueue || t != nil && p.loaded >= p.maxLoaded() {
		p.mu.Unlock()
		t.release()
		p.abort("it does not read what is sent to it")
		return
	}
	p.queue = append(p.queue, outgoing{f, t})
	if t != nil {
		p.loaded++
	}
	p.mu.Unlock()
	p.signal()
}

// maxLoaded is how many frames with tensors may wait. A worker gets a few in a row, which
// others share; a driver asks for one at a time, which is its own.
func (p *peer) maxLoaded() int {
	if p.worker == "" {
		return 2
	}
	return 16
}

func (p *peer) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// finish ends the connection after what is queued and a last message, if that is
// not nil. It does not wait.
func (p *peer) finish(m wire.Message) {
	if m != nil {
		p.send(m, nil)
	}
	p.mu.Lock()
	already := p.last
	p.last = true
	p.mu.Unlock()
	p.signal()
	if already {
		return
	}
	stop := time.AfterFunc(flushTime, func() { p.abort("") })
	context.AfterFunc(p.ctx, func() { stop.Stop() })
}

// abort ends the connection at once.
func (p *peer) abort(reason string) {
	p.mu.Lock()
	if p.reason == "" {
		p.reason = reason
	}
	p.mu.Unlock()
	p.discard()
	p.cancel()
	p.conn.Close()
}

// why returns why the connection has ended, when Recv said err.
func (p *peer) why(err error) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reason != "" {
		return p.reason
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) { // the other side is no more
		err = errors.New("its connection has ended")
	}
	return err.Error()
}

// close waits for the writer, which has nothing to send any more.
func (p *peer) close() {
	p.discard()
	p.cancel()
	p.conn.Close()
	<-p.ended
}
