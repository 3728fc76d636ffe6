// Package pool runs short parallel regions on goroutines that stay awake between
// them.
//
// Starting a goroutine and waiting for it costs some 100 µs when its thread must
// first be woken, as much as a whole layer of a small model. The workers of a
// Pool therefore spin for a while before they park: an empty region then costs
// under a microsecond.
package pool

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// How long a waiting goroutine spins before it sleeps. A worker outlasts the
// serial parts of a training step; the caller is at the end of a region and
// waits only for chunks that are being computed, so when these take longer
// another process has the worker's core, which the kernel can resolve only if
// the caller gives way. Estimates: on a 2-core Zen 4 an empty region costs 0.5 µs
// when the workers spin, some 100 µs when they must be woken.
const (
	workerSpin = 2 * time.Millisecond
	callerSpin = 500 * time.Microsecond
	pauses     = 16 // PAUSE instructions between two looks: about 0.2 µs
)

// When the caller waits lateFactor times as long as its quickest chunk took, some
// other process has a worker's core; when one of its own chunks takes so long, it had
// the caller's, while a spinning worker kept the other. The caller then works alone for
// a while, twice as long each time that this happens again soon: two threads that
// compete with a third for two cores wait for each other most of the time, and are
// slower than one. The factor leaves room for chunks of unequal size, and lateMin is
// less than the time slice of a kernel. Estimates.
const (
	aloneMin = 4 * time.Millisecond
	aloneMax = 250 * time.Millisecond

	lateFactor = 8
	lateMin    = time.Millisecond
)

// Pool is a fixed set of workers and the scratch memory they share. The caller
// of Run is worker 0; the others are goroutines. Run and Close must not be
// called concurrently, nor from inside a running chunk.
type Pool struct {
	// ticket is epoch<<32 | chunks not yet handed out. A worker owns a chunk
	// once it has decremented the count by compare-and-swap; the epoch makes
	// that fail when the region it saw is over.
	ticket  atomic.Uint64
	_       [56]byte // own cache line
	pending atomic.Int64
	_       [56]byte

	// Written by Run before ticket; read by owners of a chunk only.
	f      func(worker, chunk int)
	chunks int

	workers []worker
	spin    bool        // enough processors for every worker to spin
	asleep  atomic.Bool // the caller waits on finished
	// finished wakes the caller.
	finished chan struct{}
	failure  atomic.Pointer[failure]
	closed   atomic.Bool
	ended    sync.WaitGroup

	// alone is how long the caller works alone after a worker was late, 0 when
	// that has not happened lately, and aloneUntil when that ends.
	alone      time.Duration
	aloneUntil time.Time

	shared []float32
	local  [][]float32
}

// worker is the part of the pool that belongs to one goroutine.
type worker struct {
	parked atomic.Bool
	wake   chan struct{}
	_      [48]byte // own cache line
}

// failure is the value of a panic in a chunk.
type failure struct{ value any }

// New starts a pool of the given number of threads, at least 1, of which the
// caller of Run is one. It must be closed.
func New(threads int) *Pool {
	threads = max(threads, 1)
	p := &Pool{
		workers:  make([]worker, threads),
		spin:     threads <= min(runtime.GOMAXPROCS(0), runtime.NumCPU()),
		finished: make(chan struct{}, 1),
		local:    make([][]float32, threads),
	}
	for i := 1; i < threads; i++ {
		p.workers[i].wake = make(chan struct{}, 1)
		p.ended.Add(1)
		go p.work(i)
	}
	return p
}

// Threads returns the number of workers, the caller of Run included.
func (p *Pool) Threads() int { return len(p.workers) }

// Run calls f(worker, chunk) once for every 0 ≤ chunk < chunks and returns when
// all calls have. Calls with the same worker, 0 ≤ worker < Threads, do not
// overlap. Chunks are handed out in increasing order to whoever is free, so f
// must not let results depend on worker, nor chunks wait for one another. Run
// allocates nothing; a func literal at the call site does, so callers keep f in
// a field. A panic in f is raised again by Run when all other chunks are done.
func (p *Pool) Run(chunks int, f func(worker, chunk int)) {
	if p.closed.Load() {
		panic("pool: invariant: Run after Close")
	}
	var start time.Time
	parallel := chunks > 1 && len(p.workers) > 1
	if parallel {
		start = time.Now()
		parallel = p.alone == 0 || start.After(p.aloneUntil)
	}
	if !parallel {
		for i := range chunks {
			f(0, i)
		}
		return
	}
	p.f, p.chunks = f, chunks
	p.pending.Store(int64(chunks))
	epoch := p.ticket.Load()>>32 + 1
	p.ticket.Store(epoch<<32 | uint64(uint32(chunks)))
	p.rouse(chunks - 1)
	quickest, slowest := p.lead(start)
	p.settle(start, quickest, slowest)
	p.f = nil
	if bad := p.failure.Swap(nil); bad != nil {
		panic(bad.value)
	}
}

// Close ends the workers and waits for them. It may be called twice.
func (p *Pool) Close() {
	p.closed.Store(true)
	p.rouse(len(p.workers))
	p.ended.Wait()
}

// rouse wakes at most n parked workers.
func (p *Pool) rouse(n int) {
	for i := 1; i < len(p.workers) && n > 0; i++ {
		if w := &p.workers[i]; w.parked.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
		n--
	}
}

// work is the life of worker i.
func (p *Pool) work(i int) {
	defer p.ended.Done()
	for p.idle(i) {
		p.drain(i)
	}
}

// drain computes chunks until none is left to hand out.
func (p *Pool) drain(i int) {
	for p.next(i) {
	}
}

// lead is drain for the caller, from the given time on; it returns the durations of
// the quickest and the slowest chunk, or 0.
func (p *Pool) lead(start time.Time) (quickest, slowest time.Duration) {
	for p.next(0) {
		now := time.Now()
		d := now.Sub(start)
		if quickest == 0 || d < quickest {
			quickest = d
		}
		slowest = max(slowest, d)
		start = now
	}
	return quickest, slowest
}

// next computes one chunk, and reports false when none is left.
func (p *Pool) next(i int) bool {
	for {
		t := p.ticket.Load()
		left := int(uint32(t))
		if left == 0 {
			return false
		}
		if !p.ticket.CompareAndSwap(t, t-1) {
			continue
		}
		p.call(i, p.chunks-left)
		if p.pending.Add(-1) == 0 && p.asleep.CompareAndSwap(true, false) {
			p.finished <- struct{}{}
		}
		return true
	}
}

// call runs one chunk and keeps the first panic.
func (p *Pool) call(i, chunk int) {
	defer func() {
		if v := recover(); v != nil {
			p.failure.CompareAndSwap(nil, &failure{v})
		}
	}()
	p.f(i, chunk)
}

// idle waits until there is a chunk to take, and reports false when the pool is
// closed.
func (p *Pool) idle(i int) bool {
	w := &p.workers[i]
	for {
		if p.spinUntil(p.wanted, workerSpin) {
			return !p.closed.Load()
		}
		w.parked.Store(true)
		if p.wanted() {
			// Whoever set parked back has sent, or is about to send, a wake-up.
			if !w.parked.CompareAndSwap(true, false) {
				<-w.wake
			}
			continue
		}
		<-w.wake
	}
}

// wanted reports whether a worker should stop waiting.
func (p *Pool) wanted() bool { return uint32(p.ticket.Load()) != 0 || p.closed.Load() }

// done reports whether all chunks have been computed.
func (p *Pool) done() bool { return p.pending.Load() == 0 }

// settle waits until all chunks of a region begun at start have been computed, of
// which the caller's took so long, and decides whether to go on alone.
func (p *Pool) settle(start time.Time, quickest, slowest time.Duration) {
	late := lateFactor * quickest
	switch waited := p.await(); {
	case quickest > 0 && (waited > late || slowest > max(late, lateMin)):
		p.alone = min(max(2*p.alone, aloneMin), aloneMax)
		p.aloneUntil = time.Now().Add(p.alone)
	case p.alone > 0 && start.Sub(p.aloneUntil) > aloneMax:
		p.alone = 0
	}
}

// await returns when all chunks have been computed; it returns how long it took
// beyond callerSpin.
func (p *Pool) await() (slept time.Duration) {
	if p.spinUntil(p.done, callerSpin) {
		return 0
	}
	start := time.Now()
	p.asleep.Store(true)
	if !p.done() || !p.asleep.CompareAndSwap(true, false) {
		<-p.finished
	}
	return time.Since(start)
}

// spinUntil waits for cond and reports whether it came true within the limit.
func (p *Pool) spinUntil(cond func() bool, limit time.Duration) bool {
	if cond() {
		return true
	}
	if !p.spin {
		runtime.Gosched()
		return cond()
	}
	start := time.Now()
	for {
		for range 64 {
			pause(pauses)
			if cond() {
				return true
			}
		}
		if time.Since(start) > limit {
			return false
		}
	}
}
