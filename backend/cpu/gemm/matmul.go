package gemm

import (
	"fmt"
	"unsafe"

	"github.com/gespann/gespann/backend/cpu/pool"
)

// MatMul is a plan for products of one shape.
//
//	c = epilogue(op(a)·op(b))
//
// Shapes: c [m,n]; op(a) [m,k], stored [k,m] with transA; op(b) [k,n], stored
// [n,k] with transB; all dense and row-major. The same inputs give the same bits
// for any number of threads.
//
// The result is cut into chunks of rows and column panels, when k is long also
// into ranges of k whose partial results are summed in order. A worker packs a
// panel of b into its own scratch memory, at most kcMax rows of it at a time,
// and runs it past all rows of its chunk. a is read in place, unless its row
// length makes it alias or it is transposed and many panels pass it.
type MatMul struct {
	grid
	pool           *pool.Pool
	path           *path
	m, n, k        int
	transA, transB bool

	workers []tile
	// Arguments of the current Run.
	c, a, b []float32
	aLd     int
	epi     Epilogue
	partial []float32 // [splits-1][m·n]
	// Arguments of Rows.Use, else nil.
	use  func(from, to int, c []float32)
	near [][]float32
	// Prebuilt, so that Run does not allocate.
	shareFunc, packFunc, chunkFunc, sumFunc func(worker, chunk int)
}

// NewMatMul plans products of the given shape on p; m, n, k ≥ 1.
func NewMatMul(p *pool.Pool, m, n, k int, transA, transB bool) *MatMul {
	return newMatMul(p, best(), m, n, k, transA, transB)
}

func newMatMul(p *pool.Pool, path *path, m, n, k int, transA, transB bool) *MatMul {
	return gridMatMul(p, path, m, n, k, transA, transB, planMatMul(path, m, n, k, transA))
}

// gridMatMul is newMatMul on a given grid.
func gridMatMul(p *pool.Pool, path *path, m, n, k int, transA, transB bool, cut grid) *MatMul {
	g := &MatMul{
		pool: p, path: path, m: m, n: n, k: k, transA: transA, transB: transB, grid: cut,
		workers: make([]tile, p.Threads()),
	}
	g.shareFunc, g.packFunc, g.chunkFunc, g.sumFunc = g.shareChunk, g.packChunk, g.chunk, g.sumChunk
	p.Reserve(g.sharedSize(m, n), g.localSize(path))
	return g
}

// Run computes one product; e may be nil. c must not overlap the others. It
// allocates nothing.
func (g *MatMul) Run(c, a, b []float32, e *Epilogue) {
	if len(c) < g.m*g.n {
		panic(fmt.Sprintf("gemm: invariant: product [%d,%d] to %d elements", g.m, g.n, len(c)))
	}
	g.compute(c, a, b, e)
}

// compute is Run, with no c for Use.
func (g *MatMul) compute(c, a, b []float32, e *Epilogue) {
	if len(a) < g.m*g.k || len(b) < g.k*g.n {
		panic(fmt.Sprintf("gemm: invariant: product [%d,%d] of depth %d of %d and %d elements",
			g.m, g.n, g.k, len(a), len(b)))
	}
	g.c, g.a, g.b, g.aLd = c, a, b, g.k
	if g.transA {
		g.aLd = g.m
	}
	g.epi = e.checked(g.m*g.n, g.n)
	if g.copying == copyOnce {
		g.pool.Run(shareChunks, g.shareFunc)
		g.a, g.aLd = g.pool.Shared(), g.sharedLd
	}
	if g.packing {
		g.pool.Run(ceilDiv(g.n, g.path.width), g.packFunc)
	}
	g.partial = g.pool.Shared()[g.sharedA+g.sharedB:]
	g.pool.Run(g.blocks*g.groups*g.splits, g.chunkFunc)
	if g.splits > 1 {
		g.pool.Run(ceilDiv(g.m, sumRows), g.sumFunc)
	}
	g.c, g.a, g.b, g.epi, g.partial = nil, nil, nil, Epilogue{}, nil
	clear(g.workers)
}

// shareChunk copies a part of a to shared memory: some k of its strips, or some rows
// with a length that does not alias.
func (g *MatMul) shareChunk(_, chunk int) {
	to := g.pool.Shared()
	if !g.strips {
		i0, i1 := part(chunk, shareChunks, g.m, 1)
		copyRows(to[i0*g.sharedLd:], g.sharedLd, g.a[i0*g.k:], g.k, i1-i0, g.k)
		return
	}
	k0, k1 := part(chunk, shareChunks, g.k, 1)
	for block := range g.blocks {
		i0, i1 := part(block, g.blocks, g.m, 1)
		g.copyStrips(to[i0*g.k:], g.k, k0, i0, i1, k0, k1)
	}
}

// copyStrips copies rows i0 ≤ i < i1 and k0 ≤ k < k1 of a transposed a to strips in dst
// that are so deep, from their k = first on.
func (g *MatMul) copyStrips(dst []float32, depth, first, i0, i1, k0, k1 int) {
	if k0 == k1 {
		return
	}
	for from, to := range g.path.tall.cover(i1 - i0) {
		rows := to - from
		g.path.packStrip(dst[from*depth+first*rows:], g.a[k0*g.m+i0+from:], g.m, k1-k0, rows)
	}
}

// packed returns the panel of b packed in shared memory whose first column is j.
func (g *MatMul) packed(j int) []float32 { return g.pool.Shared()[g.sharedA+j*g.k:] }

// packChunk packs one panel of b to shared memory, or those at its end.
func (g *MatMul) packChunk(_, chunk int) {
	from := chunk * g.path.width
	for j := from; j < min(from+g.path.width, g.n); {
		cols := g.path.nextPanel(g.n - j)
		g.path.packB(g.packed(j), g.b, g.ldB(), g.transB, 0, g.k, j, cols, g.path.panelWidth(cols))
		j += cols
	}
}

// ldB is the row length of b.
func (g *MatMul) ldB() int {
	if g.transB {
		return g.k
	}
	return g.n
}

// chunk computes one block of rows, one group of panels and one range of k.
func (g *MatMul) chunk(worker, chunk int) {
	group, rest := chunk%g.groups, chunk/g.groups
	block, split := rest%g.blocks, rest/g.blocks
	w := work{MatMul: g, tile: &g.workers[worker], scratch: g.pool.Local(worker)}
	w.i0, w.i1 = part(block, g.blocks, g.m, 1)
	w.j0, w.j1 = part(group, g.groups, g.n, g.path.width)
	w.k0, w.k1 = part(split, g.splits, g.k, kUnit)
	w.dst, w.epi = g.c, g.epi
	if g.use != nil {
		w.useRows()
		return
	}
	if g.splits > 1 {
		w.epi = Epilogue{}
		if split > 0 {
			w.dst = g.partial[(split-1)*g.m*g.n:]
		} else {
			w.epi.Accumulate = g.epi.Accumulate
		}
	}
	w.run()
}

// useRows computes whole rows in scratch memory, and hands them on.
func (w *work) useRows() {
	from, to := w.i0*w.n, w.i1*w.n
	w.first, w.dst = w.i0, w.scratch[w.panelSize(w.path)+w.aBlock:][:to-from]
	for i, x := range w.near {
		w.streams[i] = soon(x, from, to)
	}
	w.run()
	w.use(from, to, w.dst)
}

// sumChunk adds up the partial results of a few rows, in order, and finishes them.
func (g *MatMul) sumChunk(worker, chunk int) {
	i0 := chunk * sumRows
	i1 := min(i0+sumRows, g.m)
	for s := range g.splits - 1 {
		from := s*g.m*g.n + i0*g.n
		g.path.sum(g.c[i0*g.n:i1*g.n], g.partial[from:])
	}
	g.epi.finish(g.c, g.n, i0, i1, 0, g.n)
}

// sum adds src to dst.
func (p *path) sum(dst, src []float32) {
	whole := len(dst) / p.lanes * p.lanes
	if whole > 0 {
		p.addTo(unsafe.SliceData(dst), unsafe.SliceData(src), whole)
	}
	for i := whole; i < len(dst); i++ {
		dst[i] += src[i]
	}
}
