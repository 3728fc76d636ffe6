package gemm

import "github.com/gespann/gespann/backend/cpu/pool"

// winogradDW is the plan of the gradient of the weights of a convolution that
// winogradFits. The rows of tiles are cut into parts, each with a partial result in
// planes [16][C,O], which are summed in order before they are transformed back.
type winogradDW struct {
	image
	pool         *pool.Pool
	path         *path
	ty, tx       int
	offset       [2]int
	parts, rows  int // parts of all rows of tiles, and rows that are used together
	vLd, yLd     int
	size         int // of a partial result
	workers      []winogradWorker
	dw, src, dy  []float32
	zeros        []float32
	chunkFunc    func(worker, chunk int)
	dropFunc     func(worker, chunk int)
	patchElement int
}

// winogradParts returns how many partial results a gradient of weights may have:
// with too few the threads would wait for each other.
func winogradParts(s *ConvShape) int {
	oh, _ := s.Win.Out(s.H, s.W)
	return min(s.B*ceilDiv(oh, 2), partsMax, winogradPartials/(16*s.C*s.O))
}

const (
	// winogradDWMemory is how many elements of transformed tiles are used together:
	// they are the depth of the products, each of which reads and writes the whole
	// partial result. On a Zen 4 with 1 MiB of second level cache, they take a
	// fifteenth less time than 48 Ki where 32 channels become 64.
	winogradDWMemory = 128 << 10
	// winogradPartials is the most elements of all partial results.
	winogradPartials = 4 << 20
	// winogradPartsMin is the least number of parts with which it pays.
	winogradPartsMin = 4
)

func newWinogradDW(p *pool.Pool, path *path, s *ConvShape) *winogradDW {
	m := forwardImage(s)
	d := &winogradDW{
		image: m, pool: p, path: path, ty: ceilDiv(m.dstH, 2), tx: ceilDiv(m.dstW, 2),
		offset: [2]int{-s.Win.PT, -s.Win.PL}, parts: winogradParts(s),
		vLd: m.c, yLd: m.dstC, size: 16 * m.c * m.dstC,
		workers: make([]winogradWorker, p.Threads()),
	}
	d.zeros = make([]float32, max((m.w+4)*m.c, (m.dstW+2)*m.dstC))
	if aliases(d.vLd) {
		d.vLd += 16
	}
	if aliases(d.yLd) {
		d.yLd += 16
	}
	d.chunkFunc, d.dropFunc = d.chunk, d.drop
	d.rows = max(winogradDWMemory/(16*(d.vLd+d.yLd)*d.tx), 1)
	d.rows = min(d.rows, ceilDiv(m.batch*d.ty, d.parts))
	d.patchElement = 16 * max(m.c, m.dstC)
	p.Reserve(d.parts*d.size, 16*(planeSize(d.rows*d.tx*d.vLd)+planeSize(d.rows*d.tx*d.yLd))+d.patchElement)
	return d
}

// run computes dw.
func (d *winogradDW) run(dw, x, dy []float32) {
	d.dw, d.src, d.dy = dw, x, dy
	d.pool.Run(d.parts, d.chunkFunc)
	d.pool.Run(d.drops(), d.dropFunc)
	d.dw, d.src, d.dy = nil, nil, nil
	clear(d.workers)
}

// chunk computes one part.
func (d *winogradDW) chunk(worker, chunk int) {
	sum := d.pool.Shared()[chunk*d.size:][:d.size]
	from, to := part(chunk, d.parts, d.batch*d.ty, 1)
	for first := from; first < to; first += d.rows {
		d.add(worker, sum, first, min(first+d.rows, to), first > from)
	}
}

// add adds the products of the rows first ≤ r < last of tiles to sum, or with
// them begins it.
func (d *winogradDW) add(worker int, sum []float32, first, last int, more bool) {
	tiles := (last - first) * d.tx
	scratch := d.pool.Local(worker)
	vPlane, yPlane := planeSize(tiles*d.vLd), planeSize(tiles*d.yLd)
	v, scratch := scratch[:16*vPlane], scratch[16*vPlane:]
	y, patch := scratch[:16*yPlane], scratch[16*yPlane:][:d.patchElement]
	own := &d.workers[worker]
	in := lifter{kernel: d.path.lift.lift4, size: 4, h: d.h, w: d.w, c: d.c,
		tx: d.tx, offX: d.offset[1], zeros: d.zeros, patch: patch}
	out := lifter{kernel: d.path.lift.lift2, size: 2, h: d.dstH, w: d.dstW, c: d.dstC,
		tx: d.tx, zeros: d.zeros, patch: patch}
	for r := first; r < last; r++ {
		image, row, tile := r/d.ty, 2*(r%d.ty), (r-first)*d.tx
		in.row(&own.transform, d.src[image*d.h*d.w*d.c:], row+d.offset[0],
			at(v, tile*d.vLd), d.vLd, vPlane)
		out.row(&own.transform, d.dy[image*d.dstH*d.dstW*d.dstC:], row,
			at(y, tile*d.yLd), d.yLd, yPlane)
	}
	own.streams = [3]stream{d.soon(d.src, d.h, d.w*d.c, last), d.soon(d.dy, d.dstH, d.dstW*d.dstC, last)}
	t := &own.tile
	t.k, t.outer, t.flags = tiles, 1, 0
	if more {
		t.flags = flagAccumulate
	}
	t.aRow, t.aK = floatSize, d.vLd*floatSize
	t.bK, t.cRow = d.yLd*floatSize, d.dstC*floatSize
	for plane := range 16 {
		for j := 0; j < d.dstC; j += d.path.width {
			t.cols = min(d.path.width, d.dstC-j)
			kernels := d.path.kernels(d.path.panelWidth(t.cols))
			t.b = at(y, plane*yPlane+j)
			for from, to := range kernels.cover(d.c) {
				t.a = at(v, plane*vPlane+from)
				t.c = at(sum, (plane*d.c+from)*d.dstC+j)
				take(t, own.streams[:])
				kernels[to-from](t)
			}
		}
	}
}

// soon returns what is read of images of so many lines from a row of tiles on.
func (d *winogradDW) soon(images []float32, lines, line, row int) stream {
	from := (row/d.ty*lines + 2*(row%d.ty)) * line
	return soon(images, from, from+2*d.rows*line)
}

// dropRows is the number of input channels whose weights a chunk transforms back.
const dropRows = 4

func (d *winogradDW) drops() int { return ceilDiv(d.c, dropRows) }

// drop adds up the parts for some input channels, and transforms them back.
func (d *winogradDW) drop(worker, chunk int) {
	from, to := chunk*dropRows, min((chunk+1)*dropRows, d.c)
	shared := d.pool.Shared()
	for plane := range 16 {
		lo, hi := (plane*d.c+from)*d.dstC, (plane*d.c+to)*d.dstC
		for p := 1; p < d.parts; p++ {
			d.path.sum(shared[lo:hi], shared[p*d.size+lo:])
		}
	}
	t := &d.workers[worker].transform
	for p := range 3 {
		t.grid[p] = at(d.dw, 3*p*d.tapSize+from*d.dstC)
	}
	t.pixel, t.gridStep = d.tapSize*floatSize, 0
	t.planes, t.plane, t.planesStep = at(shared, from*d.dstC), d.c*d.dstC*floatSize, 0
	t.tiles, t.bytes, t.flags = to-from, d.dstC*floatSize, 0
	d.path.lift.drop3(t)
}
