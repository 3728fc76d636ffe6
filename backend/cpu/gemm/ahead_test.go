package gemm

import (
	"math/rand/v2"
	"testing"

	"github.com/gespann/gespann/backend/cpu/pool"
)

// TestAhead checks that kernels ask for every element of the panel that comes next.
func TestAhead(t *testing.T) {
	threads := pool.New(2)
	t.Cleanup(threads.Close)
	for _, tc := range []struct {
		name                  string
		n, k                  int
		transB                bool
		j0, j1, k1            int // of the chunk
		j, p0, p1             int // the panel
		nextJ, nextP0, nextP1 int // the next one, no rows when there is none
	}{
		{"in the chunk", 320, 40, false, 32, 96, 40, 32, 0, 40, 64, 0, 40},
		{"in the next slab", 320, 80, false, 32, 96, 80, 64, 0, 40, 32, 40, 80},
		{"in the chunk of the next turn", 320, 40, false, 32, 96, 40, 64, 0, 40, 160, 0, 40},
		{"unaligned", 331, 40, false, 32, 96, 40, 32, 0, 40, 64, 0, 40},
		{"after the last", 320, 40, false, 256, 320, 40, 288, 0, 40, 0, 0, 0},
		{"transposed", 320, 48, true, 32, 96, 48, 32, 0, 48, 64, 0, 48},
		{"transposed and cut", 320, 96, true, 32, 96, 96, 32, 0, 48, 0, 0, 0},
	} {
		for _, path := range paths() {
			if path.width != 32 {
				continue
			}
			b := aligned(rand.New(rand.NewPCG(1, 1)), tc.n*tc.k)
			g := newMatMul(threads, path, 128, tc.n, tc.k, false, tc.transB)
			g.packing = false
			g.b = b
			w := work{MatMul: g, i1: 128, j0: tc.j0, j1: tc.j1, k1: tc.k1}
			asked := map[uintptr]bool{}
			next := w.ahead(tc.j, tc.p0, tc.p1)
			for i := range path.kernels(path.width).tiles(128) {
				if line := next.line(i); line != 0 {
					for p := range tc.p1 - tc.p0 {
						asked[(line+uintptr(p*next.step))/lineSize] = true
					}
				}
			}
			if tc.nextP0 == tc.nextP1 && len(asked) > 0 {
				t.Errorf("%s: asks for %d lines, want none", tc.name, len(asked))
			}
			for p := tc.nextP0; p < tc.nextP1; p++ {
				for j := tc.nextJ; j < tc.nextJ+path.width; j++ {
					element := p*tc.n + j
					if tc.transB {
						element = j*tc.k + p
					}
					if !asked[uintptr(at(b, element))/lineSize] {
						t.Fatalf("%s: does not ask for row %d of column %d", tc.name, p, j)
					}
				}
			}
		}
	}
}
