package collective

import (
	"sync/atomic"
	"time"
)

// Bucket is the usual number of elements of a bucket: 1 MiB.
const Bucket = 256 << 10

// A Bucketed sums a vector over a ring, or nested, in pieces, buckets, from the front, in a
// goroutine of its own: a bucket's turn comes as soon as its elements are there,
// while those behind it are still being computed. Where buckets end depends on the
// vector's length only, so all members have the same, whenever they are ready.
//
// Where nothing is to be waited for but the other members themselves (Summer.direct), sums
// are left to Wait, in the caller's goroutine: moving bytes in memory takes a processor
// whenever it is done, and switching to it takes more.
//
// A step is Begin, any number of Ready, and Wait.
type Bucketed struct {
	ring   Summer
	size   int
	inline bool
	wake   chan struct{}
	quit   chan struct{}
	done   chan error
	gone   chan struct{}

	v     []float32
	tail  []float32
	ready atomic.Int64 // elements of v; 0 between steps
	last  atomic.Bool  // all is ready, tail too: Wait waits

	cost Cost
	comm atomic.Int64 // nanoseconds
}

// Cost is where the time of sums went, and what they moved.
type Cost struct {
	Wait float64 // seconds in Wait: what the computation did not hide
	Comm float64 // seconds in which a sum was under way, or waited for other members
	Traffic
}

// NewBucketed takes ring over, with buckets of about so many elements, ≤ 0 for
// Bucket. All members have the same.
func NewBucketed(ring Summer, size int) *Bucketed {
	if size <= 0 {
		size = Bucket
	}
	b := &Bucketed{
		ring: ring, size: size,
		wake: make(chan struct{}, 1), quit: make(chan struct{}),
		done: make(chan error, 1), gone: make(chan struct{}),
	}
	if b.inline = ring.direct(); b.inline {
		close(b.gone)
	} else {
		go b.run()
	}
	return b
}

// Begin says that v is about to be computed, from the front. It is the caller's
// to write up to where Ready has not been told, and not to read before Wait.
func (b *Bucketed) Begin(v []float32) {
	b.v = v
	b.last.Store(false)
	b.ready.Store(0)
}

// Ready says that v[:end] has its final values. It does not block.
func (b *Bucketed) Ready(end int) {
	b.ready.Store(int64(end))
	b.signal()
}

// Wait returns when all of v is summed, and tail too, which is summed exactly (see
// Ring.SumExact). Ready need not have been told the end before. Errors are those of
// Ring.Sum; after one, the vectors hold nothing of use, and the next step has the
// same error.
func (b *Bucketed) Wait(tail []float32) error {
	start := time.Now()
	defer func() { b.cost.Wait += time.Since(start).Seconds() }()
	b.tail = tail
	if b.inline {
		_, err := b.sums(0, len(b.v))
		if err == nil {
			err = b.finish()
		}
		b.comm.Add(int64(time.Since(start)))
		return err
	}
	b.ready.Store(int64(len(b.v))) // before last: who sees that one sees all of v
	b.last.Store(true)
	b.signal()
	select {
	case err := <-b.done:
		return err
	case <-b.gone:
		return b.ring.broken()
	}
}

// Cost returns the account so far. It is not called concurrently with Wait.
func (b *Bucketed) Cost() Cost {
	c := b.cost
	c.Comm = time.Duration(b.comm.Load()).Seconds()
	c.Traffic = b.ring.Traffic()
	return c
}

// Close ends the ring, and the goroutine; Wait returns. It may be called at any
// time, and twice from one goroutine.
func (b *Bucketed) Close() error {
	err := b.ring.Close()
	select {
	case <-b.quit:
	default:
		close(b.quit)
	}
	<-b.gone
	return err
}

func (b *Bucketed) signal() {
	select {
	case b.wake <- struct{}{}:
	default: // it has not seen the last one yet, and will see both
	}
}

// run sums what is ready until Close.
func (b *Bucketed) run() {
	defer close(b.gone)
	next := 0
	var failed error
	for {
		select {
		case <-b.wake:
		case <-b.quit:
			return
		}
		start := time.Now()
		last := b.last.Swap(false) // before ready, which Wait sets before it
		if failed == nil {
			next, failed = b.sums(next, int(b.ready.Load()))
		}
		if last && failed == nil {
			failed = b.finish()
		}
		b.comm.Add(int64(time.Since(start)))
		if last {
			next = 0
			b.ready.Store(0)
			b.done <- failed
		}
	}
}

// sums sums the buckets from next on that end within ready, and returns which is
// next.
func (b *Bucketed) sums(next, ready int) (int, error) {
	if ready == 0 {
		return next, nil // v may be about to change
	}
	count := (len(b.v) + b.size - 1) / b.size
	for ; next < count; next++ {
		lo, hi := cut(len(b.v), count, next)
		if hi > ready {
			break
		}
		if err := b.ring.add(b.v, lo, hi); err != nil {
			return next, err
		}
	}
	return next, nil
}

// finish sums the tail; when that is complete, all has been received.
func (b *Bucketed) finish() error {
	if len(b.tail) == 0 {
		return b.ring.settle()
	}
	return b.ring.SumExact(b.tail)
}
