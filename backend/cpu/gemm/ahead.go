package gemm

// Packing a panel of b waits for memory when b is not in the cache, as weights are not
// that an update has just written; Winograd's transforms wait for images. So kernels ask
// for what comes next while they compute. On a Zen 4, the three forward products of a
// perceptron 784-1000-2000-1000-10 take a tenth less time then, and so do convolutions of
// 3 by 3 taps and their gradients.

const (
	// lineSize is the size of a cache line in bytes.
	lineSize = 64
	// aheadMin is the least size of a b that kernels ask for. Smaller ones stay in the
	// caches from one step to the next, and asking takes a hundredth of the time.
	aheadMin = 512 << 10
	// slabsMax is the most elements of b that a chunk asks for before its second slab.
	slabsMax = 128 << 10
)

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
// columns from j on, or as good as: see rowsAhead and columnsAhead.
func (w *work) ahead(j, k0, k1 int) ahead {
	if w.packing || w.k*w.n < aheadMin {
		return ahead{}
	}
	depth := k1 - k0
	j += w.path.width
	if j >= w.j1 {
		j = w.j0
		if k0 = k1; k0 == w.k1 { // chunks are handed out in order
			j, k0 = w.j0+len(w.workers)*(w.j1-w.j0), w.k0
		}
	}
	switch {
	case j >= w.n:
		return ahead{}
	case w.transB:
		return w.columnsAhead(j, k0, depth)
	}
	return w.rowsAhead(j, k0)
}

// rowsAhead returns the panel from row k0 and column j on: lines next to each other, one
// for each tile.
func (w *work) rowsAhead(j, k0 int) ahead {
	size := w.path.width * floatSize
	return ahead{uintptr(at(w.b, k0*w.n+j)), lineSize, w.n * floatSize, size/lineSize + 1}
}

// columnsAhead returns the panel of columns from j on of a transposed b, which is a run of
// memory if the chunk has all k. The first slab asks for the others as well, as all fit in
// the second level cache. Each tile takes depth lines.
func (w *work) columnsAhead(j, k0, depth int) ahead {
	run := w.path.width * w.k * floatSize
	if w.k1-w.k0 < w.k || k0 > w.k0 || (w.j1-w.j0)*w.k > slabsMax {
		return ahead{}
	}
	asked := depth * lineSize
	return ahead{uintptr(at(w.b, j*w.k)), asked, lineSize, ceilDiv(run, asked)}
}

// stream is a run of memory that is wanted soon, of which each kernel asks for as many
// lines as it is deep.
type stream struct{ at, end uintptr }

// soon returns the stream of s[from:to], cut to what there is.
func soon(s []float32, from, to int) stream {
	from, to = max(from, 0), min(to, len(s))
	if from >= to {
		return stream{}
	}
	first := uintptr(at(s, from))
	return stream{first, first + uintptr((to-from)*floatSize)}
}

// take lets a tile ask for the next part of the first stream that has one.
func take(t *tile, streams []stream) {
	t.next, t.nextStep = 0, lineSize
	for i := range streams {
		if s := &streams[i]; s.at < s.end {
			t.next = s.at
			s.at += uintptr(t.k * lineSize)
			return
		}
	}
}
