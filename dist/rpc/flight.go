package rpc

import (
	"sync"
	"time"

	"google.golang.org/grpc/mem"
)

// minLent is the least memory that gRPC tells when it has left; below, it keeps
// no count.
const minLent = 2 << 10

// A flight is memory that is lent to gRPC until it has been copied to the
// connection. It implements mem.BufferPool, to which gRPC gives it back.
type flight struct {
	mu     sync.Mutex
	lent   int
	landed chan struct{} // closed when lent becomes 0; nil: nobody waits
}

// lend returns b, of at least minLent bytes, for gRPC.
func (f *flight) lend(b []byte) mem.Buffer {
	f.mu.Lock()
	f.lent++
	f.mu.Unlock()
	b = b[:len(b):len(b)]
	return mem.NewBuffer(&b, f)
}

// Get is not used: memory only comes back.
func (f *flight) Get(length int) *[]byte {
	b := make([]byte, length)
	return &b
}

// Put is called by gRPC with memory that has left.
func (f *flight) Put(*[]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lent--
	if f.lent == 0 && f.landed != nil {
		close(f.landed)
		f.landed = nil
	}
}

// wait waits until all that was lent is back. When the stream has ended (either
// channel is closed) that takes a moment, unless the connection is stuck: then,
// after grace, wait ends it. A connection that has ended does not give back what it has, but
// soon neither reads it.
func (f *flight) wait(grace time.Duration, l *line, ended, closed <-chan struct{}) {
	landed := f.landing()
	select {
	case <-landed:
		return
	case <-ended:
	case <-closed:
	case <-l.dead:
	}
	if !within(grace, landed, l.dead) {
		l.Close()
		within(deadTime, landed, nil)
	}
}

// landing returns a channel that is closed when nothing is lent.
func (f *flight) landing() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lent == 0 {
		none := make(chan struct{})
		close(none)
		return none
	}
	if f.landed == nil {
		f.landed = make(chan struct{})
	}
	return f.landed
}

// within waits for landed to be closed, and reports whether it was, before dead
// was or d was over.
func within(d time.Duration, landed, dead <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-landed:
		return true
	case <-dead:
	case <-timer.C:
	}
	select {
	case <-landed:
		return true
	default:
		return false
	}
}
