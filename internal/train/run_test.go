package train

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/backend"
	_ "github.com/gespann/gespann/backend/cpu" // registers cpu
	_ "github.com/gespann/gespann/backend/ref" // registers ref
	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// Sizes of the data of these tests; no two divide one another.
const (
	testRows     = 47
	testFeatures = 6
	testClasses  = 3
)

// testSet returns classes that overlap a little.
func testSet() *data.Set {
	set := &data.Set{Classes: testClasses, Source: "test"}
	set.Prep = data.Prep{Shape: []int{testFeatures}, Target: data.Classes, Classes: testClasses}
	noise := uint32(1)
	for split, rows := range []int{testRows, 19, 13} {
		p := &set.Parts[split]
		p.Rows = rows
		p.X.Shape, p.Y.Shape = []int{testFeatures}, []int{}
		for i := range rows {
			class := i % testClasses
			for j := range testFeatures {
				noise = noise*1664525 + 1013904223 // Numerical Recipes
				v := float32(noise>>8) / (1 << 24)
				if j%testClasses == class {
					v += 0.5
				}
				p.X.F32 = append(p.X.F32, v)
			}
			p.Y.I32 = append(p.Y.I32, int32(class))
		}
	}
	return set
}

// A testRun is a spec and its run directory.
type testRun struct {
	t    *testing.T
	spec *spec.Spec
	path string
	on   backend.Backend // nil: the one of spec

	splits  data.Splits
	weights *checkpoint.State // to begin with; nil: from the seed
}

// newTestRun returns a run of the given YAML, with the data above, that has not
// begun.
func newTestRun(t *testing.T, yaml string) *testRun {
	t.Helper()
	const head = "data: {source: csv, csv: {path: none.csv}, batch_size: 4, validation_split: 0.3}\n" +
		"loss: sparse_categorical_crossentropy\nmetrics: [accuracy]\n"
	s, err := spec.Parse("test.yaml", []byte(head+yaml), spec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Train.Dir = memoryDir(t)
	return &testRun{t: t, spec: s}
}

// memoryDir returns a temporary folder in memory, where there is such a file
// system: runs sync their files, which disks are slow at.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "gespann-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// run trains until the end, or until ctx or events end it.
func (r *testRun) run(ctx context.Context, refresh time.Duration, events func(Event)) (*Result, error) {
	r.t.Helper()
	set := testSet()
	set.Splits = r.splits
	m, err := model.Build(r.spec, model.Input{Shape: set.Prep.Shape, Classes: set.Classes})
	if err != nil {
		r.t.Fatal(err)
	}
	var dir *Dir
	if r.path == "" {
		dir, err = Create(r.spec, set)
	} else {
		dir, err = Open(r.path)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	defer dir.Close()
	r.path = dir.Path
	from := ""
	if r.weights != nil {
		from = "other"
	}
	return Run(ctx, Options{
		Weights: r.weights, From: from,
		Spec: r.spec, Model: m, Data: set, Dir: dir, Backend: r.on, Refresh: refresh, Events: events,
	})
}

// must runs to the end.
func (r *testRun) must() *Result {
	r.t.Helper()
	result, err := r.run(context.Background(), 0, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

// until trains step by step and interrupts itself after so many progress events.
// It returns the result if the run ended before.
func (r *testRun) until(events int) *Result {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	result, err := r.run(ctx, time.Nanosecond, func(e Event) {
		if _, ok := e.(Progress); !ok {
			return
		}
		if events--; events == 0 {
			cancel()
		}
	})
	var interrupted *InterruptedError
	if err != nil && !errors.As(err, &interrupted) {
		r.t.Fatal(err)
	}
	return result
}

// An outcome is all of a finished run that must not depend on what happened on
// the way.
type outcome struct {
	Metrics      string // without the seconds
	Model, Final []checkpoint.Tensor
	Result       Result
}

func (r *testRun) outcome(result *Result) outcome {
	r.t.Helper()
	o := outcome{Metrics: r.metrics(), Result: *result}
	o.Result.Dir, o.Result.Model = "", ""
	m, err := checkpoint.Read(result.Model)
	if err != nil {
		r.t.Fatal(err)
	}
	o.Model = m.Tensors
	dir := &Dir{Path: r.path}
	paths, err := dir.stepPaths()
	if err != nil {
		r.t.Fatal(err)
	}
	final, err := checkpoint.Read(paths[len(paths)-1])
	if err != nil {
		r.t.Fatal(err)
	}
	o.Final = final.Tensors
	return o
}

// metrics returns metrics.csv without its last column.
func (r *testRun) metrics() string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.path, metricsFile))
	if err != nil {
		r.t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		lines = append(lines, line[:strings.LastIndexByte(line, ',')])
	}
	return strings.Join(lines, "\n")
}

// same compares two outcomes to the bit.
func same(t *testing.T, what string, got, want outcome) {
	t.Helper()
	if got.Metrics != want.Metrics {
		t.Errorf("%s: metrics\n%s\nwant\n%s", what, got.Metrics, want.Metrics)
	}
	if !reflect.DeepEqual(got.Result, want.Result) {
		t.Errorf("%s: result %+v, want %+v", what, got.Result, want.Result)
	}
	for i, w := range want.Model {
		if !reflect.DeepEqual(got.Model[i], w) {
			t.Errorf("%s: %s of the model differs", what, w.Name)
		}
	}
	for i, w := range want.Final {
		if !reflect.DeepEqual(got.Final[i], w) {
			t.Errorf("%s: %s of the last checkpoint differs", what, w.Name)
		}
	}
}
