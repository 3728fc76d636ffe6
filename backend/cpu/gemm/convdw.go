package gemm

import (
	"github.com/gespann/gespann/backend/cpu/pool"
)

const (
	// partsMax is the most partial sums of a weight gradient over the batch.
	partsMax = 16
	// dyBand is the number of elements of dy that are used again and again
	// while they are in a first level cache of 32 KiB.
	dyBand = 6 << 10
)

// convDW is the plan of the gradient of the weights:
//
//	dw[p,q,c,o] = Σ_{b,i,j} x[b, i·SH+p·DH−PT, j·SW+q·DW−PL, c]·dy[b,i,j,o]
//
// For fixed p it is a product of matrices of depth B·OH·OW; the elements (q,c) of
// x are adjacent. The batch is cut into parts, with a partial result each, which
// are summed in order.
type convDW struct {
	image
	pool *pool.Pool
	path *path
	phase
	parts, groupsOfPanels int
	images                int // per visit
	size                  int // of dw
	copySize, panelSize   int // of a worker's scratch

	workers            []tile
	dw, src, dy        []float32
	chunkFunc, sumFunc func(worker, chunk int)
}

func newConvDW(p *pool.Pool, path *path, s *ConvShape) *convDW {
	d := &convDW{
		image: forwardImage(s), pool: p, path: path, phase: forwardPhases(s)[0],
		workers: make([]tile, p.Threads()),
	}
	d.chunkFunc, d.sumFunc = d.chunk, d.sumChunk
	_, d.size, _ = s.sizes()
	d.parts = min(s.B, partsMax, max(partialMax/d.size, 1))
	d.groupsOfPanels = min(ceilDiv(chunksWanted, d.parts), d.panels())
	if pixels := d.y.n * d.x.n; pixels < 64 {
		d.images = min(ceilDiv(s.B, d.parts), ceilDiv(256, pixels))
	}
	d.images = max(d.images, 1)
	if !d.inPlace() {
		d.copySize = d.images * d.h * d.rowSize()
	}
	d.panelSize = d.images * d.bandRows() * d.x.n * path.width
	p.Reserve((d.parts-1)*d.size, d.copySize+d.panelSize)
	return d
}

// width is the number of output channels of a panel.
func (d *convDW) width() int {
	if d.depthwise() {
		return d.path.eachWidth
	}
	return d.path.width
}

// panelsOfGroup is the number of panels of a group, or of all groups where
// each is a channel.
func (d *convDW) panelsOfGroup() int {
	if d.depthwise() {
		return ceilDiv(d.dstC, d.width())
	}
	return ceilDiv(d.cout(), d.width())
}

// panels is the number of panels of output channels.
func (d *convDW) panels() int {
	if d.depthwise() {
		return d.panelsOfGroup()
	}
	return d.panelsOfGroup() * d.groups
}

// rowSize is the length of a row of x with zeros left and right.
func (d *convDW) rowSize() int {
	from, to := d.x.extent(0, d.x.n)
	return (to - from) * d.c
}

// inPlace reports whether x needs no zeros.
func (d *convDW) inPlace() bool {
	from, to := d.x.extent(0, d.x.n)
	return from >= 0 && to <= d.w
}

// bandRows is the number of rows of dy that are used together.
func (d *convDW) bandRows() int {
	if d.images > 1 {
		return d.y.n
	}
	return min(max(dyBand/(d.x.n*d.path.width), 1), d.y.n)
}

// run computes dw.
func (d *convDW) run(dw, x, dy []float32) {
	d.dw, d.src, d.dy = dw, x, dy
	d.pool.Run(d.parts*d.groupsOfPanels, d.chunkFunc)
	if d.parts > 1 {
		d.pool.Run(ceilDiv(d.size, sumFloats), d.sumFunc)
	}
	d.dw, d.src, d.dy = nil, nil, nil
	clear(d.workers)
}

// sumFloats is the number of elements of a chunk that sums partial results.
const sumFloats = 4096

// sumChunk adds up some elements of the partial results, in order.
func (d *convDW) sumChunk(_, chunk int) {
	from, to := chunk*sumFloats, min((chunk+1)*sumFloats, d.size)
	for s := range d.parts - 1 {
		d.path.sum(d.dw[from:to], d.pool.Shared()[s*d.size+from:])
	}
}

// chunk computes some panels of one part of the batch.
func (d *convDW) chunk(worker, chunk int) {
	p, q := chunk/d.groupsOfPanels, chunk%d.groupsOfPanels
	v := visit{convDW: d, tile: &d.workers[worker], scratch: d.pool.Local(worker), dst: d.dw}
	if p > 0 {
		v.dst = d.pool.Shared()[(p-1)*d.size:]
	}
	v.p0, v.p1 = part(q, d.groupsOfPanels, d.panels(), 1)
	v.clear()
	b0, b1 := part(p, d.parts, d.batch, 1)
	for b := b0; b < b1; b += d.images {
		v.b0, v.b1 = b, min(b+d.images, b1)
		v.load()
		for i := 0; i < d.y.n; i += d.bandRows() {
			v.i0, v.i1 = i, min(i+d.bandRows(), d.y.n)
			for panel := v.p0; panel < v.p1; panel++ {
				v.panel(panel)
			}
		}
	}
}

// visit adds the products of a few images to dst.
type visit struct {
	*convDW
	tile               *tile
	scratch, dst       []float32
	p0, p1             int // panels, counted through all groups
	b0, b1             int // images
	i0, i1             int // rows of dy
	rows               []float32
	imageSize, rowSize int
	firstCol           int
}

// channels returns the group and the output channels of a panel.
func (d *convDW) channels(panel int) (group, from, cols int) {
	group, i := panel/d.panelsOfGroup(), panel%d.panelsOfGroup()
	size := d.cout()
	if d.depthwise() {
		size = d.dstC
	}
	from = i * d.width()
	cols = min(d.width(), size-from)
	return group, group*size + from, cols
}

// clear sets the chunk's part of dst to zero.
func (v *visit) clear() {
	for panel := v.p0; panel < v.p1; panel++ {
		_, from, cols := v.channels(panel)
		for at := from; at < v.size; at += v.dstC {
			clear(v.dst[at : at+cols])
		}
	}
}

// load finds or copies the images.
func (v *visit) load() {
	if v.inPlace() {
		v.rowSize, v.imageSize = v.w*v.c, v.h*v.w*v.c
		v.rows = v.src[v.b0*v.imageSize:]
		return
	}
	left, right := v.x.extent(0, v.x.n)
	v.firstCol, v.rowSize = left, v.convDW.rowSize()
	v.imageSize = v.h * v.rowSize
	v.rows = v.scratch[v.panelSize:]
	for i := range (v.b1 - v.b0) * v.h {
		padRow(v.rows[i*v.rowSize:][:v.rowSize], v.src[(v.b0*v.h+i)*v.w*v.c:], left, right, v.w, v.c)
	}
}

// padRow copies the pixels left ≤ j < right of a row of w pixels of c channels,
// zeros for those outside it.
func padRow(dst, row []float32, left, right, w, c int) {
	from, to := max(left, 0), min(right, w)
	if to <= from {
		clear(dst)
		return
	}
	clear(dst[:(from-left)*c])
	copy(dst[(from-left)*c:], row[from*c:to*c])
	clear(dst[(to-left)*c:])
}

// panel adds one panel's products with the rows i0 ≤ i < i1 of dy.
func (v *visit) panel(panel int) {
	group, from, cols := v.channels(panel)
	t := v.tile
	t.cols, t.flags = cols, flagAccumulate
	dy, dyImage, kernels := v.columns(from)
	bRow := v.x.n * t.bK / floatSize
	taps := len(v.x.taps)
	for p := range v.y.taps {
		i0, i1 := v.reach(p)
		if i0 >= i1 {
			continue
		}
		m := mover{
			kernels: kernels, i0: i0, i1: i1,
			x: (i0*v.y.move+p*v.y.dilate+v.y.offset)*v.rowSize +
				(v.x.offset-v.firstCol)*v.c + group*v.cin(),
			dy: dy[(i0-v.i0)*bRow:], dyImage: dyImage,
			dw: p*taps*v.tapSize + from, step: 1,
		}
		switch {
		case v.depthwise():
			m.x += from
			m.step = v.x.dilate * v.c
			v.add(&m, taps)
		case v.groups == 1 && v.x.dilate == 1:
			v.add(&m, taps*v.c)
		default:
			for range taps {
				v.add(&m, v.cin())
				m.x += v.x.dilate * v.c
				m.dw += v.tapSize
			}
		}
	}
}

// columns returns the tile's columns of dy, the channels from from on of the rows
// i0 ≤ i < i1: in place or packed, with the distance between images, and their
// kernels. It sets the tile's bK.
func (v *visit) columns(from int) (dy []float32, dyImage int, k kernels) {
	t := v.tile
	dy, dyImage = v.dy[(v.b0*v.y.n+v.i0)*v.x.n*v.dstC:], v.y.n*v.x.n*v.dstC
	t.bK = v.dstC * floatSize
	if v.depthwise() {
		return dy[from:], dyImage, v.path.each
	}
	width := v.path.panelWidth(t.cols)
	k = v.path.kernels(width)
	if v.dyInPlace(t.cols) {
		return dy[from:], dyImage, k
	}
	pixels := (v.i1 - v.i0) * v.x.n
	for b := range v.b1 - v.b0 {
		v.path.packB(v.scratch[b*pixels*width:], dy[b*dyImage:], v.dstC, false,
			0, pixels, from, t.cols, width)
	}
	t.bK = width * floatSize
	return v.scratch, pixels * width, k
}

// reach returns the rows i0 ≤ i < i1 of dy for which tap p is inside x.
func (v *visit) reach(p int) (i0, i1 int) {
	first := p*v.y.dilate + v.y.offset // row of x for i = 0
	i0, i1 = v.i0, v.i1
	if first < 0 {
		i0 = max(i0, ceilDiv(-first, v.y.move))
	}
	return i0, min(i1, max(ceilDiv(v.h-first, v.y.move), 0))
}

// mover is a product to add: where it starts in x, dy and dw, and the distance of
// its rows in x.
type mover struct {
	kernels     kernels
	i0, i1      int
	x, step, dw int
	dy          []float32
	dyImage     int
}

// add adds the products of so many rows of x with dy: over the pixels of a row of
// dy, and then over either the rows of an image or the images.
func (v *visit) add(m *mover, rows int) {
	t := v.tile
	pixel, bRow := v.x.move*v.c, v.x.n*t.bK/floatSize
	outer := stride{m.i1 - m.i0, v.y.move * v.rowSize, bRow}
	around := stride{v.b1 - v.b0, v.imageSize, m.dyImage}
	if outer.n < around.n {
		outer, around = around, outer
	}
	t.aRow, t.aK = m.step*floatSize, pixel*floatSize
	t.k, t.outer = v.x.n, outer.n
	t.aOuter = (outer.src - v.x.n*pixel) * floatSize
	t.bOuter = (outer.dst - bRow) * floatSize
	t.cRow = v.dstC * floatSize
	for o := range around.n {
		t.b = at(m.dy, o*around.dst)
		for from, to := range m.kernels.cover(rows) {
			t.a = at(v.rows, m.x+o*around.src+from*m.step)
			t.c = at(v.dst, m.dw+from*v.dstC)
			m.kernels[to-from](t)
		}
	}
}
