//go:build gpu

package cuda

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/cu"

	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

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
		s, err = medianTime(r.dev, func() error { return r.dev.Replay(g) })
		s /= perRound
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// medianTime returns the median seconds that the queue works on what f asks, of 7
// times after 2.
func medianTime(dev device, f func() error) (seconds float64, err error) {
	var took []float64
	for i := range 9 {
		one, err := dev.Time(f)
		if err != nil {
			return 0, err
		}
		if i >= 2 {
			took = append(took, one.Seconds())
		}
	}
	return median(took), nil
}

// TestCardProducts times square products.
func TestCardProducts(t *testing.T) {
	c := checked(t)
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
			timeProducts(t, c, dev, n, p)
		}
	}
}

// timeProducts times a product by our kernel, by cuBLASLt, and by what a session
// chooses.
func timeProducts(t *testing.T, c *Card, dev *card, n int, p plan.Precision) {
	t.Helper()
	flop := 2e-12 * float64(n) * float64(n) * float64(n)
	time := func(what, note string, large int64) {
		e := &executor{t: t, dev: &lent{card: dev}, o: optionsFor(c, p), large: large}
		defer e.Close()
		measured(t, fmt.Sprintf("%s %d %v", what, n, p), "TFLOP/s", flop/timeProduct(t, e, n), note)
	}
	time("matmul", "our kernel", 0)
	if p == plan.FP32 {
		return
	}
	if hasLibrary(t, dev) {
		forget()
		remember(Choice{M: n, N: n, K: n, Precision: p, Chosen: chosenLibrary})
		time("cublaslt", dev.lt.why, 1)
	}
	forget()
	time("product", "the faster one of both", 1)
	for _, c := range Choices() {
		t.Logf("%+v", c)
	}
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

// TestCardMemory measures kernels that memory bounds against a copy.
func TestCardMemory(t *testing.T) {
	c := checked(t)
	dev := openCard(t, c)
	n := 1 << 26
	if *small {
		n = 1 << 11
	}
	peak := copySpeed(t, &lent{card: dev}, int64(n)*4)
	measured(t, "copy", "GB/s", peak, "read and written")
	note := func(name string, elements int, b *backendtest.Builder) {
		e := &executor{t: t, dev: &lent{card: dev}, o: optionsFor(c, plan.FP32)}
		defer e.Close()
		p := b.Done()
		r, err := e.Compile(p, randomSlots(p))
		if err != nil {
			t.Fatal(err)
		}
		r.Run() // brings the values to the card
		speed := 4e-9 * float64(elements) / r.(*deviceRunner).seconds()
		measured(t, name, "GB/s", speed, fmt.Sprintf("%.0f %% of the copy", 100*speed/peak))
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

// randomSlots are random values for a program; integers are 1.
func randomSlots(p *ir.Program) host.Slots {
	s := host.Slots{F: make([][]float32, len(p.Values)), I: make([][]int32, len(p.Values))}
	some := random(1 << 16)
	for i := range p.Values {
		v := &p.Values[i]
		switch {
		case v.Kind == ir.View:
		case v.Type == ir.Int:
			s.I[i] = slices.Repeat([]int32{1}, v.Size())
		default:
			s.F[i] = make([]float32, v.Size())
			for k := range s.F[i] {
				s.F[i][k] = max(some[k%len(some)], -some[k%len(some)]) // a variance is not negative
			}
		}
	}
	return s
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
		seconds, err := medianTime(dev, func() error {
			for range 10 {
				if err := cu.MemcpyDtoDAsync(cu.DevicePtr(to), cu.DevicePtr(from), bytes, dev.stream); err != nil {
					return err
				}
			}
			return nil
		})
		speed = 20e-9 * float64(bytes) / seconds
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return speed
}
