//go:build gpu

package cuda

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"gorgonia.org/cu"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// A measurement is a median, and what PyTorch needs for the same; 0 is unknown.
type measurement struct {
	Name     string  `json:"name"`
	Unit     string  `json:"unit"`
	Value    float64 `json:"value"`
	Eager    float64 `json:"eager,omitempty"`
	Compiled float64 `json:"compiled,omitempty"`
	Note     string  `json:"note,omitempty"`
}

func (m *measurement) show(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.4g %s", v, m.Unit)
}

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

// session opens the workload on the card.
func (w workload) session(t *testing.T, precision string) (backend.Session, int) {
	t.Helper()
	if *small {
		w.rows, w.batch, w.model = 5, 2, "[flatten, {dense: {units: 10}}]"
	}
	yaml := fmt.Sprintf("data: {source: mnist, batch_size: %d}\nmodel: %s\nloss: sparse_categorical_crossentropy\noptimizer: %s\n",
		w.batch, w.model, w.train)
	s, err := spec.Parse("bench.yaml", []byte(yaml), spec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Build(s, model.Input{Shape: []int{28, 28, 1}, Classes: 10})
	if err != nil {
		t.Fatal(err)
	}
	session, err := gpu{}.Open(t.Context(), backend.Job{
		Programs: m, Data: randomRows(w.rows), Seed: 1, BatchSize: w.batch, Accumulate: 1, Shuffle: true, Precision: precision,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Restore(t.Context(), m.Initial(1)); err != nil {
		t.Fatal(err)
	}
	return session, (w.rows + w.batch - 1) / w.batch
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

// TestCardBench times training steps, products and kernels that memory bounds.
func TestCardBench(t *testing.T) {
	c := checked(t)
	torch := torchTimes(t)
	for _, precision := range precisions(c) {
		for _, w := range workloads {
			ms, epoch := w.time(t, precision)
			pt := torch[w.name+" "+precision]
			results.Benchmarks = append(results.Benchmarks, measurement{
				Name: w.name + " " + precision + ", step", Unit: "ms", Value: ms, Eager: pt.Eager, Compiled: pt.Compiled,
				Note: fmt.Sprintf("an epoch of %d rows takes %.1f ms", w.rows, epoch),
			})
		}
	}
	dev := openCard(t, c)
	sizes := []int{4096, 8192}
	if *small {
		sizes = []int{96}
	}
	for _, n := range sizes {
		for _, name := range precisions(c) {
			p, err := precision(name, c)
			if err != nil {
				t.Fatal(err)
			}
			e := &executor{t, &lent{card: dev}, optionsFor(c, p)}
			pt := torch[fmt.Sprintf("matmul %d %s", n, name)]
			results.Benchmarks = append(results.Benchmarks, measurement{
				Name: fmt.Sprintf("matmul %d %s", n, name), Unit: "TFLOP/s",
				Value: 2e-12 * float64(n) * float64(n) * float64(n) / timeProduct(t, e, n), Eager: pt.Eager, Note: "beside cuBLAS",
			})
			e.Close()
		}
	}
	timeMemory(t, c, dev)
}

// precisions lists those that are wanted and that the card has.
func precisions(c *Card) (names []string) {
	for _, name := range strings.Split(*only, ",") {
		if _, err := precision(name, c); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// time returns the median milliseconds of a step and of an epoch.
func (w workload) time(t *testing.T, precision string) (step, epoch float64) {
	s, steps := w.session(t, precision)
	defer s.Close()
	span := backend.Span{Last: steps, Rates: slices.Repeat([]float32{0.001}, steps)}
	var took []float64
	for i := range 12 {
		span.Epoch, span.Step = i, int64(i*steps)
		begin := time.Now()
		if _, _, err := s.Train(t.Context(), span); err != nil {
			t.Fatal(err)
		}
		if i >= 2 {
			took = append(took, 1000*time.Since(begin).Seconds())
		}
	}
	return median(took) / float64(steps), median(took)
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// seconds returns the median time of a compiled program on the card.
func (r *deviceRunner) seconds() (s float64) {
	r.t.Helper()
	err := r.dev.Do(func() error {
		const perRound = 10
		g, err := r.dev.Capture(func() error {
			for range perRound {
				if err := r.s.launch(r.commands, nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		defer g.Destroy()
		var took []float64
		for i := range 9 {
			begin := time.Now()
			if err := r.dev.Replay(g); err != nil {
				return err
			}
			if err := r.dev.Sync(); err != nil {
				return err
			}
			if i >= 2 {
				took = append(took, time.Since(begin).Seconds()/perRound)
			}
		}
		s = median(took)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// timeProduct returns the seconds of a square product.
func timeProduct(t *testing.T, e *executor, n int) float64 {
	b := backendtest.NewBuilder(t, "product", n, nil)
	x, y := b.Input("a", ir.Float, n, n), b.Input("b", ir.Float, n, n)
	b.Name(b.Do(ir.MatMul, ir.Attrs{}, x, y)[0], "y")
	values := random(n * n)
	s := host.Slots{F: [][]float32{values, values, make([]float32, n*n)}, I: make([][]int32, 3)}
	r, err := e.Compile(b.Done(), s)
	if err != nil {
		t.Fatal(err)
	}
	r.Run() // brings the values to the card
	return r.(*deviceRunner).seconds()
}

// timeMemory measures kernels that memory bounds against a copy.
func timeMemory(t *testing.T, c *Card, dev *card) {
	n := 1 << 26
	if *small {
		n = 1 << 11
	}
	peak := copySpeed(t, &lent{card: dev}, int64(n)*4)
	results.Benchmarks = append(results.Benchmarks, measurement{Name: "copy", Unit: "GB/s", Value: peak})
	note := func(name string, elements int, b *backendtest.Builder) {
		e := &executor{t, &lent{card: dev}, optionsFor(c, plan.FP32)}
		defer e.Close()
		r, err := e.Compile(b.Done(), host.Slots{})
		if err != nil {
			t.Fatal(err)
		}
		speed := 4e-9 * float64(elements) / r.(*deviceRunner).seconds()
		results.Benchmarks = append(results.Benchmarks, measurement{
			Name: name, Unit: "GB/s", Value: speed, Note: fmt.Sprintf("%.0f %% of the copy", 100*speed/peak),
		})
	}
	rows, cols := n/1024, 1024
	one := func(name string, traffic int, op ir.Op, a ir.Attrs, more ...[]int) {
		b := backendtest.NewBuilder(t, name, rows, nil)
		in := []ir.Slot{b.Input("in0", ir.Float, rows, cols)}
		for i, shape := range more {
			in = append(in, b.Input(fmt.Sprintf("in%d", i+1), ir.Float, shape...))
		}
		for i, out := range b.Do(op, a, in...) {
			b.Name(out, fmt.Sprintf("out%d", i))
		}
		note(name, traffic*n, b)
	}
	all, row := []int{rows, cols}, []int{cols}
	one("bias", 2, ir.BiasAdd, ir.Attrs{}, row)
	one("relu", 2, ir.Activation, ir.Attrs{Act: ir.ReLU})
	one("gelu", 2, ir.Activation, ir.Attrs{Act: ir.GELU})
	one("relu gradient", 3, ir.ActGrad, ir.Attrs{Act: ir.ReLU}, all)
	one("bias gradient", 1, ir.BiasGrad, ir.Attrs{})
	one("softmax", 2, ir.Softmax, ir.Attrs{})
	one("layer norm", 2, ir.LayerNorm, ir.Attrs{Eps: 1e-5}, row, row)
	one("batch norm inference", 2, ir.BatchNormInfer, ir.Attrs{Eps: 1e-5}, row, row, row, row)
	one("batch norm", 3, ir.BatchNorm, ir.Attrs{Eps: 1e-5}, row, row)

	vars := []ir.Var{{Name: "p", Shape: all}, {Name: "m", Shape: all, Role: ir.OptState}, {Name: "v", Shape: all, Role: ir.OptState}}
	b := backendtest.NewBuilder(t, "adam", 0, vars)
	in := []ir.Slot{b.Input(ir.InRate, ir.Float, 1), b.Input(ir.InStep, ir.Int, 1), b.Grad(0)}
	b.Assign(ir.Adam, ir.Attrs{Beta1: 0.9, Beta2: 0.999, Eps: 1e-7}, in, []ir.Slot{b.Variable(0), b.Variable(1), b.Variable(2)})
	note("adam", 7*n, b)
}

// copySpeed returns the bytes that a copy reads and writes per second, in GB.
func copySpeed(t *testing.T, dev *lent, bytes int64) (speed float64) {
	t.Helper()
	defer dev.Close()
	err := dev.Do(func() error {
		from, err := dev.Alloc(bytes)
		if err != nil {
			return err
		}
		to, err := dev.Alloc(bytes)
		if err != nil {
			return err
		}
		var took []float64
		for i := range 9 {
			begin := time.Now()
			for range 10 {
				if err := cu.MemcpyDtoDAsync(cu.DevicePtr(to), cu.DevicePtr(from), bytes, dev.stream); err != nil {
					return err
				}
			}
			if err := dev.Sync(); err != nil {
				return err
			}
			if i >= 2 {
				took = append(took, time.Since(begin).Seconds()/10)
			}
		}
		speed = 2e-9 * float64(bytes) / median(took)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return speed
}

// torchBench does the same with PyTorch, and prints JSON lines.
//
//go:embed testdata/torch_bench.py
var torchBench string

// A torchTime is what PyTorch needs.
type torchTime struct {
	Name            string  `json:"name"`
	Eager, Compiled float64 // ms of a step, or TFLOP/s
	Version         string  `json:"version"`
}

// torchTimes runs PyTorch where it can be imported.
func torchTimes(t *testing.T) map[string]torchTime {
	times := map[string]torchTime{}
	if *python == "" {
		return times
	}
	if err := exec.Command(*python, "-c", "import torch").Run(); err != nil {
		results.Torch = "not importable here"
		return times
	}
	cmd := exec.CommandContext(t.Context(), *python, "-", *only)
	cmd.Stdin = strings.NewReader(torchBench)
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("PyTorch: %v\n%s", err, words.String())
	}
	for line := range strings.Lines(string(out)) {
		var x torchTime
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Errorf("PyTorch said %q: %v", line, err)
			continue
		}
		if x.Version != "" {
			results.Torch = x.Version
		} else {
			times[x.Name] = x
		}
	}
	return times
}
