package backendtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/numtest"
)

// Replica takes the steps of a backend's sessions apart.
func Replica(t *testing.T, name string) {
	b, err := backend.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	ReplicaOf(t, b)
}

// ReplicaOf is Replica for a backend that is not registered.
func ReplicaOf(t *testing.T, b backend.Backend) {
	for name, test := range map[string]func(*testing.T, backend.Backend){
		"steps": testReplicaSteps, "tick": testReplicaTick, "parts": testParts, "ready": testReady,
		"trace": testTrace, "update": testUpdate, "errors": testReplicaErrors, "cancel": testReplicaCancel,
		"no rows": testNoRows, "read and write": testReadWrite,
		"together": testTogether, "together alone": testTogetherAlone, "together errors": testTogetherErrors,
		"variance": testVariance,
	} {
		t.Run(name, func(t *testing.T) { test(t, b) })
	}
}

// replica opens a job with the model's initial values.
func replica(t *testing.T, b backend.Backend, job backend.Job) backend.Replica {
	t.Helper()
	s := open(t, b, job)
	r, ok := s.(backend.Replica)
	if !ok {
		t.Fatalf("a session is a %T, want a backend.Replica", s)
	}
	return r
}

// at returns the name of a step of the job.
func at(job backend.Job, epoch, index int) backend.StepAt {
	return backend.StepAt{Epoch: epoch, Index: index, Done: int64(epoch*steps(job) + index)}
}

// rowsOf returns the first row of a step and the number of its rows.
func rowsOf(job backend.Job, index int) (first, rows int) {
	size := job.BatchSize * job.Accumulate
	first = index * size
	return first, min(size, job.Data.Parts[data.Train].Rows-first)
}

// batches returns the parts of a step, as Train takes them.
func batches(job backend.Job, at backend.StepAt) []backend.Part {
	first, rows := rowsOf(job, at.Index)
	return backend.Batches(at, first, rows, 0, rows, job.BatchSize, 0, job.Accumulate)
}

func gradientOf(t *testing.T, r backend.Replica, at backend.StepAt, part backend.Part, add bool) backend.Outcome {
	t.Helper()
	o, err := r.Gradient(t.Context(), at, part, add, nil)
	if err != nil || o.Rows != part.Rows || len(o.Metrics) != r.Outcomes().Len() {
		t.Fatalf("Gradient = %+v, %v, want %d rows and %d numbers", o, err, part.Rows, r.Outcomes().Len())
	}
	return o
}

func apply(t *testing.T, r backend.Replica, at backend.StepAt, rate float32) {
	t.Helper()
	if err := r.Update(t.Context(), at, rate); err != nil {
		t.Fatal(err)
	}
}

// testReplicaSteps checks that gradients and updates are what Train does.
func testReplicaSteps(t *testing.T, b backend.Backend) {
	for _, c := range [][2]int{{32, 1}, {16, 3}, {50, 2}, {300, 1}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			job := Job(t, c[0], c[1])
			job.Programs.(*Tiny).Adam = true
			r, whole := replica(t, b, job), open(t, b, job)
			span := epoch(job, 1)
			want := train(t, whole, span)
			got := takeSteps(t, r, job, span)
			closeTo(t, job, snapshot(t, r), snapshot(t, whole), got, want)
		})
	}
}

// takeSteps takes the steps of a span as a replica without others.
func takeSteps(t *testing.T, r backend.Replica, job backend.Job, span backend.Span) (stats backend.Stats) {
	t.Helper()
	for i := span.First; i < span.Last; i++ {
		at := backend.StepAt{Epoch: span.Epoch, Index: i, Done: span.Step + int64(i-span.First)}
		var outcomes []backend.Outcome
		for k, part := range batches(job, at) {
			part.Tick += int32(span.Tick)
			outcomes = append(outcomes, gradientOf(t, r, at, part, k > 0))
		}
		r.Outcomes().AddStep(&stats, outcomes)
		apply(t, r, at, span.Rates[i-span.First])
	}
	return stats
}

// testReplicaTick checks that Train adds the tick of a span, and that it matters.
func testReplicaTick(t *testing.T, b backend.Backend) {
	job := Job(t, 16, 2)
	span := epoch(job, 0)
	plain := open(t, b, job)
	train(t, plain, span)
	span.Tick = 1 << 20
	r, whole := replica(t, b, job), open(t, b, job)
	want := train(t, whole, span)
	got := takeSteps(t, r, job, span)
	closeTo(t, job, snapshot(t, r), snapshot(t, whole), got, want)
	if slices.Equal(snapshot(t, whole)[k2], snapshot(t, plain)[k2]) {
		t.Error("another tick makes the same variables, want other dropout masks")
	}
}

// testParts checks that the weighted gradients of parts add up to the gradient
// of the whole, added by Gradient or by the caller, and their outcomes to its.
func testParts(t *testing.T, b backend.Backend) {
	job := Job(t, 40, 1)
	job.Programs.(*Tiny).Plain = true // else a batch is more than its rows
	r, at := replica(t, b, job), at(job, 2, 1)
	whole := gradientOf(t, r, at, batches(job, at)[0], false)
	want := slices.Clone(r.Gradients())
	first, rows := rowsOf(job, at.Index)
	for _, size := range []int{39, 20, 13, 7} {
		parts := backend.Batches(at, first, rows, 0, rows, size, 0, 1)
		sum, loss := make([]float32, len(want)), 0.0
		metrics := make([]float32, len(whole.Metrics))
		for _, part := range parts {
			o := gradientOf(t, r, at, part, false)
			for i, g := range r.Gradients() {
				sum[i] += g
			}
			for i, m := range o.Metrics {
				metrics[i] += m
			}
			loss += float64(o.Loss) * float64(part.Weight)
		}
		for k, part := range parts {
			gradientOf(t, r, at, part, k > 0)
		}
		tol := numtest.Tol{Abs: 1e-6, Rel: 1e-6, Why: "the same sums of 40 rows in other groups: about γ_40"}
		numtest.Close(t, r.Gradients(), want, tol)
		numtest.Close(t, sum, want, tol)
		numtest.Close(t, []float64{loss}, []float64{float64(whole.Loss)}, tol)
		numtest.Close(t, metrics, whole.Metrics, numtest.Tol{Why: "counts"})
	}
}

// testReady checks that the pieces that are said to be ready are, and that stopping
// for them changes nothing.
func testReady(t *testing.T, b backend.Backend) {
	job := Job(t, 32, 2)
	r, at := replica(t, b, job), at(job, 0, 1)
	parts := batches(job, at)
	for _, add := range []bool{false, true} {
		gradientOf(t, r, at, parts[0], false)
		before := slices.Clone(r.Gradients())
		gradientOf(t, r, at, parts[1], add)
		want := slices.Clone(r.Gradients())
		copy(r.Gradients(), before)
		var ends []int
		var pieces [][]float32
		_, err := r.Gradient(t.Context(), at, parts[1], add, func(end int) {
			ends = append(ends, end)
			pieces = append(pieces, slices.Clone(r.Gradients()[:end]))
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(ends); n == 0 || n > 40 || ends[n-1] != len(want) ||
			!slices.IsSorted(ends) || len(slices.Compact(slices.Clone(ends))) != n || ends[0] < 1 {
			t.Fatalf("ready for %v of %d, want a few growing pieces, at last all", ends, len(want))
		}
		for i, piece := range pieces {
			equalBits(t, fmt.Sprintf("add %v: piece %d when ready", add, i), piece, want[:ends[i]])
		}
		equalBits(t, "all", r.Gradients(), want)
	}
}

func equalBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	sameBits(t, what, [][]float32{got}, [][]float32{want}, backend.Stats{}, backend.Stats{})
}

// testTrace checks that a loss that is not finite is no error, and is explained.
func testTrace(t *testing.T, b backend.Backend) {
	for _, c := range traces() {
		t.Run(c.name, func(t *testing.T) {
			job := Job(t, 16, 2)
			vars := job.Programs.(*Tiny).Initial()
			c.spoil(vars, job)
			r := replica(t, b, job)
			if err := r.Restore(t.Context(), vars); err != nil {
				t.Fatal(err)
			}
			for i := range steps(job) {
				at := at(job, 0, i)
				for k, part := range batches(job, at) {
					o := gradientOf(t, r, at, part, k > 0)
					if loss := float64(o.Loss); !math.IsNaN(loss) && !math.IsInf(loss, 0) {
						continue
					}
					err := r.Trace(t.Context(), at, part, o.Loss)
					var e *backend.NotFiniteError
					if !errors.As(err, &e) || e.Layer != c.layer || e.Value != c.value || e.Step != int64(i+1) {
						t.Errorf("Trace of step %d = %v, want %s in %s", i+1, err, c.value, c.layer)
					}
					return
				}
			}
			t.Error("every loss is finite")
		})
	}
}

// testUpdate checks that gradients that come from elsewhere are applied to
// variables that have just been restored, to the same bits.
func testUpdate(t *testing.T, b backend.Backend) {
	job := Job(t, 32, 1)
	one, other := replica(t, b, job), replica(t, b, job)
	train(t, other, epoch(job, 0))
	step := at(job, 0, 2)
	gradientOf(t, one, step, batches(job, step)[0], false)
	if err := other.Restore(t.Context(), snapshot(t, one)); err != nil {
		t.Fatal(err)
	}
	if got, want := len(other.Gradients()), len(one.Gradients()); got != want {
		t.Fatalf("gradients have %d elements, want %d", got, want)
	}
	copy(other.Gradients(), one.Gradients())
	for _, r := range []backend.Replica{one, other} {
		apply(t, r, step, 0.1)
	}
	sameBits(t, "updated", snapshot(t, other), snapshot(t, one), backend.Stats{}, backend.Stats{})
	if slices.Equal(snapshot(t, one)[k1], job.Programs.(*Tiny).Initial()[k1]) {
		t.Error("Update changed nothing")
	}
}

func testReplicaErrors(t *testing.T, b backend.Backend) {
	job := Job(t, 32, 1)
	r := replica(t, b, job)
	for _, part := range []backend.Part{
		{First: 0, Rows: 0}, {First: 0, Rows: -1}, {First: 0, Rows: 33}, {First: -1, Rows: 5},
		{First: 203, Rows: 1}, {First: 200, Rows: 4}, {First: math.MaxInt, Rows: 1},
	} {
		part.Weight = 1
		if _, err := r.Gradient(t.Context(), at(job, 0, 0), part, false, nil); err == nil {
			t.Errorf("Gradient of %+v, want an error", part)
		}
		var e *backend.NotFiniteError
		if err := r.Trace(t.Context(), at(job, 0, 0), part, 1); err == nil || errors.As(err, &e) {
			t.Errorf("Trace of %+v = %v, want another error", part, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	step := at(job, 0, 0)
	if _, err := r.Gradient(t.Context(), step, batches(job, step)[0], false, nil); err == nil {
		t.Error("Gradient after Close, want an error")
	}
	if err := r.Update(t.Context(), step, 1); err == nil {
		t.Error("Update after Close, want an error")
	}
}

func testReplicaCancel(t *testing.T, b backend.Backend) {
	job := Job(t, 32, 1)
	r, step := replica(t, b, job), at(job, 0, 0)
	gradientOf(t, r, step, batches(job, step)[0], false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Gradient(ctx, step, batches(job, step)[0], true, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Gradient = %v, want canceled", err)
	}
	if err := r.Update(ctx, step, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Update = %v, want canceled", err)
	}
	sameBits(t, "canceled", snapshot(t, r), job.Programs.(*Tiny).Initial(), backend.Stats{}, backend.Stats{})
}

// testNoRows checks that a replica that has no row of a step, or no rows at all,
// takes part: its gradients have the place of the others'.
func testNoRows(t *testing.T, b backend.Backend) {
	job := Job(t, 32, 1)
	full, step := replica(t, b, job), at(job, 0, 0)
	empty := job
	set := *job.Data
	set.Parts[data.Train] = data.Part{
		X: data.Table{Shape: []int{features}, F32: []float32{}}, Y: data.Table{I32: []int32{}}}
	empty.Data = &set
	none := replica(t, b, empty)
	clear(none.Gradients())
	gradientOf(t, full, step, batches(job, step)[0], false)
	if got, want := len(none.Gradients()), len(full.Gradients()); got != want {
		t.Fatalf("gradients have %d elements, want %d", got, want)
	}
	for i, g := range full.Gradients() {
		none.Gradients()[i] += g
	}
	for _, r := range []backend.Replica{full, none} {
		apply(t, r, step, 0.1)
	}
	sameBits(t, "without rows", snapshot(t, none), snapshot(t, full), backend.Stats{}, backend.Stats{})
}

// testReadWrite reads some variables, in another order, and writes them to another
// replica.
func testReadWrite(t *testing.T, b backend.Backend) {
	job := Job(t, 32, 1)
	one, other := replica(t, b, job), replica(t, b, job)
	train(t, one, epoch(job, 0))
	vars := snapshot(t, one)
	last := len(vars) - 1
	some := []int{last, 0}
	want := append(slices.Clone(vars[last]), vars[0]...)
	got := make([]float32, len(want))
	if err := one.Read(t.Context(), some, got); err != nil {
		t.Fatal(err)
	}
	equalBits(t, "read", got, want)

	before := snapshot(t, other)
	for _, bad := range []struct {
		vars []int
		x    []float32
	}{{some, got[1:]}, {some, append(got, 0)}, {[]int{len(vars)}, nil}, {[]int{-1}, nil}} {
		if other.Write(t.Context(), bad.vars, bad.x) == nil || other.Read(t.Context(), bad.vars, bad.x) == nil {
			t.Errorf("variables %v with %d elements: want errors", bad.vars, len(bad.x))
		}
	}
	sameBits(t, "refused", snapshot(t, other), before, backend.Stats{}, backend.Stats{})
	if err := other.Write(t.Context(), some, got); err != nil {
		t.Fatal(err)
	}
	before[last], before[0] = vars[last], vars[0]
	sameBits(t, "written", snapshot(t, other), before, backend.Stats{}, backend.Stats{})
}
