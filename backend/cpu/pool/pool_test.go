package pool

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	for _, threads := range []int{0, 1, 2, 3, 5} {
		t.Run(fmt.Sprint("threads", threads), func(t *testing.T) {
			p := New(threads)
			t.Cleanup(p.Close)
			if got, want := p.Threads(), max(threads, 1); got != want {
				t.Fatalf("Threads() = %d, want %d", got, want)
			}
			for _, chunks := range []int{0, 1, 2, 7, 100} {
				for range 50 {
					checkRun(t, p, chunks)
				}
			}
		})
	}
}

// checkRun runs so many chunks, and checks that each was called once and that no
// worker was two places at a time.
func checkRun(t *testing.T, p *Pool, chunks int) {
	t.Helper()
	calls := make([]atomic.Int32, chunks)
	busy := make([]atomic.Int32, p.Threads())
	p.Run(chunks, func(worker, chunk int) {
		if busy[worker].Add(1) != 1 {
			t.Errorf("worker %d runs two chunks at once", worker)
		}
		calls[chunk].Add(1)
		busy[worker].Add(-1)
	})
	for i := range calls {
		if got := calls[i].Load(); got != 1 {
			t.Errorf("Run(%d): chunk %d was called %d times, want once", chunks, i, got)
		}
	}
}

func TestRunAfterPark(t *testing.T) {
	p := New(2)
	defer p.Close()
	for range 3 {
		checkRun(t, p, 4)
		for start := time.Now(); !p.workers[1].parked.Load(); {
			if time.Since(start) > 10*time.Second {
				t.Fatal("worker has not parked after 10 s")
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// TestRunSlowWorker makes the caller sleep while a worker computes.
func TestRunSlowWorker(t *testing.T) {
	p := New(2)
	defer p.Close()
	for range 3 {
		p.alone = 0
		var slow atomic.Bool
		p.Run(2, func(worker, _ int) {
			for start := time.Now(); worker == 0 && !slow.Load(); {
				if time.Since(start) > 10*time.Second {
					t.Error("worker 1 has not taken a chunk after 10 s")
					return
				}
				runtime.Gosched()
			}
			if worker == 1 {
				slow.Store(true)
				time.Sleep(3 * callerSpin)
			}
		})
	}
}

// TestRunAlone checks that the caller does without workers that are late, and asks
// them again later.
func TestRunAlone(t *testing.T) {
	p := New(2)
	defer p.Close()
	p.alone, p.aloneUntil = aloneMin, time.Now().Add(time.Hour)
	p.Run(50, func(worker, _ int) {
		if worker != 0 {
			t.Errorf("worker %d runs a chunk, want only 0", worker)
		}
	})
	p.aloneUntil = time.Now().Add(-2 * aloneMax)
	for start := time.Now(); p.alone != 0; p.Run(2, func(_, _ int) {}) {
		if time.Since(start) > 10*time.Second {
			t.Fatal("the caller still works alone after 10 s")
		}
	}
}

// TestSlowChunk checks that a chunk of the caller's that takes much longer than
// another makes it work alone, but not one that a time slice cannot explain.
func TestSlowChunk(t *testing.T) {
	for _, c := range []struct {
		quickest, slowest, want time.Duration
	}{
		{10 * time.Microsecond, 5 * time.Millisecond, aloneMin},
		{10 * time.Microsecond, lateMin, 0},
		{time.Millisecond, 5 * time.Millisecond, 0},
	} {
		p := New(2)
		p.settle(time.Now(), c.quickest, c.slowest)
		if p.alone != c.want {
			t.Errorf("chunks of %v and %v: alone for %v, want %v", c.quickest, c.slowest, p.alone, c.want)
		}
		p.Close()
	}
}

func TestRunOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	p := New(3)
	defer p.Close()
	for range 100 {
		checkRun(t, p, 8)
	}
}

// TestRunFewerProcessors takes the processors away after New has decided to spin.
func TestRunFewerProcessors(t *testing.T) {
	p := New(2)
	defer p.Close()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for range 5 {
		checkRun(t, p, 8)
	}
}

func TestRunPanic(t *testing.T) {
	for _, threads := range []int{1, 2, 3} {
		p := New(threads)
		for _, chunk := range []int{0, 5, 9} {
			if got := panicIn(p, chunk); got != chunk {
				t.Errorf("%d threads: Run panics with %v, want %d", threads, got, chunk)
			}
			checkRun(t, p, 8) // the pool is still usable
		}
		p.Close()
	}
}

// panicIn returns the value that Run panics with when one of 10 chunks does.
func panicIn(p *Pool, bad int) (value any) {
	defer func() { value = recover() }()
	p.Run(10, func(_, chunk int) {
		if chunk == bad {
			panic(chunk)
		}
	})
	return nil
}

func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		p := New(4)
		checkRun(t, p, 6)
		p.Close()
		p.Close()
	}
	for start := time.Now(); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("%d goroutines after Close, want %d", runtime.NumGoroutine(), before)
		}
	}
}

func TestRunAllocs(t *testing.T) {
	p := New(2)
	defer p.Close()
	f := func(_, _ int) {}
	if got := testing.AllocsPerRun(100, func() { p.Run(8, f) }); got != 0 {
		t.Errorf("Run allocates %v times, want 0", got)
	}
}

func TestReserve(t *testing.T) {
	p := New(3)
	defer p.Close()
	p.Reserve(100, 10)
	p.Shared()[99] = 1
	p.Reserve(50, 70) // does not shrink
	if got := len(p.Shared()); got != 100 {
		t.Errorf("len(Shared()) = %d, want 100", got)
	}
	for i := range p.Threads() {
		if got := len(p.Local(i)); got != 70 {
			t.Errorf("len(Local(%d)) = %d, want 70", i, got)
		}
	}
}

func BenchmarkRunEmpty(b *testing.B) {
	p := New(2)
	defer p.Close()
	f := func(_, _ int) {}
	for b.Loop() {
		p.Run(2, f)
	}
}
