package worker

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/numtest"
)

// A twin is a session that does what a worker is told.
type twin struct {
	t   *testing.T
	job wire.Job
	backend.Session
}

func newTwin(t *testing.T, job wire.Job) *twin {
	t.Helper()
	s, err := openRef(t.Context(), job, rows())
	if err != nil {
		t.Fatal(err)
	}
	return &twin{t, job, s}
}

// set sets the first variables, or all; cut into them from a vector.
func (w *twin) set(floats []float32) {
	w.t.Helper()
	vars := w.vars()
	for i, v := range vars {
		if len(floats) == 0 {
			break
		}
		vars[i], floats = floats[:len(v)], floats[len(v):]
	}
	if err := w.Restore(w.t.Context(), vars); err != nil {
		w.t.Fatal(err)
	}
}

func (w *twin) vars() [][]float32 {
	vars, err := w.Snapshot(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return vars
}

// model returns parameters and states.
func (w *twin) model() []float32 {
	return slices.Concat(w.vars()...)[:modelLen(w.job)]
}

// modelLen returns the number of parameters and states, which come first.
func modelLen(job wire.Job) int {
	v := newVector(job.Vars, func(role string) bool { return role != "optimizer" })
	return v.len
}

func (w *twin) train(span wire.Span, tick int64) backend.Stats {
	w.t.Helper()
	stats, _, err := w.Train(w.t.Context(), backend.Span{Epoch: span.Epoch, First: span.First, Last: span.Last,
		Step: span.Done, Rates: span.Rates, Tick: tick})
	if err != nil {
		w.t.Fatal(err)
	}
	return stats
}

// leased returns a job of a strategy.
func leased(t *testing.T, strategy string, params map[string]float64) wire.Job {
	job := newJob(t, normed, 1, 0)
	job.Strategy, job.Params = strategy, params
	return job
}

// TestLease checks two windows of adag: what is sent, what the answer does, that
// the optimiser keeps its state, and that another worker's center does not touch it.
func TestLease(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		job := leased(t, "adag", map[string]float64{"window": 3})
		h, twin := y.hire(), newTwin(t, job)
		h.tell(&wire.Open{Job: job})
		answer[*wire.Opened](h)

		center := initial(t, job)[:modelLen(job)]
		twin.set(center)
		h.tell(&wire.Lease{Job: job.ID, Lease: 5, Span: spanOf(job, 0, 0, 3), Load: true}, center...)
		center = commits(t, h, twin, 5, spanOf(job, 0, 0, 3), center)
		twin.set(center)
		h.tell(&wire.Merged{Job: job.ID, Lease: 5}, center...)
		h.tell(&wire.Merged{Job: job.ID, Lease: 5}, center...)
		if m := answer[*wire.Failed](h); m.Err != "merged: lease 5 was not committed" {
			t.Errorf("merged twice: got %+v", m)
		}
		h.tell(&wire.Lease{Job: job.ID, Lease: 6, Span: spanOf(job, 0, 4, 7)})
		center = commits(t, h, twin, 6, spanOf(job, 0, 4, 7), center)

		// The answer is lost; the center comes with the next lease.
		twin.set(center)
		h.tell(&wire.Lease{Job: job.ID, Lease: 8, Span: spanOf(job, 1, 1, 2), Load: true}, center...)
		commits(t, h, twin, 8, spanOf(job, 1, 1, 2), center)
		h.tell(&wire.Merged{Job: job.ID, Lease: 8}, 1, 2)
		if m := answer[*wire.Failed](h); !strings.Contains(m.Err, "got tensors of 2 elements") {
			t.Errorf("got %+v", m)
		}

		// Loaded anew, it knows no center.
		h.tell(&wire.Load{Job: job.ID}, initial(t, job)...)
		answer[*wire.Loaded](h)
		h.tell(&wire.Lease{Job: job.ID, Lease: 9, Span: spanOf(job, 0, 0, 1)})
		if m := answer[*wire.Failed](h); !strings.Contains(m.Err, "holds no variables") {
			t.Errorf("got %+v", m)
		}
		h.leave()
	})
}

// commits checks a commit of adag, and returns what a center makes of it, when
// another worker has added something, too.
func commits(t *testing.T, h *hand, twin *twin, lease int, span wire.Span, p []float32) []float32 {
	t.Helper()
	want := twin.train(span, 0)
	m, got := answerFloats[*wire.Commit](h)
	steps := span.Last - span.First
	stats := m.Stats.Stats()
	if m.Lease != lease || m.Steps != steps || stats.Rows != want.Rows || stats.Loss != want.Loss {
		t.Errorf("got %+v, want lease %d, %d steps and %+v", m, lease, steps, want)
	}
	params := newVector(twin.job.Vars, func(role string) bool { return role == "param" })
	w := twin.model()
	delta := make([]float32, len(w))
	for i := range w {
		delta[i] = (w[i] - p[i]) / float32(steps)
	}
	states := slices.Clone(w)
	at := 0
	for i, v := range twin.vars() {
		if slices.Contains(params.vars, i) {
			copy(states[at:], delta[at:at+len(v)])
		}
		if at += len(v); at >= len(w) {
			break
		}
	}
	sameBits(t, "commit", got, states) // params by their change, states as they are
	c := slices.Clone(w)
	for i := range c {
		c[i] += 0.001
	}
	return c
}

// TestLeaseWaits checks that the time between two leases is waiting, but for that in which
// nobody asked for steps, also when the center's answer comes in it.
func TestLeaseWaits(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		job := leased(t, "averaging", nil)
		h := y.crew(1, job)[0]
		center := initial(t, job)[:modelLen(job)]
		h.tell(&wire.Lease{Job: job.ID, Lease: 1, Span: spanOf(job, 0, 0, 2), Load: true}, center...)
		answer[*wire.Commit](h)
		time.Sleep(2 * time.Second) // in the second of them the span ends
		h.tell(&wire.Merged{Job: job.ID, Lease: 1}, center...)
		time.Sleep(3 * time.Second)
		h.fetch(job)
		h.tell(&wire.Lease{Job: job.ID, Lease: 2, Span: spanOf(job, 0, 2, 4), Rested: 4})
		m := answer[*wire.Commit](h)
		numtest.Close(t, []float64{m.Cost.Wait, m.Cost.Comm, m.Cost.Compute}, []float64{1, 0, 0},
			numtest.Tol{Abs: 1e-6, Why: "the clock of the test stands while anyone works"})
		h.leave()
	})
}

// TestLeaseHolds checks what a worker says that it holds after a lease: what it has
// made alone is the run's only when nobody else trains.
func TestLeaseHolds(t *testing.T) {
	for strategy, at := range map[string]bool{"single": true, "averaging": false} {
		inYard(t, func(t *testing.T, y *yard) {
			job := leased(t, strategy, nil)
			h := y.crew(1, job)[0]
			h.tell(&wire.Lease{Job: job.ID, Lease: 1, Span: spanOf(job, 0, 0, 2), Load: true}, initial(t, job)[:modelLen(job)]...)
			answer[*wire.Commit](h)
			h.conn.Close()
			h.meet()
			if got := h.hello.At; (got != nil) != at || at && got.Done != 2 || h.hello.Job != job.ID {
				t.Errorf("%s: got %+v, want a position: %v", strategy, h.hello, at)
			}
			h.leave()
		})
	}
}

// TestMember checks a lease of an ensemble: all variables come and go, and members
// have dropout masks of their own.
func TestMember(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		job := leased(t, "ensemble", map[string]float64{"members": 2})
		h, twin := y.crew(1, job)[0], newTwin(t, job)
		span := spanOf(job, 0, 0, stepsOf(job))
		var all [][]float32
		for member := range 2 {
			vars := initial(t, job)
			twin.set(vars)
			h.tell(&wire.Lease{Job: job.ID, Lease: 1 + member, Member: member, Load: true, Span: span}, vars...)
			_, got := answerFloats[*wire.Commit](h)
			twin.train(span, int64(member)*memberTicks)
			sameBits(t, "all variables", got, slices.Concat(twin.vars()...))
			h.tell(&wire.Merged{Job: job.ID, Lease: 1 + member})
			all = append(all, got)
		}
		if slices.Equal(all[0], all[1]) {
			t.Error("members have the same dropout masks")
		}
		h.leave()
	})
}

// A slow session waits at a gate before step 2, or before it begins.
type slow struct {
	backend.Replica
	gate
	early bool
	once  sync.Once
}

func (s *slow) Train(ctx context.Context, span backend.Span) (backend.Stats, int, error) {
	var stats backend.Stats
	for i := span.First; i < span.Last; i++ {
		if s.early && i == 0 || !s.early && i == 2 {
			s.once.Do(func() {
				close(s.at)
				<-s.open
			})
		}
		one := span
		one.First, one.Last, one.Step, one.Rates = i, i+1, span.Step+int64(i-span.First), span.Rates[i-span.First:]
		step, n, err := s.Replica.Train(ctx, one)
		stats.Add(step)
		if err != nil {
			return stats, i - span.First + n, err
		}
	}
	return stats, span.Last - span.First, nil
}

// TestStopLease checks that a lease can be ended early, with fewer steps, and in
// the middle of everything, with no answer at all.
func TestStopLease(t *testing.T) {
	for name, c := range map[string]struct {
		order wire.Message
		steps int
		early bool // before it has begun
	}{"stop": {&wire.Stop{}, 2, false}, "stop early": {&wire.Stop{}, 1, true}, "close": {&wire.Close{Job: "job-1"}, -1, false}, "gone": {nil, -1, false}} {
		t.Run(name, func(t *testing.T) {
			inYard(t, func(t *testing.T, y *yard) {
				job := leased(t, "local_sgd", map[string]float64{"window": 8})
				gate := newGate()
				y.open = func(ctx context.Context, job wire.Job, set *data.Set) (backend.Session, error) {
					s, err := openRef(ctx, job, set)
					return &slow{Replica: s.(backend.Replica), gate: gate, early: c.early}, err
				}
				h, twin := y.crew(1, job)[0], newTwin(t, job)
				center := initial(t, job)[:modelLen(job)]
				h.tell(&wire.Lease{Job: job.ID, Lease: 1, Load: true, Span: spanOf(job, 0, 0, 6)}, center...)
				<-gate.at
				if c.order != nil {
					h.tell(c.order)
				} else {
					h.conn.Close()
				}
				synctest.Wait()
				close(gate.open)
				if c.steps < 0 {
					synctest.Wait()
					if len(h.in) > 0 {
						t.Errorf("got %+v, want nothing", <-h.in)
					}
				} else {
					m, got := answerFloats[*wire.Commit](h)
					twin.set(initial(t, job))
					twin.train(spanOf(job, 0, 0, c.steps), 0)
					if m.Steps != c.steps || m.Stats.Rows != int64(16*c.steps) {
						t.Errorf("got %+v, want %d steps", m, c.steps)
					}
					sameBits(t, "variables after those", got, twin.model())
				}
				h.leave()
			})
		})
	}
}

// TestLeaseNotFinite checks that a lease whose loss is NaN fails.
func TestLeaseNotFinite(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		job := leased(t, "downpour", map[string]float64{"window": 5})
		h := y.crew(1, job)[0]
		center := initial(t, job)[:modelLen(job)]
		center[0] = float32(math.NaN())
		h.tell(&wire.Lease{Job: job.ID, Lease: 1, Load: true, Span: spanOf(job, 0, 0, 3)}, center...)
		m := answer[*wire.Failed](h)
		if n := m.NotFinite; n == nil || n.Step != 1 || n.Value != "variable dense.kernel" || m.At.Done != 0 {
			t.Errorf("got %+v, want the kernel in step 1", m)
		}
		h.leave()
	})
}

// TestEvaluate checks that ranges of batches by several workers add up to the
// whole, with variables that come along, and that own variables stay.
func TestEvaluate(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		job := newJob(t, normed, 1, 0)
		hands, twin := y.crew(2, job), newTwin(t, job)
		twin.set(initial(t, job))
		evaluate := func(task int, floats ...float32) (got backend.Stats) {
			for i, r := range [][2]int{{0, 1}, {1, 3}} { // 45 rows in batches of 16
				h := hands[i]
				h.tell(&wire.Evaluate{Job: job.ID, Task: task, Split: data.Test, First: r[0], Last: r[1]}, floats...)
				m := answer[*wire.Evaluated](h)
				if len(m.Stats) != r[1]-r[0] || m.Task != task {
					t.Fatalf("got %+v, want %d batches of task %d", m, r[1]-r[0], task)
				}
				for _, s := range m.Stats {
					got.Add(s.Stats())
				}
			}
			return got
		}
		compare := func(got backend.Stats) {
			t.Helper()
			want, err := twin.Evaluate(t.Context(), data.Test)
			if err != nil {
				t.Fatal(err)
			}
			exact := numtest.Tol{Why: "the same sums in the same order"}
			numtest.Close(t, []float64{got.Loss, float64(got.Rows)}, []float64{want.Loss, testRows}, exact)
			numtest.Close(t, got.Metrics["accuracy"], want.Metrics["accuracy"], exact)
			if len(got.Metrics["confusion"]) > 0 {
				t.Errorf("got %v, want no tables", got.Metrics)
			}
		}
		compare(evaluate(1))
		twin.train(spanOf(job, 0, 0, 5), 0)
		compare(evaluate(2, twin.model()...))
		for _, h := range hands {
			_, got := h.fetch(job)
			sameBits(t, "own variables", got, initial(t, job))
			h.tell(&wire.Evaluate{Job: job.ID, Split: data.Test, First: 2, Last: 4})
			if m := answer[*wire.Failed](h); !strings.Contains(m.Err, "batches 2 to 3 of 3") {
				t.Errorf("got %+v", m)
			}
			h.tell(&wire.Evaluate{Job: job.ID, Split: data.Test, Last: 1}, 1, 2, 3)
			if m := answer[*wire.Failed](h); !strings.Contains(m.Err, "got tensors of 3 elements") {
				t.Errorf("got %+v", m)
			}
			h.leave()
		}
	})
}
