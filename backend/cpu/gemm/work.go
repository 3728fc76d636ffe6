package gemm

import "unsafe"

// work is one chunk of a product: rows i0 ≤ i < i1, columns j0 ≤ j < j1 and
// k0 ≤ k < k1, with result dst [m,n].
type work struct {
	*MatMul
	tile                   *tile
	scratch                []float32
	i0, i1, j0, j1, k0, k1 int
	dst                    []float32
	epi                    Epilogue
}

// run computes the chunk.
func (w *work) run() {
	depth := ceilDiv(w.k1-w.k0, kcMax)
	for d := range depth {
		from, to := part(d, depth, w.k1-w.k0, kUnit)
		from, to = from+w.k0, to+w.k0
		w.tile.k, w.tile.outer = to-from, 1
		flags := 0
		if d > 0 || w.epi.Accumulate {
			flags = flagAccumulate
		}
		if d == depth-1 {
			flags |= w.epi.flags()
		}
		w.tile.flags = flags
		w.slab(from, to)
	}
	if w.epi.Row != nil {
		w.epi.rows(w.dst, w.n, w.i0, w.i1, w.j0, w.j1)
	}
}

// slab adds the product over k0 ≤ k < k1 to the chunk.
func (w *work) slab(k0, k1 int) {
	a, ld := w.block(k0, k1)
	t := w.tile
	t.aRow, t.aK = ld*floatSize, floatSize
	if w.transA {
		t.aRow, t.aK = t.aK, t.aRow
	}
	t.cRow = w.n * floatSize
	for j := w.j0; j < w.j1; j += w.path.width {
		w.panel(a, j, k0, k1)
	}
}

// block returns the address and row length of the chunk's block of a.
func (w *work) block(k0, k1 int) (a unsafe.Pointer, ld int) {
	if w.transA {
		return at(w.a, k0*w.aLd+w.i0), w.aLd
	}
	from := w.i0*w.aLd + k0
	if w.copying != copyBlock {
		return at(w.a, from), w.aLd
	}
	buf := w.scratch[w.panelSize(w.path):]
	copyRows(buf, w.aLdBlock, w.a[from:], w.aLd, w.i1-w.i0, k1-k0)
	return at(buf, 0), w.aLdBlock
}

// panel computes the panel of columns from j on.
func (w *work) panel(a unsafe.Pointer, j, k0, k1 int) {
	t := w.tile
	t.cols = min(w.path.width, w.n-j)
	width := w.path.panelWidth(t.cols)
	kernels := w.path.kernels(width)
	t.bK = width * floatSize
	switch {
	case w.packing:
		t.b = at(w.packed(j), k0*width)
	case w.bInPlace(w.i1-w.i0, t.cols):
		t.b, t.bK = at(w.b, k0*w.n+j), w.n*floatSize
	default:
		w.path.packB(w.scratch, w.b, w.ldB(), w.transB, k0, k1-k0, j, t.cols, width)
		t.b = at(w.scratch, 0)
	}
	if w.epi.Bias != nil {
		t.bias = at(w.epi.Bias, j)
	}
	rows := w.i1 - w.i0
	n := kernels.tiles(rows)
	next := w.ahead(j, k0, k1)
	for i := range n {
		t.next, t.nextStep = next.line(i), next.step
		from, to := part(i, n, rows, 1)
		t.a = unsafe.Add(a, from*t.aRow)
		t.c = at(w.dst, (w.i0+from)*w.n+j)
		if w.epi.Ref != nil {
			t.ref = at(w.epi.Ref, (w.i0+from)*w.n+j)
		}
		kernels[to-from](t)
	}
}
