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

// Edge shapes: 1, odd, prime, around the sizes of tiles and panels, with row
// lengths that alias, and larger than the blocks in each direction.
var matmulShapes = [][3]int{
	{1, 1, 1}, {1, 1, 7}, {1, 32, 5}, {1, 33, 300}, {2, 3, 5}, {3, 4, 4}, {5, 7, 11}, {7, 15, 1},
	{4, 16, 16}, {6, 17, 31}, {13, 10, 64}, {14, 32, 3}, {15, 31, 17}, {16, 64, 512}, {29, 33, 65},
	{31, 47, 37}, {43, 63, 129}, {64, 1, 64}, {97, 101, 103}, {128, 10, 512},
	{30, 52, 70}, {20, 23, 300}, {40, 500, 33}, {515, 40, 20}, {15, 290, 1024}, {7, 33, 2100}, {70, 100, 400}, {64, 40, 1024},
}

func TestMatMul(t *testing.T) {
	workers := pool.New(2)
	t.Cleanup(workers.Close)
	for _, s := range matmulShapes {
		in := newMatmulInputs(s)
		for trans := range 4 {
			in := in.transposed(trans&1 != 0, trans&2 != 0)
			for _, path := range paths() {
				name := fmt.Sprintf("%dx%dx%d/trans%d/%s", s[0], s[1], s[2], trans, path.name)
				t.Run(name, func(t *testing.T) { testMatMul(t, workers, path, in) })
			}
		}
	}
}

// matmulInputs are the inputs of a product, and the exact result.
type matmulInputs struct {
	m, n, k             int
	transA, transB      bool
	a, b, bias, ref, c0 guarded
	sum, abs            []float64
}

func newMatmulInputs(s [3]int) *matmulInputs {
	m, n, k := s[0], s[1], s[2]
	rng := rand.New(rand.NewPCG(1, uint64(m*n*k)))
	in := &matmulInputs{
		m: m, n: n, k: k, a: random(rng, m*k), b: random(rng, k*n),
		bias: random(rng, n), ref: random(rng, m*n), c0: random(rng, m*n),
	}
	in.sum, in.abs = naive(in.a.x, in.b.x, m, n, k)
	return in
}

// transposed returns the same product of transposed matrices.
func (in matmulInputs) transposed(a, b bool) *matmulInputs {
	in.transA, in.transB = a, b
	if a {
		in.a = transpose(in.a, in.m, in.k)
	}
	if b {
		in.b = transpose(in.b, in.k, in.n)
	}
	return &in
}

// transpose returns the transpose of x [m,n].
func transpose(x guarded, m, n int) guarded {
	y := newGuarded(m * n)
	for i := range m {
		for j := range n {
			y.x[j*m+i] = x.x[i*n+j]
		}
	}
	return y
}

func testMatMul(t *testing.T, p *pool.Pool, path *path, in *matmulInputs) {
	m, n, k, a, b, ref := in.m, in.n, in.k, in.a, in.b, in.ref
	plan := newMatMul(p, path, m, n, k, in.transA, in.transB)
	beforeA, beforeB, beforeRef := slices.Clone(a.x), slices.Clone(b.x), slices.Clone(ref.x)
	for _, tc := range epilogues {
		c := newGuarded(m * n)
		want, bound := tc.expect(in.sum, in.abs, in.bias.x, ref.x, in.c0.x)
		for i := range bound {
			bound[i] *= numtest.Gamma(k + 3)
		}
		if tc.accumulate {
			copy(c.x, in.c0.x)
		}
		plan.Run(c.x, a.x, b.x, tc.epilogue(in.bias.x, ref.x))
		numtest.Within(t, c.x, want, bound, whyBound)
		c.intact(t, tc.name+": c")
		if t.Failed() {
			t.Fatalf("with epilogue %s", tc.name)
		}
	}
	unchanged(t, "a", a, beforeA)
	unchanged(t, "b", b, beforeB)
	unchanged(t, "ref", ref, beforeRef)
	in.bias.intact(t, "bias")
}

// naive returns a·b in float64, and the same of the absolute values.
func naive(a, b []float32, m, n, k int) (sum, abs []float64) {
	sum, abs = make([]float64, m*n), make([]float64, m*n)
	for i := range m {
		for p := range k {
			x := float64(a[i*k+p])
			for j, y := range b[p*n : (p+1)*n] {
				v := x * float64(y)
				sum[i*n+j] += v
				abs[i*n+j] += math.Abs(v)
			}
		}
	}
	return sum, abs
}

func TestMatMulSameBitsForAnyThreads(t *testing.T) {
	all := pools(t)
	for _, path := range paths() {
		for _, s := range matmulShapes {
			m, n, k := s[0], s[1], s[2]
			rng := rand.New(rand.NewPCG(2, 2))
			a, b := random(rng, m*k), random(rng, k*n)
			var want []float32
			for _, p := range all {
				got := newGuarded(m * n)
				newMatMul(p, path, m, n, k, true, false).Run(got.x, a.x, b.x, nil)
				if want == nil {
					want = got.x
				}
				sameBits(t, got.x, want, fmt.Sprintf("%s %v with %d threads", path.name, s, p.Threads()))
			}
		}
	}
}

// TestMatMulNaN checks that epilogues do not swallow a NaN.
func TestMatMulNaN(t *testing.T) {
	p := pool.New(1)
	t.Cleanup(p.Close)
	nan := float32(math.NaN())
	for _, path := range paths() {
		c := []float32{0, 0}
		newMatMul(p, path, 1, 2, 1, false, false).Run(c, []float32{nan}, []float32{1, 2},
			&Epilogue{Act: ir.ReLU})
		if c[0] == c[0] || c[1] == c[1] {
			t.Errorf("%s: relu(NaN) = %v, want NaN", path.name, c)
		}
	}
}

// TestMatMulInvariants checks that misuse panics instead of reading elsewhere.
func TestMatMulInvariants(t *testing.T) {
	p := pool.New(1)
	t.Cleanup(p.Close)
	plan := NewMatMul(p, 2, 3, 4, false, false)
	c, a, b := make([]float32, 6), make([]float32, 8), make([]float32, 12)
	for name, run := range map[string]func(){
		"short c":    func() { plan.Run(c[:5], a, b, nil) },
		"short a":    func() { plan.Run(c, a[:7], b, nil) },
		"short b":    func() { plan.Run(c, a, b[:11], nil) },
		"short bias": func() { plan.Run(c, a, b, &Epilogue{Bias: c[:2]}) },
		"short ref":  func() { plan.Run(c, a, b, &Epilogue{Act: ir.ReLU, Ref: a[:5]}) },
		"no Row":     func() { plan.Run(c, a, b, &Epilogue{Act: ir.Tanh}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			run()
		}()
	}
}

func TestMatMulAllocs(t *testing.T) {
	p := pool.New(2)
	t.Cleanup(p.Close)
	rng := rand.New(rand.NewPCG(3, 3))
	for _, s := range [][3]int{{16, 64, 512}, {16, 16, 2048}, {64, 300, 512}} {
		a, b, c := random(rng, s[0]*s[2]), random(rng, s[2]*s[1]), newGuarded(s[0]*s[1])
		plan := NewMatMul(p, s[0], s[1], s[2], false, false)
		e := &Epilogue{Row: rowFunc}
		if got := testing.AllocsPerRun(20, func() { plan.Run(c.x, a.x, b.x, e) }); got != 0 {
			t.Errorf("%v: Run allocates %v times, want 0", s, got)
		}
	}
}

// BenchmarkMatMul measures the products of a training step of the 784-512-512-10
// perceptron at batch 128, and square ones.
func BenchmarkMatMul(b *testing.B) {
	for _, threads := range []int{1, 2} {
		p := pool.New(threads)
		b.Cleanup(p.Close)
		for _, path := range paths() {
			for _, s := range []struct {
				m, n, k        int
				transA, transB bool
			}{
				{128, 512, 784, false, false}, {128, 512, 512, false, false}, {128, 10, 512, false, false},
				{128, 512, 10, false, true}, {128, 512, 512, false, true},
				{784, 512, 128, true, false}, {512, 512, 128, true, false}, {512, 10, 128, true, false},
				{128, 128, 9216, false, false}, {128, 9216, 128, false, true}, {9216, 128, 128, true, false},
				{1, 512, 784, false, false}, {1024, 1024, 1024, false, false},
			} {
				name := fmt.Sprintf("%s/threads%d/%dx%dx%d", path.name, threads, s.m, s.n, s.k)
				if s.transA {
					name += "T"
				}
				if s.transB {
					name += "/T"
				}
				b.Run(name, func(b *testing.B) {
					rng := rand.New(rand.NewPCG(4, 4))
					x, y, c := aligned(rng, s.m*s.k), aligned(rng, s.k*s.n), aligned(rng, s.m*s.n)
					plan := newMatMul(p, path, s.m, s.n, s.k, s.transA, s.transB)
					for b.Loop() {
						plan.Run(c, x, y, nil)
					}
					flop := 2 * float64(s.m) * float64(s.n) * float64(s.k)
					b.ReportMetric(flop*float64(b.N)/b.Elapsed().Seconds()/1e9, "GF/s")
				})
			}
		}
	}
}
