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
	const rows = 128
	for _, tc := range []struct {
		name                  string
		n, k                  int
		transB                bool
		j0, j1, k1            int // of the chunk
		j, p0, p1             int // the panel
		nextJ, nextP0, nextP1 int // the next one, no rows when there is none
	}{
		{"in the chunk", 16000, 40, false, 32, 96, 40, 32, 0, 40, 64, 0, 40},
		{"in the next slab", 8000, 80, false, 32, 96, 80, 64, 0, 40, 32, 40, 80},
		{"in the chunk of the next turn", 16000, 40, false, 32, 96, 40, 64, 0, 40, 160, 0, 40},
		{"unaligned", 16011, 40, false, 32, 96, 40, 32, 0, 40, 64, 0, 40},
		{"after the last", 16000, 40, false, 15936, 16000, 40, 15968, 0, 40, 0, 0, 0},
		{"small", 320, 40, false, 32, 96, 40, 32, 0, 40, 0, 0, 0},
		{"transposed", 16000, 48, true, 32, 96, 48, 32, 0, 48, 64, 0, 48},
		{"transposed, in the first slab", 8000, 96, true, 32, 96, 96, 32, 0, 48, 64, 0, 96},
		{"transposed, before the next slab", 8000, 96, true, 32, 96, 96, 64, 0, 48, 32, 48, 48},
		{"transposed, in the next slab", 8000, 96, true, 32, 96, 96, 32, 48, 96, 64, 48, 48},
		{"transposed, before the next chunk", 8000, 96, true, 32, 96, 96, 64, 48, 96, 160, 0, 96},
		{"transposed, a part of k", 8000, 96, true, 32, 96, 48, 32, 0, 48, 64, 0, 0},
		{"transposed, too much", 8000, 96, true, 32, 3200, 96, 32, 0, 48, 64, 0, 0},
	} {
		for _, path := range paths() {
			if path.width != 32 {
				continue
			}
			b := aligned(rand.New(rand.NewPCG(1, 1)), tc.n*tc.k)
			g := newMatMul(threads, path, rows, tc.n, tc.k, false, tc.transB)
			g.packing = false
			g.b = b
			w := work{MatMul: g, i1: rows, j0: tc.j0, j1: tc.j1, k1: tc.k1}
			asked := map[uintptr]bool{}
			next := w.ahead(tc.j, tc.p0, tc.p1)
			for i := range path.kernels(path.width).tiles(rows) {
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

// TestStreams checks that kernels ask for each line of a stream, and then of the next.
func TestStreams(t *testing.T) {
	s := make([]float32, 1000)
	at0 := uintptr(at(s, 0))
	for _, tc := range []struct{ from, to, first, end int }{
		{-5, 20, 0, 20}, {980, 1200, 980, 1000}, {20, 20, 0, 0}, {1000, 1100, 0, 0}, {-9, -3, 0, 0},
	} {
		want := stream{at0 + uintptr(tc.first*floatSize), at0 + uintptr(tc.end*floatSize)}
		if tc.first == tc.end {
			want = stream{}
		}
		if got := soon(s, tc.from, tc.to); got != want {
			t.Errorf("soon from %d to %d = %v, want %v", tc.from, tc.to, got, want)
		}
	}
	streams := []stream{{at0, at0 + 5*lineSize}, {}, {at0 + 640, at0 + 650}}
	kernel := tile{k: 3}
	for i, want := range []uintptr{at0, at0 + 3*lineSize, at0 + 640, 0, 0} {
		if take(&kernel, streams); kernel.next != want || kernel.nextStep != lineSize {
			t.Errorf("kernel %d asks for %#x and every %d bytes, want %#x and every line",
				i, kernel.next, kernel.nextStep, want)
		}
	}
}

// TestWinogradStreams compares the streams of chunks with what the chunks read and write.
func TestWinogradStreams(t *testing.T) {
	threads := pool.New(1)
	t.Cleanup(threads.Close)
	s := ConvShape{B: 3, H: 11, W: 13, C: 16, O: 48, Win: win(3, 1, 1, 1), Groups: 1}
	w := newWinograd(threads, generic(), forwardImage(&s), -1, -1)
	w.rows = 2
	w.src, w.dst = make([]float32, 3*11*13*16), make([]float32, 3*11*13*48)
	for _, tc := range []struct{ row, from, to, first, end int }{ // lines of all images
		{0, 0, 5, 0, 4}, {2, 3, 9, 4, 8}, {6, 10, 16, 11, 15}, {16, 29, 33, 30, 33}, {18, 32, 33, 0, 0},
	} {
		if got, want := w.source(tc.row), soon(w.src, tc.from*13*16, tc.to*13*16); got != want {
			t.Errorf("source of row %d is %v, want %v", tc.row, got, want)
		}
		if got, want := w.target(w.dst, tc.row, 2), soon(w.dst, tc.first*13*48, tc.end*13*48); got != want {
			t.Errorf("target of row %d is %v, want %v", tc.row, got, want)
		}
	}
	d := newWinogradDW(threads, generic(), &s)
	d.rows = 2
	if got, want := d.soon(w.dst, 11, 13*48, 8), soon(w.dst, 15*13*48, 19*13*48); got != want {
		t.Errorf("dy of row 8 is %v, want %v", got, want)
	}
}
