package server

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/disttest"
	"github.com/gespann/gespann/dist/wire"
)

// start starts a server that the test's end closes, and checks that nothing of it
// is left then.
func start(t testing.TB, o Options) *Server {
	t.Helper()
	noneLeft(t)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// noneLeft checks at the end of the test, after the cleanups registered later,
// that no goroutine of this package is left.
func noneLeft(t testing.TB) {
	t.Cleanup(func() {
		var stacks string
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			buffer := make([]byte, 1<<20)
			stacks = string(buffer[:runtime.Stack(buffer, true)])
			if !strings.Contains(stacks, "dist/server.(*") {
				return
			}
		}
		t.Errorf("goroutines are left:\n%s", stacks)
	})
}

// eventually waits until ok, for as long as a slow machine may take.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// stateOf returns the state of a job as a page sees it, or "".
func stateOf(s *Server, id string) string {
	if j := s.View().Job(id); j != nil {
		return j.State
	}
	return ""
}

// dial connects one end of a pipe to a method of the server.
func dial(t testing.TB, name string, serve func(context.Context, dist.Conn, dist.Principal) error) *disttest.Conn {
	a, b := disttest.Pipe(name, "coordinator")
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(context.Background(), b, dist.Principal{Roles: dist.AllRoles})
	}()
	t.Cleanup(func() {
		a.Close()
		<-done
	})
	a.Allow(1 << 30)
	return a
}

// A party is one side of a conversation.
type party struct {
	t    testing.TB
	conn dist.Conn
}

func (p party) say(m wire.Message, floats ...float32) {
	p.t.Helper()
	f := wire.Frame{Message: m}
	if len(floats) > 0 {
		f.Floats = floats
	}
	if err := p.conn.Send(f); err != nil {
		p.t.Fatalf("%s: %v", m.Kind(), err)
	}
}

// hear returns the next message of type M. It passes over Ping, Queued and
// Progress, and ends the test at any other.
func hear[M wire.Message](p party) (M, wire.Frame) {
	p.t.Helper()
	for {
		f, err := p.conn.Recv()
		if err != nil {
			p.t.Fatalf("got %v, want %T", err, *new(M))
		}
		if m, ok := f.Message.(M); ok {
			return m, f
		}
		switch m := f.Message.(type) {
		case *wire.Ping, *wire.Queued, *wire.Progress:
		default:
			p.t.Fatalf("got %s %+v, want %T", m.Kind(), m, *new(M))
		}
	}
}

// testJob is a job of 10 parameters and 3 numbers of optimiser state.
func testJob(id, strategy string) wire.Job {
	return wire.Job{
		ID: id, Name: id, Spec: []byte("spec"), BatchSize: 4, Accumulate: 1, Strategy: strategy,
		Workers: 1, Rows: [3]int{80, 20, 0}, Epochs: 2,
		Vars: []wire.Var{
			{Name: "w", Shape: []int{4, 2}, Role: "param"},
			{Name: "m", Shape: []int{3}, Role: "optimizer"},
			{Name: "b", Shape: []int{2}, Role: "param"},
		},
	}
}

// A hand is a worker whose training is to add the learning rate to every
// parameter. It answers whatever a coordinator asks.
type hand struct {
	conn dist.Conn
	id   string
	job  wire.Job
	w    []float32 // all variables
	p    []float32 // the center's parameters
	at   wire.Position
	gen  int
	cost wire.Cost
	hold func(m wire.Message) // called before each answer; may be nil
	rows int                  // bytes of rows that came
}

// work says Hello and serves until the connection ends.
func (h *hand) work() {
	h.send(&wire.Hello{
		Protocol: wire.Protocol, ID: wire.WorkerID(h.id), Secret: h.id, Name: "worker " + h.id, Backend: "cpu", Threads: 1, Host: "here",
	})
	for {
		f, err := h.conn.Recv()
		if err != nil {
			return
		}
		if h.hold != nil {
			h.hold(f.Message)
		}
		h.answer(f)
	}
}

func (h *hand) send(m wire.Message, floats ...float32) {
	f := wire.Frame{Message: m}
	if len(floats) > 0 {
		f.Floats = floats
	}
	h.conn.Send(f)
}

func (h *hand) answer(f wire.Frame) {
	switch m := f.Message.(type) {
	case *wire.Ping:
		h.send(&wire.Beat{Done: h.at.Done, Phase: "compute", Cost: h.cost})
	case *wire.Open:
		h.open(m.Job)
	case *wire.Rows:
		if h.rows += len(f.Bytes); m.Last {
			h.send(&wire.Opened{Job: h.job.ID})
		}
	case *wire.Load:
		h.w, h.at = f.Floats, m.At
		h.send(&wire.Loaded{Job: h.job.ID, At: h.at})
	case *wire.Fetch:
		h.send(&wire.State{Job: h.job.ID, At: h.at}, h.w...)
	case *wire.Form:
		h.gen = m.Gen
	case *wire.Run:
		h.run(m.Span)
		h.send(&wire.Ran{Gen: m.Gen, At: h.at, Cost: h.cost})
	case *wire.Abort:
		h.send(&wire.Aborted{Gen: m.Gen, At: h.at})
	case *wire.Lease:
		h.lease(m, f.Floats)
	case *wire.Evaluate:
		stats := make([]wire.Stats, m.Last-m.First)
		for i := range stats {
			stats[i] = wire.Stats{Rows: 4, Loss: 4 * 0.25, Metrics: map[string][]wire.Number{"accuracy": {3}}}
		}
		h.send(&wire.Evaluated{Job: h.job.ID, Task: m.Task, Stats: stats})
	}
}

func (h *hand) open(job wire.Job) {
	h.job, h.cost = job, wire.Cost{}
	if job.DataFrom == "stream" {
		h.send(&wire.NeedData{Job: job.ID, Why: "there are none here"})
		return
	}
	if job.Name == "barred" && h.id == "w02" {
		h.send(&wire.Opened{Job: job.ID, Err: "data: other rows"})
		return
	}
	h.send(&wire.Opened{Job: job.ID})
}

// steps takes steps with the given rates, on the parameters of v.
func (h *hand) steps(v []float32, rates []float32) (s wire.Stats) {
	s.Metrics = map[string][]wire.Number{"accuracy": {0}}
	for _, rate := range rates {
		for i := range v {
			if len(v) == 10 || i < 8 || i >= 11 {
				v[i] += rate
			}
		}
		s.Rows += 4
		s.Loss += 4 * 0.5
		s.Metrics["accuracy"][0] += 2
	}
	n := float64(len(rates))
	h.cost.Compute += 0.75 * n
	h.cost.Wait += 0.25 * n
	h.cost.Rows += s.Rows
	return s
}

func (h *hand) run(span wire.Span) {
	from := int(h.at.Done - span.Done)
	if h.at.Epoch != span.Epoch || from == 0 && span.First == 0 {
		h.at.Sums = wire.Stats{}
	}
	stats := h.steps(h.w, span.Rates[from:])
	sums := h.at.Sums.Stats()
	sums.Add(stats.Stats())
	h.at = wire.Position{
		Epoch: span.Epoch, Index: span.Last, Done: span.Done + int64(span.Last-span.First),
		Sums: wire.FromStats(sums),
	}
}

// lease answers with what the parameters changed by: downpour.
func (h *hand) lease(m *wire.Lease, center []float32) {
	if m.Load {
		h.p = center
	}
	w := slices.Clone(h.p)
	stats := h.steps(w, m.Span.Rates)
	for i := range w {
		w[i] -= h.p[i]
	}
	h.send(&wire.Commit{Job: h.job.ID, Lease: m.Lease, Steps: len(m.Span.Rates), Stats: stats, Cost: h.cost}, w...)
	for {
		f, err := h.conn.Recv()
		if err != nil {
			return
		}
		if _, ok := f.Message.(*wire.Merged); ok {
			h.p = f.Floats
			return
		}
		h.answer(f)
	}
}

// hire lets n hands work for the server until the test ends.
func hire(t testing.TB, s *Server, n int) []*hand { return hireHolding(t, s, n, nil) }

// hireHolding is hire of hands that call hold before each answer.
func hireHolding(t testing.TB, s *Server, n int, hold func(wire.Message)) []*hand {
	var all []*hand
	var wg sync.WaitGroup
	for i := range n {
		h := &hand{conn: dial(t, fmt.Sprintf("10.0.0.%d:1", i+1), s.Worker), id: fmt.Sprintf("w%02d", i+1), hold: hold}
		all = append(all, h)
		wg.Go(h.work)
	}
	t.Cleanup(func() {
		for _, h := range all {
			h.conn.Close()
		}
		wg.Wait()
	})
	return all
}

// drive does what a training loop does, over epochs of 20 steps, and returns the
// variables at the end.
func drive(p party, job wire.Job, epochs int) []float32 {
	p.t.Helper()
	p.say(&wire.Attach{Protocol: wire.Protocol, Job: job})
	hear[*wire.Attached](p)
	vars := make([]float32, 13)
	p.say(&wire.Restore{}, vars...)
	hear[*wire.Restored](p)
	done := int64(0)
	for epoch := range epochs {
		sums := wire.Stats{}
		for first := 0; first < 20; first += 10 {
			span := wire.Span{Epoch: epoch, First: first, Last: first + 10, Done: done, Rates: slices.Repeat([]float32{0.5}, 10)}
			p.say(&wire.Train{Span: span, Sums: sums, Steps: 20})
			trained, _ := hear[*wire.Trained](p)
			sums, done = trained.At.Sums, trained.At.Done
		}
		p.say(&wire.Test{Split: 1})
		hear[*wire.Tested](p)
	}
	p.say(&wire.Snapshot{})
	_, f := hear[*wire.Variables](p)
	return f.Floats
}

// bill asks for the account.
func bill(p party) backend.Account {
	p.say(&wire.Bill{})
	m, _ := hear[*wire.Billed](p)
	return m.Account
}
