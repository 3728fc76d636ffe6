package gemm

// Packing a panel of b waits for memory when b is not in the cache, as weights are not
// that an update has just written. So kernels ask for the next panel while they compute
// one. In a step of a perceptron 784-1000-2000-1000-10 its three forward products take
// a tenth less time then, on a Zen 4.

// lineSize is the size of a cache line in bytes.
const lineSize = 64

// ahead is memory that is wanted soon: a line every step bytes for each tile, the first
// of which begin tile bytes apart.
type ahead struct {
	at         uintptr
	tile, step int
	tiles      int // that have something to ask for
}

// line returns where tile i begins, 0 for nowhere.
func (a *ahead) line(i int) uintptr {
	if i >= a.tiles {
		return 0
	}
	return a.at + uintptr(i*a.tile)
}

// ahead returns the part of b that is packed after rows k0 ≤ k < k1 of the panel of
// columns from j on. Rows of a panel are lines next to each other, one for each tile.
// Columns, when b is transposed, are a run of memory if they are not cut, of which each
// tile takes as many lines as there are rows.
func (w *work) ahead(j, k0, k1 int) ahead {
	if w.packing {
		return ahead{}
	}
	switch {
	case j+w.path.width < w.j1:
		j += w.path.width
	case k1 < w.k1:
		j, k0 = w.j0, k1
	default: // chunks are handed out in order
		j, k0 = w.j0+len(w.workers)*(w.j1-w.j0), w.k0
	}
	size := w.path.width * floatSize
	switch {
	case j >= w.n:
		return ahead{}
	case !w.transB:
		return ahead{uintptr(at(w.b, k0*w.n+j)), lineSize, w.n * floatSize, size/lineSize + 1}
	case k1-k0 == w.k:
		return ahead{uintptr(at(w.b, j*w.k)), w.k * lineSize, lineSize, ceilDiv(size, lineSize)}
	}
	return ahead{}
}
