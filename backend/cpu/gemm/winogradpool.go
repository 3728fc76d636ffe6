package gemm

import (
	"fmt"
	"unsafe"
)

// A tile of Winograd's algorithm is a window of a max pooling of 2 by 2, so that such
// a pooling after a convolution is the largest output of each tile: the result of the
// convolution, four times as large, is never written.

// Pools reports whether ForwardPooled applies.
func (c *Conv2D) Pools() bool {
	oh, ow := c.shape.Win.Out(c.shape.H, c.shape.W)
	return winogradFits(c.path, &c.shape) && oh > 1 && ow > 1
}

// ForwardPooled computes the maxima y [B,OH/2,OW/2,O] of blocks of 2 by 2 elements of
// what Forward computes, and unless arg is nil where they are, as ir.MaxPool documents
// it: with the bits of Forward and a pooling behind it. An odd row or column at the end
// is left out. It is for where Pools is true; e, which may be nil, has neither Row nor
// Ref and does not accumulate. It allocates nothing after the first call.
func (c *Conv2D) ForwardPooled(y []float32, arg []int32, x, w []float32, e *Epilogue) {
	s := &c.shape
	g := c.planPooled()
	nx, nw, _ := s.sizes()
	size := s.B * g.ty * g.tx * s.O
	if len(x) < nx || len(w) < nw || len(y) < size || arg != nil && len(arg) < size {
		panic(fmt.Sprintf("gemm: invariant: pooled convolution %+v on %d, %d, %d, %d elements",
			s, len(x), len(w), len(y), len(arg)))
	}
	if e != nil && (e.Row != nil || e.Ref != nil || e.Accumulate) {
		panic("gemm: invariant: epilogue of a pooled convolution")
	}
	g.arg = arg
	g.run(y, x, w, e)
	g.arg = nil
}

// finishPooled transforms a row of tiles back to maxima, with the epilogue.
func (w *winograd) finishPooled(t *transform, m []float32, plane, row int) {
	y := row % w.ty
	first := row * w.tx * w.dstC
	t.flags = w.epi.flags()
	t.planes, t.plane, t.planesStep = at(m, 0), plane*floatSize, 0
	t.bytes, t.gridStep, t.tiles = w.dstC*floatSize, w.dstC*floatSize, w.tx
	t.bias = t.planes
	if w.epi.Bias != nil {
		t.bias = at(w.epi.Bias, 0)
	}
	t.grid[0] = at(w.dst, first)
	if w.arg != nil {
		t.flags |= flagArg
		t.arg = unsafe.Pointer(&w.arg[first])
	}
	line := w.dstW * w.dstC
	t.index = 2 * y * line * floatSize
	t.apart = [3]int32{int32(w.dstC), int32(line), int32(line + w.dstC)}
	w.path.lift.dropMax(t)
}
