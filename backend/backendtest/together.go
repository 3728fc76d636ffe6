package backendtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/meet"
	"github.com/gespann/gespann/internal/numtest"
)

// A hall is where the parts of a gradient run meet, whose replicas run at the same time.
type hall struct {
	mu     sync.Mutex
	moved  sync.Cond
	guests int // replicas
	came   int
	round  int
	err    error
	v      [][]float64 // by part
	all    []float64   // merged, of the latest round: none can be two ahead
	merge  func(v [][]float64) error
}

func newHall(guests, parts int, merge func(v [][]float64) error) *hall {
	h := &hall{guests: guests, v: make([][]float64, parts), merge: merge}
	h.moved.L = &h.mu
	return h
}

// meet returns the Meet of the replica whose parts begin with number first.
func (h *hall) meet(first int) func(own [][]float64) ([]float64, error) {
	return func(own [][]float64) ([]float64, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		for i, v := range own {
			h.v[first+i] = slices.Clone(v)
		}
		round := h.round
		if h.came++; h.came == h.guests {
			h.err = errors.Join(h.err, h.merge(h.v))
			h.all = slices.Clone(h.v[0])
			h.came, h.round = 0, h.round+1
			h.moved.Broadcast()
		}
		for h.round == round {
			h.moved.Wait()
		}
		return h.all, h.err
	}
}

// inOrder merges one after the other.
func inOrder(v [][]float64) error {
	for _, x := range v[1:] {
		if err := meet.Merge(v[0], x); err != nil {
			return err
		}
	}
	return nil
}

// testTogether checks that a step whose runs are cut among replicas is one of a session
// that has them whole: statistics, and so all the rest, are of all rows of a run.
func testTogether(t *testing.T, b backend.Backend) {
	for _, c := range []struct {
		batch, accumulate int
		cuts              []int // of the rows of a run, in 32nds
	}{{32, 1, []int{0, 32}}, {32, 1, []int{0, 16, 32}}, {32, 1, []int{0, 1, 20, 20, 31, 32}}, {16, 3, []int{0, 20, 32}}, {8, 1, []int{0, 4, 8, 12, 16, 20, 24, 28, 32}}} {
		t.Run(fmt.Sprint(c.batch, c.accumulate, c.cuts), func(t *testing.T) {
			job := Job(t, c.batch, c.accumulate)
			job.Programs.(*Tiny).Still = true // dropout masks are those of the parts
			whole := open(t, b, job)
			span := epoch(job, 0)
			want := train(t, whole, span)
			var replicas []backend.Replica
			for range c.cuts[1:] {
				r := replica(t, b, job)
				if !r.Meets() {
					t.Fatal("a model with batch normalisation, whose parts do not meet")
				}
				replicas = append(replicas, r)
			}
			var got backend.Stats
			for i := range span.Last {
				cutStep(t, job, replicas, at(job, 0, i), c.cuts, span.Rates[i], &got)
			}
			for _, r := range replicas {
				closeTo(t, job, snapshot(t, r), snapshot(t, whole), got, want)
			}
		})
	}
}

// cutStep takes a step on replicas that share each of its runs.
func cutStep(t *testing.T, job backend.Job, replicas []backend.Replica, at backend.StepAt, cuts []int, rate float32, stats *backend.Stats) {
	t.Helper()
	_, rows := rowsOf(job, at.Index)
	outcomes := make([][]backend.Outcome, len(replicas))
	for k, run := range batches(job, at) {
		parts := make([]backend.Part, len(replicas))
		for i := range replicas {
			lo, hi := run.Rows*cuts[i]/32, run.Rows*cuts[i+1]/32
			parts[i] = backend.Part{First: run.First + lo, Rows: hi - lo, Weight: float32(hi-lo) / float32(rows), Tick: run.Tick}
		}
		hall := newHall(len(replicas), len(replicas), inOrder)
		var all sync.WaitGroup
		for i, r := range replicas {
			if parts[i].Rows == 0 && k == 0 {
				clear(r.Gradients())
			}
			all.Go(func() {
				o, err := r.Together(t.Context(), at, parts[i:i+1], backend.Together{Meet: hall.meet(i), Add: k > 0})
				if err != nil {
					t.Error(err)
				}
				outcomes[i] = append(outcomes[i], o...)
			})
		}
		all.Wait()
	}
	sum := make([]float32, len(replicas[0].Gradients()))
	for _, r := range replicas {
		for i, g := range r.Gradients() {
			sum[i] += g
		}
	}
	for _, r := range replicas {
		copy(r.Gradients(), sum)
		apply(t, r, at, rate)
	}
	replicas[0].Outcomes().AddStep(stats, slices.Concat(outcomes...))
}

// testTogetherAlone checks that a part that meets nobody, in one piece or ready piece by
// piece, is what Gradient computes, to the bit.
func testTogetherAlone(t *testing.T, b backend.Backend) {
	job := Job(t, 32, 2)
	r, at := replica(t, b, job), at(job, 0, 1)
	parts := batches(job, at)
	for _, add := range []bool{false, true} {
		gradientOf(t, r, at, parts[0], false)
		before := slices.Clone(r.Gradients())
		want := gradientOf(t, r, at, parts[1], add)
		gradient := slices.Clone(r.Gradients())
		copy(r.Gradients(), before)
		end := 0
		how := backend.Together{Meet: func(own [][]float64) ([]float64, error) { return own[0], nil }, Add: add,
			Ready: func(e int) { equalBits(t, "a piece", r.Gradients()[:e], gradient[:e]); end = e }}
		got, err := r.Together(t.Context(), at, parts[1:2], how)
		if err != nil {
			t.Fatal(err)
		}
		equalBits(t, "together alone", r.Gradients(), gradient)
		equalBits(t, "outcome", append(got[0].Metrics, got[0].Loss), append(want.Metrics, want.Loss))
		if end != len(gradient) {
			t.Errorf("ready up to %d, want %d", end, len(gradient))
		}
	}
}

// testTogetherErrors checks that an error where parts meet ends a run, that the next is as
// it should be, and what cannot be asked for.
func testTogetherErrors(t *testing.T, b backend.Backend) {
	job := Job(t, 32, 1)
	r, at := replica(t, b, job), at(job, 0, 0)
	part := batches(job, at)[0]
	want := gradientOf(t, r, at, part, false)
	gradient := slices.Clone(r.Gradients())
	broken := errors.New("the link is broken")
	for point := range 2 {
		n := 0
		_, err := r.Together(t.Context(), at, []backend.Part{part}, backend.Together{Meet: func(own [][]float64) ([]float64, error) {
			if n++; n > point {
				return nil, broken
			}
			return own[0], nil
		}})
		if !errors.Is(err, broken) {
			t.Errorf("got %v, want that the link is broken", err)
		}
	}
	alone := func(own [][]float64) ([]float64, error) { return own[0], nil }
	for _, parts := range [][]backend.Part{{part, part}, {{First: 0, Rows: 33}}, {{First: -1, Rows: 3}}, {{Rows: -1}}} {
		if _, err := r.Together(t.Context(), at, parts, backend.Together{Meet: alone}); err == nil {
			t.Errorf("together on %+v, want an error", parts)
		}
	}
	short := func(own [][]float64) ([]float64, error) { return own[0][1:], nil }
	if _, err := r.Together(t.Context(), at, []backend.Part{part}, backend.Together{Meet: short}); err == nil {
		t.Error("the sums of fewer channels, want an error")
	}
	got, err := r.Together(t.Context(), at, []backend.Part{part}, backend.Together{Meet: alone})
	if err != nil || got[0].Loss != want.Loss {
		t.Fatalf("then got %v, %v, want a loss of %v", got, err, want.Loss)
	}
	equalBits(t, "after errors", r.Gradients(), gradient)
	job.Programs.(*Tiny).Plain = true
	if replica(t, b, job).Meets() {
		t.Error("a model without batch normalisation, whose parts meet")
	}
}

// testVariance takes a step over rows of which neighbours are equal: whatever shards there
// are, the variance is that of all.
func testVariance(t *testing.T, b backend.Backend) {
	for _, shards := range []int{0, 1, 2, 8} {
		job := Job(t, 8, 1)
		job.Shards, job.Shuffle = shards, false
		job.Data = tinyData(8, 0)
		job.Programs = &Single{t: t}
		x := job.Data.Parts[0].X.F32
		clear(x)
		for row, v := range []float32{0, 0, 1, 1, 10, 10, 11, 11} {
			x[row*features] = v
		}
		s, err := b.Open(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		train(t, s, epoch(job, 0))
		vars := snapshot(t, s)
		numtest.Close(t, []float32{vars[0][0], vars[1][0]}, []float64{5.5, 25.25}, numtest.Tol{Rel: 1e-6, Why: "a few roundings"})
	}
}
