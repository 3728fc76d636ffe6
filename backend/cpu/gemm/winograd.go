package gemm

import (
	"unsafe"

	"github.com/gespann/gespann/backend/cpu/pool"
)

// Convolutions of 3 by 3 taps go through Winograd's minimal algorithm F(2×2,3×3):
// tiles of 2 by 2 outputs, which overlapping tiles d of 4 by 4 inputs give, take
// 16 multiplications per pair of channels instead of 36:
//
//	y  = Aᵀ[ (G·g·Gᵀ) ⊙ (Bᵀ·d·B) ]A        summed over the input channels
//	dw = Gᵀ[ (Bᵀ·d·B) ⊙ (A·dy·Aᵀ) ]G       summed over the tiles
//
// With the 16 elements of transformed tiles in 16 planes, the products ⊙ are 16
// products of matrices. The transforms only add, so an output errs by a few
// roundings of the largest inputs of its tile more than a plain sum does.
//
// Source: Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR
// 2016.

// winogradTiles is the least number of tiles for which it pays to transform the
// weights. Estimate.
const winogradTiles = 32

// winogradMemory is how many elements of transformed tiles a chunk of a convolution may
// have: they and the weights stay in a second level cache. On a Zen 4 with 1 MiB, 24 to
// 96 Ki are alike, and 192 Ki are slower where there are few channels.
const winogradMemory = 48 << 10

// winogradFits reports whether the algorithm applies.
func winogradFits(path *path, s *ConvShape) bool {
	oh, ow := s.Win.Out(s.H, s.W)
	w := s.Win
	return w.KH == 3 && w.KW == 3 && w.SH == 1 && w.SW == 1 && w.DH == 1 && w.DW == 1 &&
		s.Groups == 1 && s.C%path.lift.lanes == 0 && s.O%path.lift.lanes == 0 &&
		w.PT >= 0 && w.PL >= 0 && w.PT <= 2 && w.PL <= 2 &&
		s.B*ceilDiv(oh, 2)*ceilDiv(ow, 2) >= winogradTiles
}

// winograd is the plan of a convolution or of the gradient of its input, which is a
// convolution with flipped and transposed weights.
type winograd struct {
	image
	pool   *pool.Pool
	path   *path
	ty, tx int // tiles of an image
	offset [2]int
	rows   int // of tiles in a chunk
	vLd    int // row length of the transformed inputs
	panels int

	workers              []winogradWorker
	dst, src, weights    []float32
	epi                  Epilogue
	pooled               bool      // see winogradpool.go
	arg                  []int32   // where the maxima are; nil: not wanted
	zeros                []float32 // a row of source pixels
	packFunc, chunkFunc  func(worker, chunk int)
	liftedSize, patchLen int
}

// winogradWorker has the arguments of the kernels that a worker calls.
type winogradWorker struct {
	tile      tile
	transform transform
	streams   [3]stream // see ahead.go
}

func newWinograd(p *pool.Pool, path *path, m image, offY, offX int) *winograd {
	return planWinograd(p, path, m, offY, offX, false)
}

// planWinograd is newWinograd, with a pooling behind it if it is pooled.
func planWinograd(p *pool.Pool, path *path, m image, offY, offX int, pooled bool) *winograd {
	w := &winograd{
		image: m, pool: p, path: path, offset: [2]int{offY, offX}, pooled: pooled,
		ty: ceilDiv(m.dstH, 2), tx: ceilDiv(m.dstW, 2),
		vLd: m.c, panels: ceilDiv(m.dstC, path.width),
		workers: make([]winogradWorker, p.Threads()),
		zeros:   make([]float32, (m.w+4)*max(m.c, m.dstC)),
	}
	if pooled {
		w.ty, w.tx = m.dstH/2, m.dstW/2
	}
	if aliases(m.c) {
		w.vLd += 16
	}
	w.packFunc, w.chunkFunc = w.pack, w.chunk
	all := m.batch * w.ty
	w.rows = max(winogradMemory/(16*(w.vLd+m.dstC)*w.tx), 1)
	w.rows = min(w.rows, ceilDiv(all, min(chunksWanted, all)))
	tiles := w.rows * w.tx
	w.patchLen = 16 * max(m.c, m.dstC)
	w.liftedSize = 16 * m.c * w.panels * path.width
	weights := 0
	if m.transposed {
		weights = 9 * m.c * m.dstC
	}
	p.Reserve(w.liftedSize+weights,
		16*(planeSize(tiles*w.vLd)+planeSize(tiles*m.dstC))+2*w.patchLen+m.dstW*m.dstC)
	return w
}

// run computes the target.
func (w *winograd) run(dst, src, weights []float32, e *Epilogue) {
	w.dst, w.src, w.weights = dst, src, weights
	w.epi = e.checked(w.batch*w.dstH*w.dstW*w.dstC, w.dstC)
	if w.transposed {
		w.transposeWeights()
	}
	w.pool.Run(w.panels, w.packFunc)
	w.pool.Run(ceilDiv(w.batch*w.ty, w.rows), w.chunkFunc)
	w.dst, w.src, w.weights, w.epi = nil, nil, nil, Epilogue{}
	clear(w.workers)
}

// transposeWeights makes weights [3,3,c,dstC] of flipped taps in shared memory.
func (w *winograd) transposeWeights() {
	flipped := w.pool.Shared()[w.liftedSize:]
	for tap := range 9 {
		to, from := flipped[(8-tap)*w.tapSize:], w.weights[tap*w.tapSize:]
		w.path.packTransposed(to, from, w.c, w.c, w.dstC, w.dstC)
	}
	w.weights = flipped
}

// pack transforms the weights of one panel of target channels: planes [16] of
// panels of [c,width].
func (w *winograd) pack(worker, panel int) {
	j := panel * w.path.width
	cols := min(w.path.width, w.dstC-j)
	width := w.path.panelWidth(cols)
	t := &w.workers[worker].transform
	for p := range 3 {
		t.grid[p] = at(w.weights, 3*p*w.tapSize+j)
	}
	t.pixel, t.gridStep = w.tapSize*floatSize, (w.dstC-cols)*floatSize
	t.planes, t.planesStep = at(w.pool.Shared(), j*w.c), (width-cols)*floatSize
	t.plane = w.weightPlane() * floatSize
	t.tiles, t.bytes = w.c, cols*floatSize
	w.path.lift.lift3(t)
}

// weightPlane is the size of a plane of transformed weights.
func (w *winograd) weightPlane() int { return w.c * w.panels * w.path.width }

// planeSize returns how far apart planes of n elements are: an odd number of cache
// lines, so that the 16 planes of a tile do not compete for the same sets.
func planeSize(n int) int { return (ceilDiv(n, 16) | 1) * 16 }

// chunk computes some rows of tiles: transforms their inputs, multiplies, and
// transforms back.
func (w *winograd) chunk(worker, chunk int) {
	first := chunk * w.rows
	rows := min(w.rows, w.batch*w.ty-first)
	tiles := rows * w.tx
	scratch := w.pool.Local(worker)
	vPlane, mPlane := planeSize(tiles*w.vLd), planeSize(tiles*w.dstC)
	v, scratch := scratch[:16*vPlane], scratch[16*vPlane:]
	m, scratch := scratch[:16*mPlane], scratch[16*mPlane:]
	own := &w.workers[worker]
	t := &own.transform
	in := lifter{kernel: w.path.lift.lift4, size: 4, h: w.h, w: w.w, c: w.c,
		tx: w.tx, offX: w.offset[1], zeros: w.zeros, patch: scratch[:w.patchLen]}
	for r := range rows {
		image, y := (first+r)/w.ty, (first+r)%w.ty
		in.row(t, w.src[image*w.h*w.w*w.c:], 2*y+w.offset[0], at(v, r*w.tx*w.vLd), w.vLd, vPlane)
	}
	own.streams = [3]stream{w.source(first + rows*len(w.workers)), w.target(w.epi.Ref, first, rows),
		w.target(w.dst, first, rows)}
	w.multiply(&own.tile, m, v, tiles, own.streams[:])
	for r := range rows {
		if w.pooled {
			w.finishPooled(t, m[r*w.tx*w.dstC:], mPlane, first+r)
		} else {
			w.finish(t, m[r*w.tx*w.dstC:], mPlane, first+r, scratch)
		}
	}
}

// source returns what the chunk reads whose first row of tiles is row.
func (w *winograd) source(row int) stream {
	line := w.w * w.c
	from := (row/w.ty*w.h + 2*(row%w.ty) + w.offset[0]) * line
	return soon(w.src, from, from+(2*w.rows+2)*line)
}

// target returns what is behind some rows of tiles in an image like the target.
func (w *winograd) target(image []float32, row, rows int) stream {
	if w.pooled {
		return stream{}
	}
	line := w.dstW * w.dstC
	from := (row/w.ty*w.dstH + 2*(row%w.ty)) * line
	return soon(image, from, from+2*rows*line)
}

// multiply computes the 16 products m = v·weights, and asks for the streams meanwhile.
func (w *winograd) multiply(t *tile, m, v []float32, tiles int, streams []stream) {
	t.k, t.outer, t.flags = w.c, 1, 0
	t.aRow, t.aK, t.cRow = w.vLd*floatSize, floatSize, w.dstC*floatSize
	lifted := w.pool.Shared()
	vPlane, mPlane := planeSize(tiles*w.vLd), planeSize(tiles*w.dstC)
	for plane := range 16 {
		for j := 0; j < w.dstC; j += w.path.width {
			t.cols = min(w.path.width, w.dstC-j)
			width := w.path.panelWidth(t.cols)
			kernels := w.path.kernels(width)
			t.b, t.bK = at(lifted, plane*w.weightPlane()+j*w.c), width*floatSize
			for from, to := range kernels.cover(tiles) {
				t.a = at(v, plane*vPlane+from*w.vLd)
				t.c = at(m, plane*mPlane+from*w.dstC+j)
				take(t, streams)
				kernels[to-from](t)
			}
		}
	}
}

// finish transforms a row of tiles back, with the epilogue. Tiles that reach
// beyond the target go through scratch memory.
func (w *winograd) finish(t *transform, m []float32, plane, row int, scratch []float32) {
	image, y := row/w.ty, row%w.ty
	first := (image*w.dstH + 2*y) * w.dstW * w.dstC
	rowSize := w.dstW * w.dstC
	t.flags = w.epi.flags()
	if w.epi.Accumulate {
		t.flags |= flagAccumulate
	}
	t.planes, t.plane, t.planesStep = at(m, 0), plane*floatSize, 0
	t.bytes, t.pixel, t.gridStep = w.dstC*floatSize, w.dstC*floatSize, w.dstC*floatSize
	t.bias = t.planes
	if w.epi.Bias != nil {
		t.bias = at(w.epi.Bias, 0)
	}
	second := 2*y+1 < w.dstH
	t.grid[0], t.grid[1] = at(w.dst, first), at(scratch, 2*w.patchLen)
	if second {
		t.grid[1] = at(w.dst, first+rowSize)
	}
	t.ref = [2]unsafe.Pointer{t.grid[0], t.grid[1]}
	if w.epi.Ref != nil {
		t.ref[0] = at(w.epi.Ref, first)
		if second {
			t.ref[1] = at(w.epi.Ref, first+rowSize)
		}
	}
	if t.tiles = w.dstW / 2; t.tiles > 0 {
		w.path.lift.drop2(t)
	}
	if w.dstW%2 != 0 {
		w.finishLast(t, m, first, second, scratch[:w.patchLen])
	}
	if w.epi.Row != nil {
		pixels := w.dstW
		if second {
			pixels *= 2
		}
		w.epi.rows(w.dst, w.dstC, first/w.dstC, first/w.dstC+pixels, 0, w.dstC)
	}
}

// finishLast transforms the last tile of a row, of which only the first column is
// there.
func (w *winograd) finishLast(t *transform, m []float32, first int, second bool, patch []float32) {
	n := w.dstC
	last := first + (w.dstW-1)*n
	for i := range 2 {
		if i == 1 && !second {
			break
		}
		copy(patch[2*i*n:][:n], w.dst[last+i*w.dstW*n:])
		if w.epi.Ref != nil {
			copy(patch[(4+2*i)*n:][:n], w.epi.Ref[last+i*w.dstW*n:])
		}
	}
	t.planes, t.tiles = at(m, (w.tx-1)*n), 1
	t.grid[0], t.grid[1] = at(patch, 0), at(patch, 2*n)
	t.ref = [2]unsafe.Pointer{at(patch, 4*n), at(patch, 6*n)}
	w.path.lift.drop2(t)
	copy(w.dst[last:], patch[:n])
	if second {
		copy(w.dst[last+w.dstW*n:], patch[2*n:3*n])
	}
}

// lifter transforms rows of tiles of an image.
type lifter struct {
	kernel       func(*transform)
	size         int // of a tile
	h, w, c      int
	tx, offX     int // tiles, and the first column of the first
	zeros, patch []float32
}

// row transforms the tiles whose first row is y of the image: planes so many
// elements apart, each with rows of ld.
func (l *lifter) row(t *transform, img []float32, y int, planes unsafe.Pointer, ld, plane int) {
	t.bytes, t.plane = l.c*floatSize, plane*floatSize
	t.planesStep = (ld - l.c) * floatSize
	from := min(ceilDiv(max(-l.offX, 0), 2), l.tx)      // first tile inside
	to := max(min((l.w-l.size-l.offX)/2+1, l.tx), from) // first beyond
	if l.w-l.size-l.offX < 0 {
		to = from
	}
	if to > from {
		for i := range l.size {
			t.grid[i] = at(l.zeros, 0)
			if r := y + i; r >= 0 && r < l.h {
				t.grid[i] = at(img, (r*l.w+2*from+l.offX)*l.c)
			}
		}
		t.pixel, t.gridStep = l.c*floatSize, l.c*floatSize
		t.planes, t.tiles = unsafe.Add(planes, from*ld*floatSize), to-from
		l.kernel(t)
	}
	for x := range l.tx {
		if x < from || x >= to {
			l.edge(t, img, y, x, unsafe.Add(planes, x*ld*floatSize))
		}
	}
}

// edge transforms one tile that reaches beyond the image.
func (l *lifter) edge(t *transform, img []float32, y, x int, planes unsafe.Pointer) {
	n := l.size
	left := 2*x + l.offX
	for i := range n {
		row := l.patch[i*n*l.c:][:n*l.c]
		if r := y + i; r >= 0 && r < l.h {
			padRow(row, img[r*l.w*l.c:], left, left+n, l.w, l.c)
		} else {
			clear(row)
		}
		t.grid[i] = at(row, 0)
	}
	t.pixel, t.gridStep = l.c*floatSize, 0
	t.planes, t.tiles = planes, 1
	l.kernel(t)
}
