package backendtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend"
	_ "github.com/gespann/gespann/backend/ref" // the yardstick
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/numtest"
)

// A Trait is something about a backend that the suite must know.
type Trait uint8

const (
	// Allocates says that the backend is a test's stand-in that allocates while
	// it computes, so allocations are not counted.
	Allocates Trait = 1 + iota
	// NoThreads says that the backend has none to choose the number of.
	NoThreads
)

// Session runs a small model through a backend's sessions.
func Session(t *testing.T, b backend.Backend, traits ...Trait) {
	for name, test := range map[string]func(*testing.T, backend.Backend){
		"agrees with ref": testAgrees, "threads": testThreads, "spans": testSpans,
		"accumulation": testAccumulation, "cancel": testCancel, "not finite": testNotFinite,
		"restore": testRestore, "allocations": testAllocations, "evaluate": testEvaluate,
		"predict": testPredict,
	} {
		if name == "allocations" && slices.Contains(traits, Allocates) ||
			name == "threads" && slices.Contains(traits, NoThreads) {
			continue
		}
		t.Run(name, func(t *testing.T) { test(t, b) })
	}
}

// open opens a job with the model's initial values.
func open(t *testing.T, b backend.Backend, job backend.Job) backend.Session {
	t.Helper()
	s, err := b.Open(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Restore(t.Context(), job.Programs.(*Tiny).Initial()); err != nil {
		t.Fatal(err)
	}
	return s
}

// steps returns the number of steps of an epoch.
func steps(job backend.Job) int {
	size := job.BatchSize * job.Accumulate
	return (job.Data.Parts[data.Train].Rows + size - 1) / size
}

// epoch returns a span of a whole epoch.
func epoch(job backend.Job, number int) backend.Span {
	n := steps(job)
	span := backend.Span{Epoch: number, Last: n, Step: int64(number * n)}
	for i := range n {
		span.Rates = append(span.Rates, 0.05/float32(1+i))
	}
	return span
}

func train(t *testing.T, s backend.Session, span backend.Span) backend.Stats {
	t.Helper()
	stats, n, err := s.Train(t.Context(), span)
	if err != nil || n != span.Last-span.First {
		t.Fatalf("Train: %d steps, %v, want %d", n, err, span.Last-span.First)
	}
	return stats
}

func snapshot(t *testing.T, s backend.Session) [][]float32 {
	t.Helper()
	vars, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return vars
}

// closeTo compares variables and statistics.
func closeTo(t *testing.T, job backend.Job, got, want [][]float32, gotStats, wantStats backend.Stats) {
	t.Helper()
	tol := numtest.Tol{Abs: 2e-5, Rel: 2e-5, Why: "measured: float32 roundings over two epochs; margin 4"}
	for i, v := range job.Programs.Vars() {
		if !numtest.Close(t, got[i], want[i], tol) {
			t.Logf("variable %s", v.Name)
		}
	}
	numtest.Close(t, []float64{float64(gotStats.Rows), gotStats.Loss},
		[]float64{float64(wantStats.Rows), wantStats.Loss}, tol)
	for name, sums := range wantStats.Metrics {
		numtest.Close(t, gotStats.Metrics[name], sums,
			numtest.Tol{Why: "counts, on a model whose outputs are no ties"})
	}
}

func testAgrees(t *testing.T, b backend.Backend) {
	reference, err := backend.Lookup("ref")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]int{{32, 1}, {203, 1}, {500, 1}, {1, 1}, {16, 3}, {50, 2}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			job := Job(t, c[0], c[1])
			if c[0] == 1 {
				// One row has no variance, so batch norm is a step function of it.
				job.Programs.(*Tiny).Plain = true
			}
			got, want := open(t, b, job), open(t, reference, job)
			for number := range 2 {
				span := epoch(job, number)
				gotStats, wantStats := train(t, got, span), train(t, want, span)
				closeTo(t, job, snapshot(t, got), snapshot(t, want), gotStats, wantStats)
				if gotStats.Rows != 203 {
					t.Errorf("epoch has %d rows, want 203", gotStats.Rows)
				}
			}
		})
	}
}

// testThreads checks that the number of threads does not change a bit, on
// batches that are large enough to be cut up.
func testThreads(t *testing.T, b backend.Backend) {
	var want [][]float32
	var wantStats backend.Stats
	for _, threads := range []int{1, 2, 3, 5} {
		job := Job(t, 3001, 1)
		job.Data = tinyData(8000, 0)
		job.Threads = threads
		s := open(t, b, job)
		stats := train(t, s, epoch(job, 0))
		got := snapshot(t, s)
		if want == nil {
			want, wantStats = got, stats
		}
		sameBits(t, fmt.Sprintf("%d threads", threads), got, want, stats, wantStats)
	}
}

func sameBits(t *testing.T, what string, got, want [][]float32, gotStats, wantStats backend.Stats) {
	t.Helper()
	if gotStats.Loss != wantStats.Loss || gotStats.Rows != wantStats.Rows {
		t.Errorf("%s: got loss %v over %d rows, want %v over %d",
			what, gotStats.Loss, gotStats.Rows, wantStats.Loss, wantStats.Rows)
	}
	for i := range want {
		for k := range want[i] {
			if math.Float32bits(got[i][k]) != math.Float32bits(want[i][k]) {
				t.Errorf("%s: variable %d[%d] is %v, want exactly %v", what, i, k, got[i][k], want[i][k])
				return
			}
		}
	}
}

// testSpans checks that an epoch has the same bits in one span and in many, and
// after a restore into another session.
func testSpans(t *testing.T, b backend.Backend) {
	job := Job(t, 32, 2)
	whole, cut := open(t, b, job), open(t, b, job)
	span := epoch(job, 3)
	want := train(t, whole, span)
	var got backend.Stats
	for i := range span.Last {
		part := backend.Span{Epoch: 3, First: i, Last: i + 1, Step: span.Step + int64(i),
			Rates: span.Rates[i : i+1], Sums: got}
		before := snapshot(t, cut)
		cut = open(t, b, job)
		if err := cut.Restore(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		got = train(t, cut, part)
	}
	sameBits(t, "cut", snapshot(t, cut), snapshot(t, whole), got, want)
}

// testAccumulation checks that the same rows in smaller batches make the same
// step, also where the last step and its last batch have fewer rows.
func testAccumulation(t *testing.T, b backend.Backend) {
	whole, parts := Job(t, 48, 1), Job(t, 16, 3)
	for _, job := range []backend.Job{whole, parts} {
		job.Programs.(*Tiny).Plain = true
	}
	a, c := open(t, b, whole), open(t, b, parts)
	wantStats, gotStats := train(t, a, epoch(whole, 0)), train(t, c, epoch(parts, 0))
	closeTo(t, whole, snapshot(t, c), snapshot(t, a), gotStats, wantStats)
}

func testCancel(t *testing.T, b backend.Backend) {
	job := Job(t, 32, 1)
	s := open(t, b, job)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, n, err := s.Train(ctx, epoch(job, 0)); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("Train = %d steps, %v, want 0, canceled", n, err)
	}
	if _, err := s.Evaluate(ctx, data.Test); !errors.Is(err, context.Canceled) {
		t.Errorf("Evaluate = %v, want canceled", err)
	}
	sameBits(t, "canceled", snapshot(t, s), job.Programs.(*Tiny).Initial(), backend.Stats{}, backend.Stats{})
}

// A traceCase spoils a job, and says what of it is the first not to be finite.
type traceCase struct {
	name  string
	spoil func(vars [][]float32, job backend.Job)
	layer string
	value string
}

func traces() []traceCase {
	nan, huge := float32(math.NaN()), float32(3e38)
	return []traceCase{
		{"variable", func(vars [][]float32, _ backend.Job) { vars[b1][3] = nan }, "dense", "variable dense.bias"},
		{"data", func(_ [][]float32, job backend.Job) { job.Data.Parts[data.Train].X.F32[2005] = nan },
			"the data", "input x"},
		{"overflow", func(vars [][]float32, _ backend.Job) {
			for i := range vars[k2] {
				vars[k2][i] = huge
			}
		}, "model[3] matmul", "matmul output"},
	}
}

func testNotFinite(t *testing.T, b backend.Backend) {
	for _, c := range traces() {
		t.Run(c.name, func(t *testing.T) {
			job := Job(t, 16, 2)
			vars := job.Programs.(*Tiny).Initial()
			c.spoil(vars, job) // before the backend copies the data
			s := open(t, b, job)
			if err := s.Restore(t.Context(), vars); err != nil {
				t.Fatal(err)
			}
			span := epoch(job, 0)
			_, n, err := s.Train(t.Context(), span)
			var e *backend.NotFiniteError
			if !errors.As(err, &e) {
				t.Fatalf("Train = %v, want a *NotFiniteError", err)
			}
			if e.Layer != c.layer || e.Value != c.value || e.Step != int64(n+1) {
				t.Errorf("got %+v after %d steps, want %s in %s", *e, n, c.value, c.layer)
			}
			if n == 0 {
				sameBits(t, "failed", snapshot(t, s), vars, backend.Stats{}, backend.Stats{})
			}
		})
	}
}

func testRestore(t *testing.T, b backend.Backend) {
	job := Job(t, 32, 1)
	s := open(t, b, job)
	want := snapshot(t, s)
	short := slices.Clone(want)
	short[2] = short[2][1:]
	for _, vars := range [][][]float32{nil, want[1:], short} {
		if err := s.Restore(t.Context(), vars); err == nil {
			t.Errorf("Restore of %d variables, want an error", len(vars))
		}
	}
	sameBits(t, "restore", snapshot(t, s), want, backend.Stats{}, backend.Stats{})
}

// testAllocations checks that a longer span allocates no more than a short one.
func testAllocations(t *testing.T, b backend.Backend) {
	job := Job(t, 32, 1)
	countAllocations(t, open(t, b, job), epoch(job, 0))
}

func countAllocations(t *testing.T, s backend.Session, span backend.Span) {
	t.Helper()
	train(t, s, span)
	allocs := func(steps int) float64 {
		span := span
		span.Last = steps
		return testing.AllocsPerRun(10, func() { train(t, s, span) })
	}
	if one, all := allocs(1), allocs(span.Last); all > one {
		t.Errorf("%d steps allocate %v times, 1 step %v times", span.Last, all, one)
	}
}

func testEvaluate(t *testing.T, b backend.Backend) {
	var want backend.Stats
	for i, batch := range []int{57, 1, 10, 19, 100} {
		s := open(t, b, Job(t, batch, 1))
		got, err := s.Evaluate(t.Context(), data.Test)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			want = got
		}
		if got.Rows != 57 {
			t.Errorf("batch %d: got %d rows, want 57", batch, got.Rows)
		}
		numtest.Close(t, []float64{got.Loss}, []float64{want.Loss},
			numtest.Tol{Rel: 1e-5, Why: "the same rows, summed in other groups"})
		for name, sums := range want.Metrics {
			numtest.Close(t, got.Metrics[name], sums, numtest.Tol{Why: "counts"})
		}
	}
	s := open(t, b, Job(t, 10, 1))
	if got, err := s.Evaluate(t.Context(), data.Validation); err != nil || got.Rows != 0 {
		t.Errorf("Evaluate of no rows = %+v, %v", got, err)
	}
}

func testPredict(t *testing.T, b backend.Backend) {
	job := Job(t, 25, 1)
	s := open(t, b, job)
	x := &job.Data.Parts[data.Test].X
	var got []float32
	err := s.Predict(t.Context(), x, func(out []float32, shape []int) error {
		if !slices.Equal(shape, []int{len(out) / classes, classes}) {
			t.Errorf("shape is %v for %d elements", shape, len(out))
		}
		got = append(got, out...)
		return nil
	})
	if err != nil || len(got) != 57*classes {
		t.Fatalf("Predict: %d elements, %v, want %d", len(got), err, 57*classes)
	}
	for r := range 57 {
		row := got[r*classes : (r+1)*classes]
		numtest.Close(t, []float32{row[0] + row[1] + row[2]}, []float32{1},
			numtest.Tol{Abs: 1e-6, Why: "probabilities"})
	}
	stop := errors.New("stop")
	if err := s.Predict(t.Context(), x, func([]float32, []int) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Predict = %v, want the error of emit", err)
	}
}
