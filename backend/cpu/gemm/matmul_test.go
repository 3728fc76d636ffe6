package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend/cpu/pool"
)

// Edge shapes: 1, odd, prime, around the sizes of tiles and panels, with row
// lengths that alias, and larger than the blocks in each direction.
var matmulShapes = [][3]int{
	{1, 1, 1}, {1, 1, 7}, {1, 32, 5}, {1, 33, 300}, {2, 3, 5}, {3, 4, 4}, {5, 7, 11}, {7, 15, 1},
	{4, 16, 16}, {6, 17, 31}, {13, 10, 64}, {14, 32, 3}, {15, 31, 17}, {16, 64, 512}, {29, 33, 65},
	{31, 47, 37}, {43, 63, 129}, {64, 1, 64}, {97, 101, 103}, {128, 10, 512}, {17, 300, 1030},
	{70, 290, 512}, {515, 40, 20}, {33, 9, 2100},
}

func TestMatMul(t *testing.T) {
	workers := pool.New(2)
	t.Cleanup(workers.Close)
	for _, path := range paths() {
		for _, s := range matmulShapes {
			for trans := range 4 {
				name := fmt.Sprintf("%s/%dx%dx%d/trans%d", path.name, s[0], s[1], s[2], trans)
				t.Run(name, func(t *testing.T) {
					testMatMul(t, workers, path, s, trans&1 != 0, trans&2 != 0)
				})
			}
		}
	}
}

func testMatMul(t *testing.T, p *pool.Pool, path *path, s [3]int, transA, transB bool) {
	m, n, k := s[0], s[1], s[2]
	rng := rand.New(rand.NewPCG(1, uint64(m*n*k)))
	a, b := random(rng, m*k), random(rng, k*n)
	bias, ref, c0 := random(rng, n), random(rng, m*n), random(rng, m*n)
	sum, abs := naive(a.x, b.x, m, n, k, transA, transB)
	plan := newMatMul(p, path, m, n, k, transA, transB)
	beforeA, beforeB, beforeRef := slices.Clone(a.x), slices.Clone(b.x), slices.Clone(ref.x)
	for _, tc := range epilogues {
		c := newGuarded(m * n)
		want, bound := tc.expect(sum, abs, bias.x, ref.x, c0.x)
		for i := range bound {
			bound[i] *= gamma(k + 3)
		}
		if tc.accumulate {
			copy(c.x, c0.x)
		}
		plan.Run(c.x, a.x, b.x, tc.epilogue(bias.x, ref.x))
		within(t, c.x, want, bound)
		c.intact(t, tc.name+": c")
		if t.Failed() {
			t.Fatalf("with epilogue %s", tc.name)
		}
	}
	unchanged(t, "a", a, beforeA)
	unchanged(t, "b", b, beforeB)
	unchanged(t, "ref", ref, beforeRef)
	bias.intact(t, "bias")
}

// naive returns op(a)·op(b) in float64, and the same of the absolute values.
func naive(a, b []float32, m, n, k int, transA, transB bool) (sum, abs []float64) {
	sum, abs = make([]float64, m*n), make([]float64, m*n)
	for i := range m {
		for p := range k {
			x := a[i*k+p]
			if transA {
				x = a[p*m+i]
			}
			for j := range n {
				y := float32(0)
				if transB {
					y = b[j*k+p]
				} else {
					y = b[p*n+j]
				}
				v := float64(x) * float64(y)
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
			&Epilogue{Act: epilogues[3].act})
		if c[0] == c[0] || c[1] == c[1] {
			t.Errorf("%s: relu(NaN) = %v, want NaN", path.name, c)
		}
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
