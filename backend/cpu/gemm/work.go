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
	first                  int // row of the product that dst begins with
	epi                    Epilogue
	streams                [nearMax]stream // of what Rows brings near
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
	a := w.block(k0, k1)
	w.tile.cRow = w.n * floatSize
	for j := w.j0; j < w.j1; j += w.tile.cols {
		w.tile.cols = w.path.nextPanel(w.n - j)
		w.panel(a, j, k0, k1)
	}
}

// block is where a chunk finds its rows of op(a), from some k on: rows of ld elements in
// a or its copy; columns of a, ld elements apart; or strips of depth ld, from k0 on.
type block struct {
	at              unsafe.Pointer
	ld, k0          int
	columns, strips bool
}

// tile says where the kernel reads rows from ≤ i < to.
func (a *block) tile(t *tile, from, to int) {
	switch {
	case a.strips:
		t.aRow, t.aK = floatSize, (to-from)*floatSize
		t.a = unsafe.Add(a.at, (from*a.ld+a.k0*(to-from))*floatSize)
	case a.columns:
		t.aRow, t.aK = floatSize, a.ld*floatSize
		t.a = unsafe.Add(a.at, from*floatSize)
	default:
		t.aRow, t.aK = a.ld*floatSize, floatSize
		t.a = unsafe.Add(a.at, from*a.ld*floatSize)
	}
}

// block returns the chunk's block of a, copied if it is to be.
func (w *work) block(k0, k1 int) block {
	buf := w.scratch[w.panelSize(w.path):]
	switch {
	case w.copying == copyBlock && w.strips:
		w.copyStrips(buf, k1-k0, 0, w.i0, w.i1, k0, k1)
		return block{at: at(buf, 0), ld: k1 - k0, strips: true}
	case w.copying == copyBlock:
		copyRows(buf, w.aLdBlock, w.a[w.i0*w.aLd+k0:], w.aLd, w.i1-w.i0, k1-k0)
		return block{at: at(buf, 0), ld: w.aLdBlock}
	case w.strips:
		return block{at: at(w.a, w.i0*w.aLd), ld: w.aLd, k0: k0, strips: true}
	case w.transA:
		return block{at: at(w.a, k0*w.aLd+w.i0), ld: w.aLd, columns: true}
	}
	return block{at: at(w.a, w.i0*w.aLd+k0), ld: w.aLd}
}

// panel computes a panel, the columns of the tile from j on.
func (w *work) panel(a block, j, k0, k1 int) {
	t := w.tile
	width := w.path.panelWidth(t.cols)
	kernels := w.path.kernels(width)
	t.bK = width * floatSize
	switch {
	case w.packing:
		t.b = at(w.packed(j), k0*width)
	case w.bInPlace(w.i1-w.i0, t.cols):
		t.b, t.bK = at(w.b, k0*w.n+j), w.n*floatSize
	case w.packsOnTheWay(t.cols):
		t.b, t.bK = at(w.b, k0*w.n+j), w.n*floatSize
		t.pack = at(w.scratch, 0)
	default:
		w.path.packB(w.scratch, w.b, w.ldB(), w.transB, k0, k1-k0, j, t.cols, width)
		t.b = at(w.scratch, 0)
	}
	if w.epi.Bias != nil {
		t.bias = at(w.epi.Bias, j)
	}
	next := w.ahead(j, k0, k1)
	tiles := kernels
	if w.strips {
		tiles = w.path.tall // as the strips were cut
	}
	i := 0
	for from, to := range tiles.cover(w.i1 - w.i0) {
		switch {
		case t.pack != nil: // asks for nothing
		case w.use != nil:
			take(t, w.streams[:])
		default:
			t.next, t.nextStep = next.line(i), next.step
			i++
		}
		a.tile(t, from, to)
		t.c = at(w.dst, (w.i0-w.first+from)*w.n+j)
		if w.epi.Ref != nil {
			t.ref = at(w.epi.Ref, (w.i0+from)*w.n+j)
		}
		kernels[to-from](t)
		if t.pack != nil {
			t.b, t.bK, t.pack = t.pack, width*floatSize, nil
		}
	}
}
