package kernels_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/ref"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/kernels/emulator"
)

// A product is a matrix product or convolution with random inputs.
type product struct {
	op    ir.Op
	attrs ir.Attrs
	in    [][]int
	terms int // of each sum
}

// products are chosen so that each tile is the best for some, no output is a multiple
// of a tile, and every loader meets rows that are and are not aligned.
func products() []product {
	var list []product
	for _, s := range [][3]int{{250, 252, 67}, {33, 67, 520}, {61, 126, 100}, {119, 127, 96}} {
		for trans := range 4 {
			a := ir.Attrs{TransA: trans&1 != 0, TransB: trans&2 != 0, Bias: trans != 1, Act: ir.ReLU}
			left, right := []int{s[0], s[2]}, []int{s[2], s[1]}
			if a.TransA {
				slices.Reverse(left)
			}
			if a.TransB {
				slices.Reverse(right)
			}
			in := [][]int{left, right}
			if a.Bias {
				in = append(in, []int{s[1]})
			}
			list = append(list, product{ir.MatMul, a, in, s[2]})
		}
	}
	for _, c := range []struct {
		x      [4]int
		o      int
		groups int
		win    ir.Window
	}{
		{[4]int{2, 13, 11, 3}, 37, 1, ir.Window{KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1, PT: 1, PB: 1, PL: 1, PR: 1}},
		{[4]int{1, 15, 14, 16}, 68, 1, ir.Window{KH: 3, KW: 2, SH: 2, SW: 1, DH: 1, DW: 2, PT: 2, PB: 1}},
		{[4]int{2, 9, 9, 32}, 24, 2, ir.Window{KH: 3, KW: 3, SH: 1, SW: 2, DH: 1, DW: 1, PT: 1, PB: 1, PL: 1}},
		{[4]int{1, 24, 24, 1}, 32, 1, ir.Window{KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1}},
		{[4]int{1, 16, 15, 126}, 124, 1, ir.Window{KH: 1, KW: 1, SH: 1, SW: 1, DH: 1, DW: 1}},
		{[4]int{1, 16, 15, 14}, 60, 1, ir.Window{KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1, PT: 1, PB: 1, PL: 1, PR: 1}},
		{[4]int{1, 16, 15, 60}, 28, 1, ir.Window{KH: 1, KW: 1, SH: 1, SW: 1, DH: 1, DW: 1}},
		{[4]int{1, 8, 7, 60}, 60, 1, ir.Window{KH: 1, KW: 1, SH: 1, SW: 1, DH: 1, DW: 1}},
		{[4]int{1, 10, 9, 14}, 28, 1, ir.Window{KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1}},
	} {
		oh, ow := c.win.Out(c.x[1], c.x[2])
		w, y := []int{c.win.KH, c.win.KW, c.x[3] / c.groups, c.o}, []int{c.x[0], oh, ow, c.o}
		a := ir.Attrs{Win: c.win, Groups: c.groups}
		forward, back := a, a
		forward.Bias, forward.Act = true, ir.ReLU
		back.Dims = c.x
		taps := w[0] * w[1]
		list = append(list,
			product{ir.Conv2D, forward, [][]int{c.x[:], w, {c.o}}, taps * w[2]},
			product{ir.Conv2DDX, back, [][]int{w, y}, taps * c.o / c.groups},
			product{ir.Conv2DDW, a, [][]int{c.x[:], y}, c.x[0] * oh * ow})
	}
	return list
}

// tiledPattern matches the names of tiled kernels.
var tiledPattern = regexp.MustCompile(`^(matmul|conv2d).*_\d+x\d+$`)

// units are the relative errors of rounding a factor.
var units = map[plan.Precision]float64{plan.TF32: 0x1p-11, plan.BF16: 0x1p-8}

// TestProducts runs products in every precision, as devices of different sizes
// would cut them, and checks that all kernels for products have been run.
func TestProducts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds; TestOps runs products in fp32")
	}
	launched := map[string]bool{}
	sizes := []int{1, 5, 132}
	for _, precision := range []plan.Precision{plan.FP32, plan.TF32, plan.BF16} {
		for _, sms := range sizes {
			t.Run(fmt.Sprintf("%v/%d", precision, sms), func(t *testing.T) {
				o := plan.Options{Precision: precision, SM: 80, Multiprocessors: sms}
				ex := &emulator.Executor{Device: start(t), Options: o, Fail: func(err error) { t.Error(err) }}
				defer ex.Close()
				for _, c := range products() {
					p := c.run(t, ex)
					for _, l := range p.Launches {
						launched[l.Kernel] = true
					}
				}
			})
		}
	}
	checkLaunched(t, launched)
}

// checkLaunched reports kernels for products that no case has launched.
func checkLaunched(t *testing.T, launched map[string]bool) {
	t.Helper()
	d := start(t)
	defer d.Close()
	names, err := d.Kernels()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if tiled := tiledPattern.MatchString(name); tiled && !launched[name] {
			t.Errorf("no case has launched %s", name)
		}
	}
}

// run checks one product, and returns its plan.
func (c product) run(t *testing.T, ex *emulator.Executor) *plan.Plan {
	t.Helper()
	b := backendtest.NewBuilder(t, "product", 1, nil)
	var in []ir.Slot
	for k, shape := range c.in {
		in = append(in, b.Input(fmt.Sprint("in", k), ir.Float, shape...))
	}
	out := b.Do(c.op, c.attrs, in...)[0]
	b.Name(out, "y")
	p := b.Done()

	r := rand.New(rand.NewPCG(5, uint64(c.terms)))
	want, size := ref.NewSlots[float64](p), ref.NewSlots[float64](p)
	got := host.Slots{F: make([][]float32, len(p.Values)), I: make([][]int32, len(p.Values))}
	for i := range p.Values {
		got.F[i] = host.Alloc(p.Values[i].Size())
	}
	for _, s := range in {
		for i := range got.F[s] {
			got.F[s][i] = float32(r.NormFloat64())
			want.F[s][i] = float64(got.F[s][i])
			size.F[s][i] = math.Abs(want.F[s][i])
		}
	}
	runner, err := ex.Compile(p, got)
	if err != nil {
		t.Fatal(err)
	}
	runner.Run()
	ref.Run(p, want)
	ref.Run(p, size) // ReLU changes nothing here
	u := units[ex.Options.Precision]
	bound := make([]float64, len(want.F[out]))
	for i := range bound {
		bound[i] = (2*u + u*u + 2*numtest.Gamma(c.terms+2)) * size.F[out][i]
	}
	if !numtest.Within(t, got.F[out], want.F[out], bound,
		"two factors rounded to u each, then a sum in float32 (Higham), truncated rather than rounded") {
		t.Logf("%v %v", c.op, c.in)
	}
	built, err := plan.Build(p, ex.Options)
	if err != nil {
		t.Fatal(err)
	}
	return built
}
