package gemm

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/gespann/gespann/backend/cpu/pool"
)

// TestRows compares the rows that Rows hands on with the result of a MatMul: the same
// bits, each row once.
func TestRows(t *testing.T) {
	threads := pool.New(2)
	t.Cleanup(threads.Close)
	shapes := append(matmulShapes, [3]int{784, 512, 128}, [3]int{300, 700, 40}, [3]int{1000, 9, 600})
	planned := 0
	for _, s := range shapes {
		in := newMatmulInputs(s)
		for trans := range 4 {
			in := in.transposed(trans&1 != 0, trans&2 != 0)
			for _, path := range paths() {
				rows := Kit{path}.NewRows(threads, in.m, in.n, in.k, in.transA, in.transB)
				if rows == nil {
					continue
				}
				planned++
				want, got := newGuarded(in.m*in.n), newGuarded(in.m*in.n)
				newMatMul(threads, path, in.m, in.n, in.k, in.transA, in.transB).Run(want.x, in.a.x, in.b.x, nil)
				var mu sync.Mutex
				times := make([]int, in.m)
				rows.Use(in.a.x, in.b.x, func(from, to int, c []float32) {
					if len(c) != to-from || from%in.n != 0 || to%in.n != 0 {
						t.Errorf("elements %d to %d of rows of %d, in %d", from, to, in.n, len(c))
					}
					copy(got.x[from:to], c)
					mu.Lock()
					defer mu.Unlock()
					for i := from / in.n; i < to/in.n; i++ {
						times[i]++
					}
				}, [][]float32{in.c0.x})
				name := fmt.Sprintf("%dx%dx%d/trans%d/%s", s[0], s[1], s[2], trans, path.name)
				sameBits(t, got.x, want.x, name)
				for i, n := range times {
					if n != 1 {
						t.Fatalf("%s: row %d is used %d times", name, i, n)
					}
				}
			}
		}
	}
	if want := 100 * len(paths()); planned < want {
		t.Errorf("%d products in rows, want %d", planned, want)
	}
}

// TestRowsShapes checks which products are not computed in rows.
func TestRowsShapes(t *testing.T) {
	threads := pool.New(1)
	t.Cleanup(threads.Close)
	for _, tc := range []struct {
		name    string
		m, n, k int
		planned bool
	}{
		{"a layer", 784, 512, 128, true},
		{"rows too long", 784, rowsWidth + 1, 128, false},
		{"b too large to pack once", 784, 4000, packMax/4000 + 1, false},
		{"partial sums", 16, 16, 1 << 16, false},
	} {
		if got := (Kit{}).NewRows(threads, tc.m, tc.n, tc.k, true, false) != nil; got != tc.planned {
			t.Errorf("%s: planned is %v, want %v", tc.name, got, tc.planned)
		}
	}
}

func TestRowsAllocs(t *testing.T) {
	threads := pool.New(2)
	t.Cleanup(threads.Close)
	rng := rand.New(rand.NewPCG(3, 3))
	a, b, c := random(rng, 64*300), random(rng, 64*200), random(rng, 300*200)
	rows := Kit{}.NewRows(threads, 300, 200, 64, true, false)
	near, use := [][]float32{c.x}, func(from, to int, x []float32) { copy(c.x[from:to], x) }
	if got := testing.AllocsPerRun(20, func() { rows.Use(a.x, b.x, use, near) }); got != 0 {
		t.Errorf("Use allocates %v times, want 0", got)
	}
}
