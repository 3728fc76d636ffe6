package cuda

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/gespann/gespann/backend"
	_ "github.com/gespann/gespann/backend/cpu" // what runs are compared with
	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/data/source"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// runSpecs are short runs on the digits that come with the program.
var runSpecs = map[string]string{
	"mlp, adam, accumulation": `
data: {source: digits, batch_size: 24, normalize: scale, test_split: 0.7, validation_split: 0.1}
model: [flatten, {dense: {units: 32, activation: relu}}, {dropout: 0.2}, {dense: {units: 10, activation: softmax}}]
optimizer: {adam: {learning_rate: 0.005}}
loss: sparse_categorical_crossentropy
metrics: [accuracy]
train: {epochs: 3, accumulate: 2, schedule: cosine, checkpoint_every: 7 steps}
`,
	"cnn, sgd, batch norm": `
data: {source: digits, batch_size: 64, normalize: scale, test_split: 0.8}
model:
  - conv2d: {filters: 8, kernel_size: 3, padding: same, use_bias: false}
  - batch_normalization
  - activation: relu
  - max_pooling2d: {pool_size: 2}
  - flatten
  - dense: {units: 10}
optimizer: {sgd: {learning_rate: 0.1, momentum: 0.9}}
loss: sparse_categorical_crossentropy
metrics: [accuracy]
train: {epochs: 2}
`,
}

// A runner is a run of a spec on a backend, in a folder.
type runner struct {
	t       *testing.T
	spec    *spec.Spec
	dir     string // of the run; "" before it has begun
	model   string // file of the trained model
	results []train.EpochEnd
}

func newRunner(t *testing.T, yaml, kind string) *runner {
	t.Helper()
	s, err := spec.Parse("run.yaml", []byte(yaml), spec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Backend.Kind = kind
	if s.Train.Dir, err = os.MkdirTemp("", "gespann-cuda-test-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(s.Train.Dir) })
	return &runner{t: t, spec: s}
}

// run trains until the end, or so many steps if that is not 0. It returns the
// trained model's bits when the run is complete.
func (r *runner) run(steps int) []byte {
	r.t.Helper()
	var interrupted *train.InterruptedError
	switch err := r.try(steps); {
	case errors.As(err, &interrupted):
		return nil
	case err != nil:
		r.t.Fatal(err)
	}
	state, err := checkpoint.Read(r.model)
	if err != nil {
		r.t.Fatal(err)
	}
	var bits []byte
	for _, t := range state.Tensors {
		bits = append(bits, bytesOf(t.Data)...)
	}
	return bits
}

// try is run without its result.
func (r *runner) try(steps int) error {
	r.t.Helper()
	set, err := source.Load(r.t.Context(), r.spec.Data, source.Options{Loss: r.spec.Loss.Kind})
	if err != nil {
		r.t.Fatal(err)
	}
	m, err := model.Build(r.spec, model.Input{Shape: set.Prep.Shape, Classes: set.Classes})
	if err != nil {
		r.t.Fatal(err)
	}
	var dir *train.Dir
	if r.dir == "" {
		dir, err = train.Create(r.spec, set)
	} else {
		dir, err = train.Open(r.dir)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	defer dir.Close()
	r.dir, r.model = dir.Path, dir.ModelPath()
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	begun := -1
	_, err = train.Run(ctx, train.Options{Spec: r.spec, Model: m, Data: set, Dir: dir, Refresh: 1, Events: func(e train.Event) {
		switch e := e.(type) {
		case train.EpochEnd:
			r.results = append(r.results, e)
		case train.Progress:
			at := (e.Epoch-1)*e.Steps + e.Step
			if begun < 0 {
				begun = at - 1
			}
			if steps > 0 && at-begun >= steps {
				cancel()
			}
		}
	}})
	return err
}

// testCurves compares the values that runs report after each epoch with those on
// the CPU.
func testCurves(t *testing.T, kind string) {
	for name, yaml := range runSpecs {
		t.Run(name, func(t *testing.T) {
			want, got := newRunner(t, yaml, "cpu"), newRunner(t, yaml, kind)
			want.run(0)
			got.run(0)
			for i := range want.results {
				for k, w := range want.results[i].Values {
					g := got.results[i].Values[k]
					t.Logf("epoch %d %s: %.6g, on the CPU %.6g", i+1, w.Name, g.Value, w.Value)
					numtest.Close(t, []float64{g.Value}, []float64{w.Value}, numtest.Tol{
						Abs: 0.015, Rel: 0.01, Why: "float32 sums in another order, over whole epochs; a class or two may flip",
					})
				}
			}
		})
	}
}

// testResume checks that a run which is interrupted and continued ends with the
// same bits as one that is not.
func testResume(t *testing.T, kind string) {
	for name, yaml := range runSpecs {
		t.Run(name, func(t *testing.T) {
			want := newRunner(t, yaml, kind).run(0)
			again := newRunner(t, yaml, kind).run(0)
			if !bytes.Equal(again, want) {
				t.Error("two runs differ")
			}
			for _, steps := range []int{1, 5} {
				r := newRunner(t, yaml, kind)
				var got []byte
				for tries := 0; got == nil && tries < 200; tries++ {
					got = r.run(steps)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("interrupted after every %d steps: the model differs", steps)
				}
			}
		})
	}
}

// TestRuns trains on a fake.
func TestRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, stream := range []bool{false, true} {
		kind := fmt.Sprintf("fake, streamed %v", stream)
		backend.Register(kind, &fakes{t: t, stream: stream})
		t.Run("curves/"+kind, func(t *testing.T) { testCurves(t, kind) })
		if stream {
			t.Run("resume/"+kind, func(t *testing.T) { testResume(t, kind) })
		}
	}
}
