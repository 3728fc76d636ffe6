//go:build gpu

package cuda

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/data/source"
	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// A workload is a training step that is timed, on random rows of 28x28 bytes.
type workload struct {
	name         string
	rows, batch  int
	model, train string
}

const (
	mlp512  = "[flatten, {dense: {units: 512, activation: relu}}, {dense: {units: 512, activation: relu}}, {dense: {units: 10}}]"
	mlp2000 = "[flatten, {dense: {units: 1000, activation: relu}}, {dense: {units: 2000, activation: relu}}, " +
		"{dense: {units: 1000, activation: relu}}, {dense: {units: 10}}]"
	cnn = "[{conv2d: {filters: 32, kernel_size: 3, activation: relu}}, {conv2d: {filters: 64, kernel_size: 3, activation: relu}}, " +
		"{max_pooling2d: {pool_size: 2}}, {dropout: 0.25}, flatten, {dense: {units: 128, activation: relu}}, {dropout: 0.5}, {dense: {units: 10}}]"
)

// workloads have the names that torch_bench.py gives them too.
var workloads = []workload{
	{"mlp-512 sgd 128", 60000, 128, mlp512, "{sgd: {learning_rate: 0.01}}"},
	{"mlp-512 adam 128", 60000, 128, mlp512, "{adam: {learning_rate: 0.001}}"},
	{"mlp-2000 adam 128", 60000, 128, mlp2000, "{adam: {learning_rate: 0.001}}"},
	{"cnn adam 128", 60000, 128, cnn, "{adam: {learning_rate: 0.001}}"},
	{"cnn adam 1024", 60000, 1024, cnn, "{adam: {learning_rate: 0.001}}"},
}

// session opens the workload on the card. Its steps are those with a whole batch.
func (w workload) session(t *testing.T, precision string) (s *session, steps int) {
	t.Helper()
	if *small {
		w.rows, w.batch, w.model = 5, 2, "[flatten, {dense: {units: 10}}]"
	}
	yaml := fmt.Sprintf("data: {source: mnist, batch_size: %d}\nmodel: %s\nloss: sparse_categorical_crossentropy\noptimizer: %s\n",
		w.batch, w.model, w.train)
	from, err := spec.Parse("bench.yaml", []byte(yaml), spec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Build(from, model.Input{Shape: []int{28, 28, 1}, Classes: 10})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := gpu{}.Open(t.Context(), backend.Job{
		Programs: m, Data: randomRows(w.rows), Seed: 1, BatchSize: w.batch, Accumulate: 1, Shuffle: true, Precision: precision,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Restore(t.Context(), m.Initial(1)); err != nil {
		t.Fatal(err)
	}
	return opened.(*session), w.rows / w.batch
}

// randomRows are images of bytes with classes, as MNIST has them.
func randomRows(n int) *data.Set {
	r := rand.New(rand.NewPCG(5, 6))
	x := data.Table{Shape: []int{28, 28, 1}, U8: make([]byte, n*784), Scale: []float32{1. / 255}, Shift: []float32{0}}
	for i := range x.U8 {
		x.U8[i] = byte(r.Uint32())
	}
	y := data.Table{I32: make([]int32, n)}
	for i := range y.I32 {
		y.I32[i] = r.Int32N(10)
	}
	set := &data.Set{Classes: 10}
	set.Parts[data.Train] = data.Part{X: x, Y: y, Rows: n}
	return set
}

// TestCardSteps times training steps.
func TestCardSteps(t *testing.T) {
	c := checked(t)
	for _, precision := range precisions(c) {
		for _, w := range workloads {
			w.time(t, precision)
		}
	}
}

// time measures epochs, with events around the whole span: copies, replays, and
// reading what they added up.
func (w workload) time(t *testing.T, precision string) {
	t.Helper()
	s, steps := w.session(t, precision)
	defer s.Close()
	span := backend.Span{Last: steps, Rates: slices.Repeat([]float32{0.001}, steps)}
	rounds := 12
	if w.batch > 128 {
		rounds = 8
	}
	var took, wall []float64
	for i := range rounds {
		span.Epoch, span.Step = i, int64(i*steps)
		begin := time.Now()
		ms := s.elapsed(t, func() {
			if _, n, err := s.Train(t.Context(), span); err != nil || n != steps {
				t.Fatalf("%s %s: %d steps of %d, %v", w.name, precision, n, steps, err)
			}
		})
		if i >= 2 {
			took, wall = append(took, ms), append(wall, 1000*time.Since(begin).Seconds())
		}
	}
	name := w.name + " " + precision
	note := fmt.Sprintf("%d launches", s.launches(t))
	measured(t, name, "ms", median(took)/float64(steps), note)
	measured(t, fmt.Sprintf("%s, %d steps", name, steps), "ms", median(took),
		fmt.Sprintf("%.2f ms on the clock; %.2f to %.2f", median(wall), slices.Min(took), slices.Max(took)))
}

// elapsed returns the milliseconds between events before and behind what f does
// with the session.
func (s *session) elapsed(t *testing.T, f func()) (ms float64) {
	t.Helper()
	dev := s.dev.(*card)
	if err := dev.Do(func() error { return dev.mark(0) }); err != nil {
		t.Fatal(err)
	}
	f()
	err := dev.Do(func() (err error) { ms, err = dev.sinceMark(); return err })
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

// launches is the number of launches of a step.
func (s *session) launches(t *testing.T) (n int) {
	t.Helper()
	err := s.dev.Do(func() error {
		list, err := s.commands(runKey{true, data.Train, min(s.stepRows(), s.rows(data.Train)), s.stageNumbers()[0]})
		n = len(list)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// goalRun is 784-1000-2000-1000-10 on MNIST for 40 epochs.
const goalRun = `
data: {source: %s, normalize: scale, batch_size: 128%s}
model: %s
loss: sparse_categorical_crossentropy
optimizer: {adam: {learning_rate: 0.001}}
metrics: [accuracy]
train: {epochs: %d, schedule: cosine, checkpoint_every: never}
backend: {kind: gpu, precision: %s}
`

// TestCardGoal trains the large perceptron on MNIST as `gespann train` does, and
// measures the training with its evaluations, and what it learns.
func TestCardGoal(t *testing.T) {
	c := checked(t)
	epochs, layers, from, dir := 40, mlp2000, "mnist", ", dir: "+quoted(*dataAt)
	if *small {
		epochs, layers, from, dir = 1, "[flatten, {dense: {units: 10}}]", "digits", ""
	} else if _, err := os.Stat(*dataAt); err != nil {
		t.Fatalf("MNIST: %v\nhint: -data names the folder of its files", err)
	}
	for _, p := range precisions(c) {
		name := "goal"
		if p != "tf32" {
			name += " " + p
		}
		s, accuracy := goalSeconds(t, fmt.Sprintf(goalRun, from, dir, layers, epochs, p))
		measured(t, fmt.Sprintf("%s, %d epochs", name, epochs), "s", s, "784-1000-2000-1000-10, batch 128, "+p+", on the clock")
		measured(t, name+", test accuracy", "%", 100*accuracy, "")
	}
}

func quoted(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		path = full
	}
	return fmt.Sprintf("%q", path)
}

// goalSeconds trains, and returns the seconds of the loop, with opening the card
// and without reading files, and the test accuracy.
func goalSeconds(t *testing.T, yaml string) (seconds, accuracy float64) {
	t.Helper()
	s, err := spec.Parse("goal.yaml", []byte(yaml), spec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Train.Dir = t.TempDir()
	set, err := source.Load(t.Context(), s.Data, source.Options{Loss: s.Loss.Kind})
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Build(s, model.Input{Shape: set.Prep.Shape, Classes: set.Classes})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := train.Create(s, set)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	var begin, end time.Time
	result, err := train.Run(t.Context(), train.Options{Spec: s, Model: m, Data: set, Dir: dir, Events: func(e train.Event) {
		switch e.(type) {
		case train.Started:
			begin = time.Now()
		case train.EpochEnd:
			end = time.Now()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range result.Test {
		if v.Name == "accuracy" {
			accuracy = v.Value
		}
	}
	return end.Sub(begin).Seconds(), accuracy
}
