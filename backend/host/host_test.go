package host_test

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/ref"
	"github.com/gespann/gespann/internal/data"
)

func TestAlloc(t *testing.T) {
	for n := range 100 {
		for _, x := range [][]float32{host.Alloc(n), host.Alloc(n)} {
			if at := uintptr(unsafe.Pointer(unsafe.SliceData(x))); at%64 != 0 {
				t.Errorf("Alloc(%d) is at %#x, want a multiple of 64", n, at)
			}
			if len(x) != n || cap(x) != n+host.Slack {
				t.Errorf("Alloc(%d) has length %d and capacity %d", n, len(x), cap(x))
			}
		}
	}
}

// An executor counts how often it is closed, and what it compiles.
type executor struct {
	ref.Executor
	closed   int
	compiled int
	err      error
}

func (e *executor) Close() { e.closed++ }

func (e *executor) Compile(p *ir.Program, s host.Slots) (host.Runner, error) {
	if e.err != nil {
		return nil, e.err
	}
	e.compiled++
	for i := range p.Values {
		for _, at := range []unsafe.Pointer{
			unsafe.Pointer(unsafe.SliceData(s.F[i])), unsafe.Pointer(unsafe.SliceData(s.I[i])),
		} {
			if uintptr(at)%64 != 0 {
				return nil, errors.New("memory is not aligned")
			}
		}
		if max(cap(s.F[i])-len(s.F[i]), cap(s.I[i])-len(s.I[i])) < host.Slack {
			return nil, errors.New("memory has no slack")
		}
	}
	return e.Executor.Compile(p, s)
}

// spoiled is programs with a change to the forward one.
type spoiled struct {
	backend.Programs
	change func(p *ir.Program)
	err    error
}

func (s spoiled) Forward(targets bool) (*ir.Program, error) {
	p, err := s.Programs.Forward(targets)
	if s.change != nil {
		s.change(p)
	}
	return p, errors.Join(err, s.err)
}

func TestOpenErrors(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(job *backend.Job, ex *executor)
		want  string
	}{
		"nothing": {func(*backend.Job, *executor) {}, ""},
		"batch":   {func(job *backend.Job, _ *executor) { job.BatchSize = 0 }, "batch size is 0 and accumulation 2, want >= 1"},
		"label": {func(job *backend.Job, _ *executor) { job.Data.Parts[data.Test].Y.I32[9] = 3 },
			"test data: targets: row 9: got 3, want 0 to 2"},
		"negative label": {func(job *backend.Job, _ *executor) { job.Data.Parts[data.Train].Y.I32[0] = -1 },
			"training data: targets: row 0: got -1, want 0 to 2"},
		"float labels": {func(job *backend.Job, _ *executor) {
			job.Data.Parts[data.Train].Y = data.Table{F32: make([]float32, 203)}
		}, "training data: targets: got floats, the program takes integers"},
		"features": {func(job *backend.Job, _ *executor) {
			job.Data.Parts[data.Train].X = data.Table{Shape: []int{5}, U8: make([]byte, 203*5)}
		}, "training data: features: 16 rows of shape [5] have 80 elements, the program takes 192"},
		"rows": {func(job *backend.Job, _ *executor) { job.Data.Parts[data.Train].Rows = 204 },
			"training data: got 203 rows of features and 203 of targets, want 204"},
		"programs": {func(job *backend.Job, _ *executor) {
			job.Programs = spoiled{job.Programs, nil, errors.New("no layers")}
		},
			"no layers"},
		"unknown input": {func(job *backend.Job, _ *executor) {
			job.Programs = spoiled{job.Programs, func(p *ir.Program) { p.Values[0].Name = "z" }, nil}
		}, "program forward: input z: got an unknown name"},
		"invalid program": {func(job *backend.Job, _ *executor) {
			job.Programs = spoiled{job.Programs, func(p *ir.Program) { p.Instrs[0].In[0] = 99 }, nil}
		}, "program forward: instruction 0 (model[0] matmul): matmul: input 0 is slot 99, want 0 to "},
		"other batch": {func(job *backend.Job, _ *executor) {
			job.Programs = spoiled{job.Programs, func(p *ir.Program) { p.Batch = 17 }, nil}
		}, "program forward: batch is 17, want 16"},
		"executor": {func(_ *backend.Job, ex *executor) { ex.err = errors.New("no such kernel") },
			"program update: no such kernel"},
	} {
		t.Run(name, func(t *testing.T) {
			job, ex := backendtest.Job(t, 16, 2), &executor{}
			c.spoil(&job, ex)
			s, err := host.Open(job, ex)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				err = errors.Join(s.Close(), s.Close())
			}
			if err != nil && (c.want == "" || !strings.HasPrefix(err.Error(), c.want)) || err == nil && c.want != "" {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if ex.closed != 1 {
				t.Errorf("executor was closed %d times, want once", ex.closed)
			}
		})
	}
}

// TestIDs checks that ids of an embedding are checked, in data and in requests.
func TestIDs(t *testing.T) {
	job := backend.Job{Programs: embedder{t}, BatchSize: 2, Accumulate: 1, Data: &data.Set{}}
	ids := func(v ...int32) data.Table { return data.Table{Shape: []int{2}, I32: v} }
	job.Data.Parts[data.Test] = data.Part{X: ids(0, 1, 4, 5), Y: data.Table{F32: make([]float32, 2)}, Rows: 2}
	_, err := host.Open(job, ref.Executor{})
	if want := "test data: features: row 1: got 5, want 0 to 4"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	job.Data = nil
	s, err := host.Open(job, ref.Executor{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		x     data.Table
		calls int
		want  string
	}{
		{ids(0, 1, 2, 3, 4, 4), 2, ""},
		{ids(), 0, ""},
		{ids(0, 1, -1, 3), 0, "features: row 1: got -1, want 0 to 4"},
		{data.Table{Shape: []int{2}, F32: make([]float32, 4)}, 0, "features: got floats, the program takes integers"},
	} {
		calls := 0
		err := s.Predict(t.Context(), &c.x, func([]float32, []int) error { calls++; return nil })
		if calls != c.calls || err == nil && c.want != "" || err != nil && err.Error() != c.want {
			t.Errorf("Predict(%v): %d calls, %v, want %d, %s", c.x.I32, calls, err, c.calls, c.want)
		}
	}
	if _, _, err := s.Train(t.Context(), backend.Span{Last: 1, Rates: []float32{1}}); err == nil {
		t.Error("Train without data, want an error")
	}
	x := ids(0, 1)
	if err := errors.Join(s.Close(), s.Predict(t.Context(), &x, nil)); err == nil {
		t.Error("Predict after Close, want an error")
	}
}

// An embedder looks up pairs of ids in a table of five.
type embedder struct{ t *testing.T }

func (embedder) Vars() []ir.Var { return []ir.Var{{Name: "e.embeddings", Shape: []int{5, 3}}} }

func (e embedder) Forward(bool) (*ir.Program, error) {
	b := backendtest.NewBuilder(e.t, "forward", ir.B, e.Vars())
	x := b.Input(ir.InX, ir.Int, ir.B, 2)
	b.Name(b.Do(ir.Embedding, ir.Attrs{}, b.Variable(0), b.View(x, 2*ir.B))[0], ir.OutPrediction)
	return b.Done(), nil
}

func (embedder) Gradient(bool) (*ir.Program, error) { return nil, errors.New("not trained") }
func (embedder) Update() (*ir.Program, error)       { return nil, errors.New("not trained") }
