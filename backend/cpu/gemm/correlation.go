package gemm

import (
	"unsafe"

	"github.com/gespann/gespann/backend/cpu/pool"
)

const (
	// bandMax is the most elements of a copy of source rows: half of a second
	// level cache of 1 MiB, so that the weights fit as well.
	bandMax = 128 << 10
	// tileColumns is the number of target columns below which tiles are made of
	// the same column of several images instead.
	tileColumns = 8
	// imagesMax is the most images of such a tile.
	imagesMax = 28
)

// correlation is the plan that computes all phases of a target.
type correlation struct {
	image
	pool   *pool.Pool
	path   *path
	phases []phase
	panels []convPanel
	jobs   []convJob

	workers   []tile
	dst, src  []float32
	weights   []float32
	epi       Epilogue
	packFunc  func(worker, chunk int)
	chunkFunc func(worker, chunk int)
}

// convPanel is a panel of target channels of one group and phase, with the place
// of its packed weights [taps y][taps x][cin][width] in shared memory.
type convPanel struct {
	phase, group int
	from, cols   int // channels within the group
	width, at    int
}

// convJob is a chunk: rows of a phase in some images.
type convJob struct {
	phase, b0, b1, i0, i1 int
}

func newCorrelation(p *pool.Pool, path *path, m image, phases []phase) *correlation {
	c := &correlation{
		image: m, pool: p, path: path, phases: phases,
		workers: make([]tile, p.Threads()),
	}
	c.packFunc, c.chunkFunc = c.pack, c.chunk
	shared := c.planPanels()
	p.Reserve(shared, c.planJobs())
	return c
}

// planPanels lists the panels and returns the size of the packed weights.
func (c *correlation) planPanels() int {
	size := 0
	for f := range c.phases {
		taps := len(c.phases[f].y.taps) * len(c.phases[f].x.taps)
		for g := range c.groups {
			for j := 0; j < c.cout(); j += c.path.width {
				p := convPanel{phase: f, group: g, from: j, cols: min(c.path.width, c.cout()-j), at: size}
				p.width = c.path.panelWidth(p.cols)
				size += taps * c.cin() * p.width
				c.panels = append(c.panels, p)
			}
		}
	}
	return size
}

// planJobs cuts the phases into chunks and returns the largest copy of source
// rows that one needs.
func (c *correlation) planJobs() int {
	size := 0
	for f := range c.phases {
		ph := &c.phases[f]
		images := 1
		if ph.x.n < tileColumns {
			images = min(ceilDiv(c.batch, 8), imagesMax)
		}
		rowSize := c.rowSize(ph) * images
		for images > 1 && len(ph.y.taps)*rowSize > bandMax {
			images /= 2
			rowSize = c.rowSize(ph) * images
		}
		rows := max((bandMax/max(rowSize, 1)-len(ph.y.taps))/ph.y.move, 1)
		bands := max(ceilDiv(ph.y.n, rows), min(ceilDiv(chunksWanted, c.batch), ph.y.n/4))
		for b := 0; b < c.batch; b += images {
			for band := range bands {
				j := convJob{phase: f, b0: b, b1: min(b+images, c.batch)}
				j.i0, j.i1 = part(band, bands, ph.y.n, 1)
				if j.i1 > j.i0 {
					size = max(size, c.copySize(ph, &j))
					c.jobs = append(c.jobs, j)
				}
			}
		}
	}
	return size
}

// rowSize is the length of a source row, with zeros left and right, of a phase.
func (c *correlation) rowSize(ph *phase) int {
	from, to := ph.x.extent(0, ph.x.n)
	return max(to-from, 0) * c.c
}

// inPlace reports whether the source needs no zeros at its left or right.
func (c *correlation) inPlace(ph *phase) bool {
	from, to := ph.x.extent(0, ph.x.n)
	return from >= 0 && to <= c.w
}

// copySize is the size of the copy of source rows for a job.
func (c *correlation) copySize(ph *phase, j *convJob) int {
	if c.inPlace(ph) {
		return 0
	}
	from, to := c.sourceRows(ph, j)
	return (j.b1 - j.b0) * (to - from) * c.rowSize(ph)
}

// sourceRows returns the rows of the source that a job reads.
func (c *correlation) sourceRows(ph *phase, j *convJob) (from, to int) {
	from, to = ph.y.extent(j.i0, j.i1)
	from, to = max(from, 0), min(to, c.h)
	return from, max(from, to)
}

// run computes dst from src and weights w.
func (c *correlation) run(dst, src, w []float32, e *Epilogue) {
	c.dst, c.src, c.weights, c.epi = dst, src, w, Epilogue{}
	if e != nil {
		c.epi = *e
	}
	c.pool.Run(len(c.panels), c.packFunc)
	c.pool.Run(len(c.jobs), c.chunkFunc)
	c.dst, c.src, c.weights, c.epi = nil, nil, nil, Epilogue{}
	clear(c.workers)
}

// pack packs the weights of one panel.
func (c *correlation) pack(_, chunk int) {
	p := &c.panels[chunk]
	dst := c.pool.Shared()[p.at:]
	k0, ld, j0 := 0, c.dstC, p.group*c.cout()+p.from
	if c.transposed {
		k0, ld, j0 = p.group*c.cin(), c.c, p.from
	}
	ph := &c.phases[p.phase]
	for _, y := range ph.y.taps {
		for _, x := range ph.x.taps {
			tap := c.weights[(y*c.kw+x)*c.tapSize:]
			c.path.packB(dst, tap, ld, c.transposed, k0, c.cin(), j0, p.cols, p.width)
			dst = dst[c.cin()*p.width:]
		}
	}
}

// chunk computes one job.
func (c *correlation) chunk(worker, chunk int) {
	j := &c.jobs[chunk]
	r := rowsOf{correlation: c, convJob: j, phase: &c.phases[j.phase], tile: &c.workers[worker]}
	r.load(c.pool.Local(worker))
	for i := range c.panels {
		if c.panels[i].phase == j.phase {
			r.panel(&c.panels[i])
		}
	}
	if c.epi.Row != nil {
		r.rowFunc()
	}
}

// rowsOf is a job that is being computed.
type rowsOf struct {
	*correlation
	*convJob
	phase *phase
	tile  *tile
	// Source rows: in place or a copy with zeros at left and right.
	rows               []float32
	imageSize, rowSize int
	firstRow, firstCol int // of the source, at rows[0]
}

// load finds or copies the source rows.
func (r *rowsOf) load(scratch []float32) {
	if r.inPlace(r.phase) {
		r.imageSize, r.rowSize = r.h*r.w*r.c, r.w*r.c
		r.rows = r.src[r.b0*r.imageSize:]
		return
	}
	from, to := r.sourceRows(r.phase, r.convJob)
	left, right := r.phase.x.extent(0, r.phase.x.n)
	r.firstRow, r.firstCol = from, left
	r.rowSize = max(right-left, 0) * r.c
	r.imageSize = (to - from) * r.rowSize
	r.rows = scratch
	for b := range r.b1 - r.b0 {
		for y := range to - from {
			padRow(r.rows[b*r.imageSize+y*r.rowSize:][:r.rowSize],
				r.src[((r.b0+b)*r.h+from+y)*r.w*r.c:], left, right, r.w, r.c)
		}
	}
}

// panel computes a panel of channels of all pixels.
func (r *rowsOf) panel(p *convPanel) {
	t := r.tile
	t.cols = p.cols
	t.bK, t.bOuter = p.width*floatSize, 0
	channel := p.group*r.cout() + p.from
	if r.epi.Bias != nil {
		t.bias = at(r.epi.Bias, channel)
	}
	for i := r.i0; i < r.i1; i++ {
		from, to := r.phase.y.inside(i, r.h)
		if from == to || len(r.phase.x.taps) == 0 {
			r.empty(i, channel, p.cols)
			continue
		}
		r.row(p, i, channel, from, to)
	}
}

// row computes a panel of target row i, whose vertical taps from ≤ u < to are
// inside the source.
func (r *rowsOf) row(p *convPanel, i, channel, from, to int) {
	x, y := &r.phase.x, &r.phase.y
	taps := len(x.taps)
	src := (i*y.move+from*y.dilate+y.offset-r.firstRow)*r.rowSize +
		(x.offset-r.firstCol)*r.c + p.group*r.cin()
	b := p.at + from*taps*r.cin()*p.width
	t := r.tile
	if r.groups == 1 && (x.dilate == 1 || taps == 1) {
		// A run of taps·c elements per source row.
		t.k, t.aK, t.outer = taps*r.c, floatSize, to-from
		t.aOuter = (y.dilate*r.rowSize - t.k) * floatSize
		t.flags = r.firstFlags() | r.epi.flags()
		r.tiles(p, i, channel, src, b)
		return
	}
	t.k, t.aK, t.outer = r.cin(), floatSize, taps
	t.aOuter = (x.dilate*r.c - t.k) * floatSize
	for u := from; u < to; u++ {
		t.flags = flagAccumulate
		if u == from {
			t.flags = r.firstFlags()
		}
		if u == to-1 {
			t.flags |= r.epi.flags()
		}
		r.tiles(p, i, channel, src, b)
		src += y.dilate * r.rowSize
		b += taps * r.cin() * p.width
	}
}

func (r *rowsOf) firstFlags() int {
	if r.epi.Accumulate {
		return flagAccumulate
	}
	return 0
}

// stride is a loop over n target pixels with steps in source and target.
type stride struct{ n, src, dst int }

// loops returns the loop over the pixels of a tile and the loop around it: columns
// and images, or the other way round where there are few columns.
func (r *rowsOf) loops() (tile, around stride) {
	x := &r.phase.x
	tile = stride{x.n, x.move * r.c, x.step * r.dstC}
	around = stride{r.b1 - r.b0, r.imageSize, r.dstH * r.dstW * r.dstC}
	if tile.n < around.n {
		return around, tile
	}
	return tile, around
}

// pixel returns the offset of the first pixel of target row i.
func (r *rowsOf) pixel(i int) int {
	y := r.phase.y.first + i*r.phase.y.step
	return ((r.b0*r.dstH+y)*r.dstW + r.phase.x.first) * r.dstC
}

// tiles runs the kernels along a row, from offset src of the source and b of the
// weights.
func (r *rowsOf) tiles(p *convPanel, i, channel, src, b int) {
	t := r.tile
	inner, outer := r.loops()
	kernels := r.path.kernels(p.width)
	t.aRow, t.cRow = inner.src*floatSize, inner.dst*floatSize
	t.b = at(r.pool.Shared(), b)
	dst := r.pixel(i) + channel
	n := ceilDiv(inner.n, r.path.rows())
	for o := range outer.n {
		for q := range n {
			from, to := part(q, n, inner.n, 1)
			t.a = at(r.rows, src+o*outer.src+from*inner.src)
			to0 := dst + o*outer.dst + from*inner.dst
			t.c = at(r.dst, to0)
			if r.epi.Ref != nil {
				t.ref = unsafe.Pointer(&r.epi.Ref[to0])
			}
			kernels[to-from](t)
		}
	}
}

// empty finishes a row that no tap reaches.
func (r *rowsOf) empty(i, channel, cols int) {
	inner, outer := r.loops()
	e := r.epi
	if e.Bias != nil {
		e.Bias = e.Bias[channel:]
	}
	e.Row = nil
	for o := range outer.n {
		for q := range inner.n {
			from := r.pixel(i) + channel + o*outer.dst + q*inner.dst
			if !e.Accumulate {
				clear(r.dst[from : from+cols])
			}
			part := e
			if e.Ref != nil {
				part.Ref = e.Ref[from:]
			}
			part.finish(r.dst[from:], cols, 0, 1, 0, cols)
		}
	}
}

// rowFunc applies the epilogue's Row to all pixels of the job.
func (r *rowsOf) rowFunc() {
	run, step, n := r.dstC, r.phase.x.step*r.dstC, r.phase.x.n
	if r.phase.x.step == 1 {
		run, n = run*n, 1 // the pixels of a row are adjacent
	}
	for b := range r.b1 - r.b0 {
		for i := r.i0; i < r.i1; i++ {
			for q := range n {
				from := r.pixel(i) + b*r.dstH*r.dstW*r.dstC + q*step
				var ref []float32
				if r.epi.Ref != nil {
					ref = r.epi.Ref[from : from+run]
				}
				r.epi.Row(r.dst[from:from+run], ref)
			}
		}
	}
}
