package server

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/coord"
	"github.com/gespann/gespann/dist/wire"
)

// A script is a machine that notes events, and does what a test says.
type script struct {
	mu     sync.Mutex
	events []coord.Event
	step   func(e coord.Event) []coord.Action
}

func (s *script) Step(_ time.Duration, e coord.Event) []coord.Action {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, tick := e.(coord.Tick); !tick {
		s.events = append(s.events, e)
	}
	if s.step == nil {
		return nil
	}
	return s.step(e)
}

func (s *script) Account(string) (backend.Account, bool) { return backend.Account{}, false }

// saw waits for an event that is so.
func (s *script) saw(t testing.TB, what string, so func(e coord.Event) bool) {
	t.Helper()
	eventually(t, "the machine saw "+what, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, e := range s.events {
			if so(e) {
				return true
			}
		}
		return false
	})
}

// hello is what the worker with a secret says.
func hello(secret string) *wire.Hello {
	return &wire.Hello{Protocol: wire.Protocol, ID: wire.WorkerID(secret), Secret: secret}
}

// TestSlowReader lets a worker read nothing: it is dropped in the end, and another
// one gets its messages all the while.
func TestSlowReader(t *testing.T) {
	m := &script{}
	m.step = func(e coord.Event) []coord.Action {
		if f, ok := e.(coord.FromWorker); ok && f.ID == wire.WorkerID("quick") {
			return []coord.Action{
				coord.Tell{ID: wire.WorkerID("slow"), Msg: &wire.Stop{}}, coord.Tell{ID: wire.WorkerID("quick"), Msg: &wire.Stop{}},
			}
		}
		return nil
	}
	s := start(t, Options{machine: m})
	slow, quick := party{t, dial(t, "slow", s.Worker)}, party{t, dial(t, "quick", s.Worker)}
	slow.say(hello("slow"))
	quick.say(hello("quick"))
	m.saw(t, "both", func(e coord.Event) bool {
		j, ok := e.(coord.WorkerJoined)
		return ok && j.Hello.ID == wire.WorkerID("quick")
	})
	for range 2 * maxQueue {
		quick.say(&wire.Beat{})
		hear[*wire.Stop](quick)
	}
	m.saw(t, "the slow one go", func(e coord.Event) bool {
		gone, ok := e.(coord.WorkerGone)
		return ok && gone == coord.WorkerGone{ID: wire.WorkerID("slow"), Reason: "it does not read what is sent to it"}
	})
	quick.say(&wire.Beat{})
	hear[*wire.Stop](quick)
}

// TestFrozen ends a connection over which nothing moves, with a frame in Send.
func TestFrozen(t *testing.T) {
	m := &script{}
	s := start(t, Options{machine: m})
	conn := dial(t, "w", s.Worker)
	party{t, conn}.say(hello("w"))
	m.saw(t, "w", func(e coord.Event) bool { _, ok := e.(coord.WorkerJoined); return ok })
	conn.Freeze()
	s.post(incoming{call: func(c *core) {
		c.do(coord.Tell{ID: wire.WorkerID("w"), Msg: &wire.Stop{}})
		c.do(coord.Drop{ID: wire.WorkerID("w"), Reason: "silent", Retry: true})
		if len(c.workers) != 0 {
			t.Errorf("%d workers, want none", len(c.workers))
		}
	}})
	// Close must not wait for the frozen line longer than flushTime.
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestDrop tells a worker why it is dropped, and tells the machine nothing.
func TestDrop(t *testing.T) {
	m := &script{}
	m.step = func(e coord.Event) []coord.Action {
		if _, ok := e.(coord.FromWorker); ok {
			return []coord.Action{coord.Drop{ID: wire.WorkerID("w"), Reason: "because", Retry: true}}
		}
		return nil
	}
	s := start(t, Options{machine: m})
	p := party{t, dial(t, "w", s.Worker)}
	p.say(hello("w"))
	p.say(&wire.Beat{})
	if d, _ := hear[*wire.Dismiss](p); d.Reason != "because" || !d.Retry {
		t.Errorf("got %+v", d)
	}
	if f, err := p.conn.Recv(); err == nil {
		t.Errorf("got %s, want the end", f.Kind())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.events) != 2 {
		t.Errorf("got %d events, want joined and beat: %+v", len(m.events), m.events)
	}
}

// TestAgain lets a worker connect twice: the second connection takes the place of
// the first, whose end is not told.
func TestAgain(t *testing.T) {
	m := &script{}
	s := start(t, Options{machine: m})
	first, second := party{t, dial(t, "w", s.Worker)}, party{t, dial(t, "w", s.Worker)}
	first.say(hello("w"))
	m.saw(t, "w", func(e coord.Event) bool { _, ok := e.(coord.WorkerJoined); return ok })
	second.say(hello("w"))
	if f, err := first.conn.Recv(); err == nil {
		t.Errorf("first: got %s, want the end", f.Kind())
	}
	second.say(&wire.Beat{Done: 7})
	m.saw(t, "the second's beat", func(e coord.Event) bool { _, ok := e.(coord.FromWorker); return ok })
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.events) != 3 {
		t.Errorf("got %d events, want joined twice and a beat: %+v", len(m.events), m.events)
	}
}

// TestNumbers drops a worker whose tensors have another length than the job's.
func TestNumbers(t *testing.T) {
	m := &script{}
	job := testJob("a", "sync")
	m.step = func(e coord.Event) []coord.Action {
		if f, ok := e.(coord.FromWorker); ok && f.Msg.Kind() == "beat" {
			return []coord.Action{coord.Tell{ID: f.ID, Msg: &wire.Open{Job: job}}}
		}
		return nil
	}
	s := start(t, Options{machine: m})
	driver := party{t, dial(t, "driver", s.Driver)}
	driver.say(&wire.Attach{Protocol: wire.Protocol, Job: job})
	m.saw(t, "the driver", func(e coord.Event) bool { _, ok := e.(coord.DriverJoined); return ok })
	for name, c := range map[string]struct {
		m      wire.Message
		floats int
		want   string
	}{
		"state": {&wire.State{Job: "a"}, 12, "state with 12 numbers and 0 bytes, want 13 and 0"},
		"beat":  {&wire.Beat{}, 1, "beat with 1 numbers and 0 bytes, want 0 and 0"},
		"late":  {&wire.State{Job: "b"}, 5, ""}, // of a job before: no harm
	} {
		t.Run(name, func(t *testing.T) {
			p := party{t, dial(t, name, s.Worker)}
			p.say(hello(name))
			p.say(&wire.Beat{})
			hear[*wire.Open](p)
			p.say(c.m, make([]float32, c.floats)...)
			if c.want == "" {
				p.say(&wire.Beat{})
				hear[*wire.Open](p)
			} else if d, _ := hear[*wire.Dismiss](p); d.Reason != c.want {
				t.Errorf("got %q, want %q", d.Reason, c.want)
			}
		})
	}
}

// TestMistake ends the job, and only that, when the machine wants what cannot be.
func TestMistake(t *testing.T) {
	m := &script{}
	m.step = func(e coord.Event) []coord.Action {
		if _, ok := e.(coord.FromDriver); ok {
			return []coord.Action{
				coord.Round{Job: "a", IDs: []string{"x"}}, coord.Keep{Job: "none"},
				coord.Answer{Job: "a", Msg: &wire.Variables{}, With: coord.Base},
			}
		}
		return nil
	}
	s := start(t, Options{machine: m})
	p := party{t, dial(t, "driver", s.Driver)}
	p.say(&wire.Attach{Protocol: wire.Protocol, Job: testJob("a", "sync")})
	p.say(&wire.Snapshot{})
	for _, want := range []coord.Cancel{
		{Job: "a", Reason: "the coordinator made a mistake: round of worker x, of which nothing is held"},
		{Job: "none", Reason: "the coordinator made a mistake: there is no such job"},
		{Job: "a", Reason: "the coordinator made a mistake: no base is held"},
	} {
		m.saw(t, want.Reason, func(e coord.Event) bool { return e == coord.Event(want) })
	}
}

// TestLimit refuses more connections than there may be.
func TestLimit(t *testing.T) {
	s := start(t, Options{MaxPeers: 1})
	party{t, dial(t, "a", s.Worker)}.say(hello("a"))
	eventually(t, "a is there", func() bool { return len(s.View().Workers) == 1 })
	b := party{t, dial(t, "b", s.Worker)}
	if d, _ := hear[*wire.Dismiss](b); d.Reason != errTooMany.Error() || !d.Retry {
		t.Errorf("got %+v", d)
	}
}

// beats lets workers say n times together that they are there, and returns how
// many of those the coordinator has noted.
func beats(t testing.TB, s *Server, workers []*hand, n int) int64 {
	before := s.View().Totals.Beats
	var wg sync.WaitGroup
	for i, h := range workers {
		each := n / len(workers)
		if i < n%len(workers) {
			each++
		}
		wg.Go(func() {
			for range each {
				h.send(&wire.Beat{Phase: "idle"})
			}
		})
	}
	wg.Wait()
	var got atomic.Int64
	eventually(t, fmt.Sprintf("%d beats are noted", n), func() bool {
		got.Store(s.View().Totals.Beats - before)
		return got.Load() >= int64(n)
	})
	return got.Load()
}

// memory returns the bytes in use.
func memory() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestBeats lets 64 workers say 100 000 times that they are there. None is lost,
// and the coordinator does not grow: a byte per beat would be 100 kB.
func TestBeats(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	s := start(t, Options{})
	var workers []*hand
	for i := range 64 {
		h := &hand{conn: dial(t, "w", s.Worker), id: fmt.Sprint("w", i)}
		h.send(hello(h.id))
		workers = append(workers, h)
	}
	eventually(t, "all are there", func() bool { return len(s.View().Workers) == 64 })
	beats(t, s, workers, 1000)
	before := memory()
	if got := beats(t, s, workers, n); got != int64(n) {
		t.Errorf("got %d beats, want %d", got, n)
	}
	if grown := memory() - before; grown > 64<<10 {
		t.Errorf("%d bytes more after %d beats", grown, n)
	}
	if got := len(s.View().Workers); got != 64 {
		t.Errorf("%d workers are there, want 64", got)
	}
}

// BenchmarkBeats measures how many messages a second a coordinator takes.
func BenchmarkBeats(b *testing.B) {
	s := start(b, Options{})
	hands := hire(b, s, 64)
	eventually(b, "all are there", func() bool { return len(s.View().Workers) == 64 })
	b.ResetTimer()
	beats(b, s, hands, b.N)
}
