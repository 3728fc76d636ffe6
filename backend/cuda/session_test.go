package cuda

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/data/source"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// plenty is more memory than any test needs.
const plenty = 1 << 30

// fakes opens sessions on fakes.
type fakes struct {
	t      testing.TB
	stream bool
}

func (b *fakes) Open(ctx context.Context, job backend.Job) (backend.Session, error) {
	f := newFake(b.t, plenty)
	s := newSession(job, f)
	s.streamed = b.stream
	s.planner.stage = 2000 // so that an epoch takes several
	return s.opened(ctx, plan.Options{})
}

// TestSession runs the suite of all backends on a fake, with the rows on the
// device and streamed.
func TestSession(t *testing.T) {
	t.Run("resident", func(t *testing.T) { backendtest.Session(t, &fakes{t: t}, backendtest.Allocates) })
	t.Run("streamed", func(t *testing.T) { backendtest.Session(t, &fakes{t: t, stream: true}, backendtest.Allocates) })
}

// TestReplica takes the steps of sessions on fakes apart.
func TestReplica(t *testing.T) {
	t.Run("resident", func(t *testing.T) { backendtest.ReplicaOf(t, &fakes{t: t}) })
	t.Run("streamed", func(t *testing.T) { backendtest.ReplicaOf(t, &fakes{t: t, stream: true}) })
	t.Run("shards", func(t *testing.T) { backendtest.Shards(t, &fakes{t: t}, backendtest.Allocates, backendtest.NoThreads) })
}

// openTiny opens a session on a fake with the initial values.
func openTiny(t *testing.T, f *fake, job backend.Job) *session {
	t.Helper()
	s, err := open(t.Context(), job, f, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Restore(t.Context(), job.Programs.(*backendtest.Tiny).Initial()); err != nil {
		t.Fatal(err)
	}
	return s.(*session)
}

// wholeEpoch is a span of all steps.
func wholeEpoch(s *session) backend.Span {
	n := s.planner.stepsPerEpoch(s.job.BatchSize)
	return backend.Span{Last: n, Rates: slices.Repeat([]float32{0.05}, n)}
}

// TestSpan checks that a span replays one graph per step, and asks for nothing
// else but one copy of the rates, the sums and the Control block each way.
func TestSpan(t *testing.T) {
	f := newFake(t, plenty)
	s := openTiny(t, f, backendtest.Job(t, 16, 2))
	clear(f.counts)
	span := wholeEpoch(s)
	if _, _, err := s.Train(t.Context(), span); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{
		"replay": span.Last, "upload": 3, "download": 2, "sync": 1,
		"alloc": 0, "prepare": 0, "capture": 0, "launch": 0,
	} {
		if got := f.counts[name]; got != want {
			t.Errorf("%d × %s, want %d", got, name, want)
		}
	}
}

// TestCancelInSpan checks that a span ends between two steps, and says how many
// it has taken.
func TestCancelInSpan(t *testing.T) {
	f := newFake(t, plenty)
	s := openTiny(t, f, backendtest.Job(t, 16, 1))
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	f.fail = func(c *command) error {
		if c.end != nil && c.end.Last {
			if steps++; steps == 3 {
				cancel()
			}
		}
		return nil
	}
	stats, n, err := s.Train(ctx, wholeEpoch(s))
	if n != 3 || stats.Rows != 48 || !errors.Is(err, context.Canceled) {
		t.Errorf("Train = %d steps, %d rows, %v, want 3 steps, 48 rows, canceled", n, stats.Rows, err)
	}
}

// TestFaults checks what a launch that fails says.
func TestFaults(t *testing.T) {
	f := newFake(t, plenty)
	job := backendtest.Job(t, 16, 1)
	f.fail = func(c *command) error {
		if c.Instr >= 0 && c.plan.Program.Instrs[c.Instr].Op.String() == "softmax_xent" {
			return driverError{"CUDA_ERROR_INVALID_VALUE"}
		}
		return nil
	}
	_, err := open(t.Context(), job, f, plan.Options{})
	want := "cuda: softmax_xent (model[4] softmax_xent) x [16,3] [16]: launch: CUDA_ERROR_INVALID_VALUE"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if f.closed != 1 {
		t.Errorf("the device was closed %d times, want once", f.closed)
	}
}

// TestNarrow checks that a job whose launches cannot all have memory of their own
// is planned so that they share it, and trains to the same bits.
func TestNarrow(t *testing.T) {
	job, m := perceptron(t, 256)
	total := func(narrow bool) int64 {
		pl := planner{job: &job, vars: job.Programs.Vars(), stage: stageBytes, plans: map[programKey]*plan.Plan{}, narrow: narrow}
		n, err := pl.need(256, false)
		if err != nil {
			t.Fatal(err)
		}
		return n.total()
	}
	wide, narrow := total(false), total(true)
	if narrow >= wide {
		t.Fatalf("sharing memory takes %d bytes, not sharing %d", narrow, wide)
	}
	var vars [2][][]float32
	for i, free := range []int64{plenty, reserveBytes + narrow} {
		opened, err := open(t.Context(), job, newFake(t, free), plan.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		if err := opened.Restore(t.Context(), m.Initial(1)); err != nil {
			t.Fatal(err)
		}
		s := opened.(*session)
		if s.planner.narrow != (i == 1) || s.streamed {
			t.Errorf("with %d bytes: narrow %v, streamed %v", free, s.planner.narrow, s.streamed)
		}
		if _, _, err := s.Train(t.Context(), wholeEpoch(s)); err != nil {
			t.Fatal(err)
		}
		if vars[i], err = s.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for k := range vars[0] {
		if !slices.Equal(vars[0][k], vars[1][k]) {
			t.Errorf("variable %d differs", k)
		}
	}
}

// TestTooLarge checks that memory is computed before it is taken, and that the
// batch size that is said to fit does.
func TestTooLarge(t *testing.T) {
	const free = reserveBytes + 40_000
	job := backendtest.Job(t, 200, 1)
	f := newFake(t, free)
	_, err := open(t.Context(), job, f, plan.Options{})
	var e *memoryError
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *memoryError", err)
	}
	if f.counts["alloc"] != 0 {
		t.Errorf("%d allocations, want none", f.counts["alloc"])
	}
	for _, part := range []string{"with batch size 200 the model needs ", "activations ", "hint: --batch-size "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want it to contain %q", err, part)
		}
	}
	for batch, fits := range map[int]bool{e.best: true, e.best + 1: false} {
		f := newFake(t, free)
		s, err := open(t.Context(), backendtest.Job(t, batch, 1), f, plan.Options{})
		if fits != (err == nil) {
			t.Errorf("batch size %d: got %v, want %v", batch, err, fits)
		}
		if err == nil {
			if f.free < reserveBytes {
				t.Errorf("batch size %d leaves %d bytes, want %d", batch, f.free, reserveBytes)
			}
			s.Close()
		}
	}
	_, err = open(t.Context(), job, newFake(t, reserveBytes), plan.Options{})
	if err == nil || !strings.Contains(err.Error(), "no batch size would fit") {
		t.Errorf("got %v, want no batch size", err)
	}
}

// TestEvaluateNaN checks that a loss that is not finite is a result of an
// evaluation.
func TestEvaluateNaN(t *testing.T) {
	job := backendtest.Job(t, 10, 1)
	job.Data.Parts[data.Test].X.F32[25*12] = float32(math.NaN())
	reference, err := backend.Lookup("ref")
	if err != nil {
		t.Fatal(err)
	}
	want, err := reference.Open(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	got := openTiny(t, newFake(t, plenty), job)
	if err := want.Restore(t.Context(), job.Programs.(*backendtest.Tiny).Initial()); err != nil {
		t.Fatal(err)
	}
	w, err1 := want.Evaluate(t.Context(), data.Test)
	g, err2 := got.Evaluate(t.Context(), data.Test)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(g.Loss) || g.Rows != w.Rows {
		t.Errorf("got loss %v of %d rows, want NaN of %d", g.Loss, g.Rows, w.Rows)
	}
	for name, sums := range w.Metrics {
		if !slices.Equal(g.Metrics[name], sums) {
			t.Errorf("%s: got %v, want %v", name, g.Metrics[name], sums)
		}
	}
}

// TestTrainAllocates checks that a longer span allocates no more than a short
// one, on a device that does nothing but count.
func TestTrainAllocates(t *testing.T) {
	for _, streamed := range []bool{false, true} {
		f := newFake(t, plenty)
		job := backendtest.Job(t, 4, 1)
		s := newSession(job, f)
		s.streamed = streamed
		if _, err := s.opened(t.Context(), plan.Options{}); err != nil {
			t.Fatal(err)
		}
		f.idle = true
		span := wholeEpoch(s)
		allocs := func(steps int) float64 {
			span := span
			span.Last = steps
			return testing.AllocsPerRun(10, func() {
				if _, _, err := s.Train(t.Context(), span); err != nil {
					t.Fatal(err)
				}
			})
		}
		if one, all := allocs(1), allocs(span.Last); all > one {
			t.Errorf("streamed %v: %d steps allocate %v times, 1 step %v times", streamed, span.Last, all, one)
		}
	}
}

// perceptron is a job of three dense layers on the digits.
func perceptron(t *testing.T, batch int) (backend.Job, *model.Model) {
	t.Helper()
	from, err := spec.Parse("mlp.yaml", []byte(`
data: {source: digits, batch_size: 32}
model: [flatten, {dense: {units: 24, activation: relu}}, {dense: {units: 16, activation: relu}}, {dense: {units: 10}}]
loss: sparse_categorical_crossentropy
optimizer: adam
metrics: [accuracy]
`), spec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := source.Load(t.Context(), from.Data, source.Options{Loss: from.Loss.Kind})
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Build(from, model.Input{Shape: set.Prep.Shape, Classes: set.Classes})
	if err != nil {
		t.Fatal(err)
	}
	return backend.Job{Programs: m, Data: set, BatchSize: batch, Accumulate: 1}, m
}

// TestStepLaunches checks how many launches a step of a perceptron has, and that
// the gradients of weights are beside the chain from layer to layer.
func TestStepLaunches(t *testing.T) {
	job, _ := perceptron(t, 32)
	opened, err := open(t.Context(), job, newFake(t, plenty), plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	lanes := opened.(*session).runs[runKey{true, data.Train, 32, -1}].graph.(*fakeGraph).lanes
	var kernels [numLanes][]string
	for lane, list := range lanes {
		for _, l := range list {
			name, _, _ := strings.Cut(l.Kernel, "_32x32")
			kernels[lane] = append(kernels[lane], name)
		}
	}
	want := [numLanes][]string{
		{"gather", "matmul_nn", "matmul_nn", "matmul_nn", "softmax_xent_step", "matmul_nt", "matmul_nt", "matmul_tn", "adam"},
		{"matmul_tn", "matmul_tn", "end_batch"},
	}
	for lane := range want {
		if !slices.Equal(kernels[lane], want[lane]) {
			t.Errorf("lane %d has %v, want %v", lane, kernels[lane], want[lane])
		}
	}
}
