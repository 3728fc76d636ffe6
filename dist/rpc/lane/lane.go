// Package lane carries bytes between two processes of one machine through memory
// that both have mapped: a copy in, a copy out, and the kernel only where one
// side must wait. It exists on Linux.
//
// Each direction is a ring with one writer and one reader:
//
//	head, tail   bytes ever written and read, modulo 2³²
//	turn         a word to sleep on; it changes when a sleeper should look again
//	asleep       whether somebody sleeps on it
//
// Nothing in that memory is trusted further than that its size is right: a process
// that writes nonsense to it has the other one receive nonsense, or an error.
package lane

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gespann/gespann/dist"
)

// Room is how much Send takes while nobody receives.
const Room = dist.CopierRoom

var (
	// ErrClosed is returned after this end was closed.
	ErrClosed = errors.New("lane is closed")
	// ErrUnsupported says that this machine has no lanes.
	ErrUnsupported = errors.New("lanes need Linux")
	errTorn        = errors.New("lane: the other process has written outside of its part")
)

// A Lane is one end. Send and Recv may be called concurrently with each other, but
// neither with itself.
type Lane struct {
	memory    []byte
	end       *atomic.Uint32 // not 0: one side has closed
	out, in   ring
	sending   sync.Mutex
	receiving sync.Mutex
	closed    atomic.Bool
	once      sync.Once
}

// A ring is one direction.
type ring struct {
	*control
	data []byte // [Room]
}

// A control is what the sides tell each other of a ring, on a cache line for each
// word and writer.
type control struct {
	head   atomic.Uint32
	_      [124]byte
	tail   atomic.Uint32
	_      [124]byte
	reader sleeper // until there is something to read
	writer sleeper // until there is room
}

// A sleeper is one who may wait.
type sleeper struct {
	turn   atomic.Uint32
	asleep atomic.Uint32
	_      [120]byte
}

const (
	// patience is how long one looks before one sleeps: about what sleeping costs.
	patience = 20 * time.Microsecond
	// nap is the longest sleep: should the other process die in the middle of waking
	// this one, nobody else would.
	nap = time.Second
)

// wait returns when ready does, or the lane has ended.
func (l *Lane) wait(s *sleeper, ready func() bool) {
	for start := time.Now(); time.Since(start) < patience; {
		for range 64 {
			if ready() || l.ended() {
				return
			}
		}
	}
	for {
		turn := s.turn.Load()
		s.asleep.Store(1)
		if ready() || l.ended() {
			s.asleep.Store(0)
			return
		}
		sleep(&s.turn, turn, nap)
	}
}

// wake wakes who sleeps.
func (s *sleeper) wake() {
	if s.asleep.Load() != 0 && s.asleep.Swap(0) != 0 {
		s.turn.Add(1)
		rouse(&s.turn)
	}
}

// ended reports whether either side has closed.
func (l *Lane) ended() bool { return l.closed.Load() || l.end.Load() != 0 }

// unread returns how much was written and not read.
func (r *ring) unread() uint32 { return r.head.Load() - r.tail.Load() }

// Send copies b to where the other side receives it. It waits when more than Room
// is unread.
func (l *Lane) Send(b []byte) error {
	l.sending.Lock()
	defer l.sending.Unlock()
	r := &l.out
	for len(b) > 0 {
		if l.ended() {
			return l.why()
		}
		unread := r.unread()
		if unread > Room {
			return errTorn
		}
		if unread == Room {
			l.wait(&r.writer, func() bool { return r.unread() != Room })
			continue
		}
		at := r.head.Load()
		n := copy(r.data[at%Room:][:min(len(b), Room-int(at%Room), int(Room-unread))], b)
		r.head.Store(at + uint32(n))
		r.reader.wake()
		b = b[n:]
	}
	return nil
}

// Recv fills b. What was sent before the other side closed still comes.
func (l *Lane) Recv(b []byte) error {
	l.receiving.Lock()
	defer l.receiving.Unlock()
	r := &l.in
	for len(b) > 0 {
		if l.closed.Load() {
			return ErrClosed
		}
		unread := r.unread()
		if unread > Room {
			return errTorn
		}
		if unread == 0 {
			if l.end.Load() != 0 && r.unread() == 0 {
				return l.why()
			}
			l.wait(&r.reader, func() bool { return r.unread() != 0 })
			continue
		}
		at := r.tail.Load()
		n := copy(b, r.data[at%Room:][:min(int(unread), Room-int(at%Room))])
		r.tail.Store(at + uint32(n))
		r.writer.wake()
		b = b[n:]
	}
	return nil
}

func (l *Lane) why() error {
	if l.closed.Load() {
		return ErrClosed
	}
	return io.ErrUnexpectedEOF
}

// Close ends the lane for both sides: Send and Recv return, here at once. It may be
// called at any time; closing twice is harmless.
func (l *Lane) Close() error {
	l.once.Do(func() {
		l.closed.Store(true)
		l.end.Store(1)
		for _, s := range []*sleeper{&l.out.reader, &l.out.writer, &l.in.reader, &l.in.writer} {
			s.turn.Add(1)
			rouse(&s.turn)
		}
		l.sending.Lock()
		defer l.sending.Unlock()
		l.receiving.Lock()
		defer l.receiving.Unlock()
		unmap(l.memory)
	})
	return nil
}
