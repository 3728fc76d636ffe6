package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend/cpu/pool"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/numtest"
)

// win returns a window with the same values in both directions.
func win(kernel, stride, dilation, pad int) ir.Window {
	return ir.Window{
		KH: kernel, KW: kernel, SH: stride, SW: stride, DH: dilation, DW: dilation,
		PT: pad, PB: pad, PL: pad, PR: pad,
	}
}

var convShapes = []struct {
	name string
	ConvShape
}{
	{"one", ConvShape{B: 1, H: 1, W: 1, C: 1, O: 1, Win: win(1, 1, 1, 0)}},
	{"pointwise", ConvShape{B: 3, H: 5, W: 7, C: 6, O: 5, Win: win(1, 1, 1, 0)}},
	{"pointwise-strides", ConvShape{B: 2, H: 7, W: 9, C: 6, O: 5, Win: win(1, 2, 1, 0)}},
	{"keras-conv1", ConvShape{B: 2, H: 28, W: 28, C: 1, O: 32, Win: win(3, 1, 1, 0)}},
	{"keras-conv2", ConvShape{B: 1, H: 12, W: 16, C: 32, O: 64, Win: win(3, 1, 1, 0)}},
	{"winograd-same", ConvShape{B: 3, H: 11, W: 13, C: 16, O: 48, Win: win(3, 1, 1, 1)}},
	{"winograd-odd", ConvShape{B: 2, H: 13, W: 12, C: 48, O: 16, Win: win(3, 1, 1, 0)}},
	{"winograd-asymmetric", ConvShape{B: 2, H: 9, W: 17, C: 32, O: 32, Win: ir.Window{
		KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1, PT: 2, PB: 0, PL: 0, PR: 2,
	}}},
	{"winograd-narrow", ConvShape{B: 40, H: 2, W: 1, C: 16, O: 16, Win: win(3, 1, 1, 1)}},
	{"same", ConvShape{B: 3, H: 11, W: 13, C: 3, O: 17, Win: win(3, 1, 1, 1)}},
	{"same-strides", ConvShape{B: 2, H: 15, W: 17, C: 5, O: 33, Win: win(3, 2, 1, 1)}},
	{"resnet-stem", ConvShape{B: 2, H: 23, W: 21, C: 3, O: 16, Win: win(7, 2, 1, 3)}},
	{"stride-over-kernel", ConvShape{B: 2, H: 11, W: 12, C: 4, O: 6, Win: win(2, 3, 1, 0)}},
	{"dilation", ConvShape{B: 2, H: 14, W: 15, C: 4, O: 9, Win: win(3, 1, 2, 2)}},
	{"dilation-strides", ConvShape{B: 2, H: 17, W: 16, C: 4, O: 7, Win: win(3, 2, 2, 2)}},
	{"dilation-strides-coprime", ConvShape{B: 2, H: 17, W: 19, C: 2, O: 5, Win: win(3, 2, 3, 1)}},
	{"groups", ConvShape{B: 2, H: 9, W: 10, C: 6, O: 9, Win: win(3, 1, 1, 1), Groups: 3}},
	{"groups-strides", ConvShape{B: 2, H: 9, W: 10, C: 20, O: 80, Win: win(3, 2, 1, 1), Groups: 2}},
	{"depthwise", ConvShape{B: 2, H: 9, W: 8, C: 7, O: 7, Win: win(3, 1, 1, 1), Groups: 7}},
	{"depthwise-strides-dilation", ConvShape{B: 3, H: 19, W: 16, C: 45, O: 45, Win: win(3, 2, 2, 1), Groups: 45}},
	{"depthwise-multiplier", ConvShape{B: 2, H: 9, W: 8, C: 5, O: 10, Win: win(3, 1, 1, 1), Groups: 5}},
	{"depthwise-few-columns", ConvShape{B: 9, H: 3, W: 2, C: 16, O: 16, Win: win(2, 1, 1, 1), Groups: 16}},
	{"asymmetric", ConvShape{B: 2, H: 12, W: 9, C: 3, O: 4, Win: ir.Window{
		KH: 2, KW: 5, SH: 3, SW: 1, DH: 1, DW: 2, PT: 0, PB: 2, PL: 3, PR: 4,
	}}},
	{"more-padding-than-kernel", ConvShape{B: 2, H: 4, W: 5, C: 2, O: 3, Win: win(2, 1, 1, 4)}},
	{"even-same", ConvShape{B: 2, H: 8, W: 8, C: 2, O: 3, Win: ir.Window{
		KH: 4, KW: 2, SH: 1, SW: 1, DH: 1, DW: 1, PT: 1, PB: 2, PL: 0, PR: 1,
	}}},
	{"few-columns", ConvShape{B: 37, H: 4, W: 4, C: 6, O: 40, Win: win(3, 1, 1, 1)}},
	{"one-pixel", ConvShape{B: 33, H: 3, W: 3, C: 8, O: 35, Win: win(3, 1, 1, 0)}},
	{"few-columns-groups", ConvShape{B: 21, H: 5, W: 4, C: 4, O: 8, Win: win(3, 2, 1, 1), Groups: 2}},
	{"wide-channels", ConvShape{B: 1, H: 5, W: 9, C: 5, O: 512, Win: win(3, 1, 1, 1)}},
	{"bands", ConvShape{B: 1, H: 60, W: 40, C: 64, O: 1, Win: win(3, 1, 1, 1)}},
}

func TestConv2D(t *testing.T) {
	p := pool.New(2)
	t.Cleanup(p.Close)
	for _, tc := range convShapes {
		s := tc.ConvShape
		s.Groups = max(s.Groups, 1)
		nx, nw, ny := s.sizes()
		rng := rand.New(rand.NewPCG(7, 7))
		in := convInputs{x: random(rng, nx), w: random(rng, nw), dy: random(rng, ny)}
		want := naiveConv(&s, in.x.x, in.w.x, in.dy.x)
		for _, path := range paths() {
			t.Run(tc.name+"/"+path.name, func(t *testing.T) {
				testConv2D(t, newConv2D(p, path, s), &in, &want)
			})
		}
	}
}

type convInputs struct{ x, w, dy guarded }

// testConv2D compares all three functions, with all epilogues, with the exact
// results.
func testConv2D(t *testing.T, plan *Conv2D, in *convInputs, want *convSums) {
	before := [][]float32{slices.Clone(in.x.x), slices.Clone(in.w.x), slices.Clone(in.dy.x)}
	for _, tc := range epilogues {
		checkConv(t, "Forward/"+tc.name, tc, want.y, plan.shape.O, func(c []float32, e *Epilogue) {
			plan.Forward(c, in.x.x, in.w.x, e)
		})
		checkConv(t, "GradInput/"+tc.name, tc, want.dx, plan.shape.C, func(c []float32, e *Epilogue) {
			plan.GradInput(c, in.w.x, in.dy.x, e)
		})
	}
	checkConv(t, "GradWeight", epilogues[0], want.dw, 1, func(c []float32, _ *Epilogue) {
		plan.GradWeight(c, in.x.x, in.dy.x)
	})
	unchanged(t, "x", in.x, before[0])
	unchanged(t, "w", in.w, before[1])
	unchanged(t, "dy", in.dy, before[2])
}

// sums are exact results: sums of products, of their absolute values, and the
// number of terms.
type sums struct {
	sum, abs []float64
	terms    []int
}

func newSums(n int) sums {
	return sums{make([]float64, n), make([]float64, n), make([]int, n)}
}

func (s *sums) add(i int, a, b float32) {
	v := float64(a) * float64(b)
	s.sum[i] += v
	s.abs[i] += math.Abs(v)
	s.terms[i]++
}

// convSums are the results of a convolution and its gradients.
type convSums struct{ y, dx, dw sums }

// naiveConv computes them as ir.Conv2D writes them down.
func naiveConv(s *ConvShape, x, w, dy []float32) convSums {
	nx, nw, ny := s.sizes()
	r := convSums{newSums(ny), newSums(nx), newSums(nw)}
	oh, ow := s.Win.Out(s.H, s.W)
	cg, og := s.C/s.Groups, s.O/s.Groups
	for b := range s.B {
		for i := range oh {
			for j := range ow {
				for p := range s.Win.KH {
					for q := range s.Win.KW {
						row := i*s.Win.SH + p*s.Win.DH - s.Win.PT
						col := j*s.Win.SW + q*s.Win.DW - s.Win.PL
						if row < 0 || row >= s.H || col < 0 || col >= s.W {
							continue
						}
						for o := range s.O {
							iy := ((b*oh+i)*ow+j)*s.O + o
							for c := range cg {
								ix := ((b*s.H+row)*s.W+col)*s.C + o/og*cg + c
								iw := ((p*s.Win.KW+q)*cg+c)*s.O + o
								r.y.add(iy, x[ix], w[iw])
								r.dx.add(ix, dy[iy], w[iw])
								r.dw.add(iw, x[ix], dy[iy])
							}
						}
					}
				}
			}
		}
	}
	return r
}

// checkConv runs one function with one epilogue.
func checkConv(
	t *testing.T, name string, tc epilogueCase, r sums, channels int,
	run func([]float32, *Epilogue),
) {
	t.Helper()
	rng := rand.New(rand.NewPCG(10, 10))
	n := len(r.sum)
	bias, ref, c0 := random(rng, channels), random(rng, n), random(rng, n)
	c := newGuarded(n)
	want, bound := tc.expect(r.sum, r.abs, bias.x, ref.x, c0.x)
	for i := range bound {
		bound[i] *= numtest.Gamma(r.terms[i] + 3)
	}
	if tc.accumulate {
		copy(c.x, c0.x)
	}
	run(c.x, tc.epilogue(bias.x, ref.x))
	numtest.Within(t, c.x, want, bound, whyBound)
	c.intact(t, "result")
	if t.Failed() {
		t.Fatalf("in %s", name)
	}
}

func TestConv2DSameBitsForAnyThreads(t *testing.T) {
	all := pools(t)
	for _, tc := range convShapes {
		s := tc.ConvShape
		s.Groups = max(s.Groups, 1)
		nx, nw, ny := s.sizes()
		rng := rand.New(rand.NewPCG(8, 8))
		x, w, dy := random(rng, nx), random(rng, nw), random(rng, ny)
		var want [3][]float32
		for _, p := range all {
			plan := NewConv2D(p, s)
			got := [3][]float32{newGuarded(ny).x, newGuarded(nx).x, newGuarded(nw).x}
			plan.Forward(got[0], x.x, w.x, nil)
			plan.GradInput(got[1], w.x, dy.x, nil)
			plan.GradWeight(got[2], x.x, dy.x)
			if want[0] == nil {
				want = got
			}
			for i, what := range []string{"Forward", "GradInput", "GradWeight"} {
				sameBits(t, got[i], want[i], fmt.Sprintf("%s: %s with %d threads", tc.name, what, p.Threads()))
			}
		}
	}
}

func TestConv2DAllocs(t *testing.T) {
	p := pool.New(2)
	t.Cleanup(p.Close)
	s := ConvShape{B: 4, H: 12, W: 12, C: 8, O: 16, Win: win(3, 2, 1, 1), Groups: 1}
	nx, nw, ny := s.sizes()
	rng := rand.New(rand.NewPCG(9, 9))
	x, w, dy := random(rng, nx), random(rng, nw), random(rng, ny)
	plan := NewConv2D(p, s)
	e := &Epilogue{Row: rowFunc}
	for name, f := range map[string]func(){
		"Forward":    func() { plan.Forward(dy.x, x.x, w.x, e) },
		"GradInput":  func() { plan.GradInput(x.x, w.x, dy.x, e) },
		"GradWeight": func() { plan.GradWeight(w.x, x.x, dy.x) },
	} {
		if got := testing.AllocsPerRun(10, f); got != 0 {
			t.Errorf("%s allocates %v times, want 0", name, got)
		}
	}
}

// BenchmarkConv2D measures the layers of Keras's mnist_cnn and some others.
func BenchmarkConv2D(b *testing.B) {
	for _, tc := range []struct {
		name string
		ConvShape
	}{
		{"keras-conv1", ConvShape{B: 128, H: 28, W: 28, C: 1, O: 32, Win: win(3, 1, 1, 0)}},
		{"keras-conv2", ConvShape{B: 128, H: 26, W: 26, C: 32, O: 64, Win: win(3, 1, 1, 0)}},
		{"winograd-same", ConvShape{B: 3, H: 11, W: 13, C: 16, O: 48, Win: win(3, 1, 1, 1)}},
		{"winograd-odd", ConvShape{B: 2, H: 13, W: 12, C: 48, O: 16, Win: win(3, 1, 1, 0)}},
		{"winograd-asymmetric", ConvShape{B: 2, H: 9, W: 17, C: 32, O: 32, Win: ir.Window{
			KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1, PT: 2, PB: 0, PL: 0, PR: 2,
		}}},
		{"winograd-narrow", ConvShape{B: 40, H: 2, W: 1, C: 16, O: 16, Win: win(3, 1, 1, 1)}},
		{"same", ConvShape{B: 32, H: 32, W: 32, C: 64, O: 64, Win: win(3, 1, 1, 1)}},
		{"strides", ConvShape{B: 32, H: 32, W: 32, C: 64, O: 128, Win: win(3, 2, 1, 1)}},
		{"rgb", ConvShape{B: 32, H: 32, W: 32, C: 3, O: 32, Win: win(3, 1, 1, 1)}},
		{"deep", ConvShape{B: 64, H: 4, W: 4, C: 256, O: 256, Win: win(3, 1, 1, 1)}},
		{"pointwise", ConvShape{B: 16, H: 16, W: 16, C: 128, O: 256, Win: win(1, 1, 1, 0)}},
		{"depthwise", ConvShape{B: 16, H: 32, W: 32, C: 32, O: 32, Win: win(3, 1, 1, 1), Groups: 32}},
	} {
		p := pool.New(2)
		b.Cleanup(p.Close)
		s := tc.ConvShape
		s.Groups = max(s.Groups, 1)
		nx, nw, ny := s.sizes()
		rng := rand.New(rand.NewPCG(9, 9))
		x, w, y := aligned(rng, nx), aligned(rng, nw), aligned(rng, ny)
		plan := NewConv2D(p, s)
		for _, f := range []struct {
			name string
			run  func()
		}{
			{"forward", func() { plan.Forward(y, x, w, nil) }},
			{"input", func() { plan.GradInput(x, w, y, nil) }},
			{"weight", func() { plan.GradWeight(w, x, y) }},
		} {
			b.Run(tc.name+"/"+f.name, func(b *testing.B) {
				for b.Loop() {
					f.run()
				}
				flop := 2 * float64(ny) * float64(nw/s.O)
				b.ReportMetric(flop*float64(b.N)/b.Elapsed().Seconds()/1e9, "GF/s")
				b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N), "ms")
			})
		}
	}
}
