package gemm

import "unsafe"

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
	if r.depthwise() {
		t.k, t.aK, t.outer = taps, x.dilate*r.c*floatSize, to-from
		t.aOuter = (y.dilate*r.rowSize - taps*x.dilate*r.c) * floatSize
		t.flags = r.firstFlags() | r.epi.flags()
		r.tiles(p, i, channel, src+p.from, b)
		return
	}
	if r.runs(x) {
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
	if r.acrossImages(r.phase, around.n) {
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
	if r.depthwise() {
		kernels = r.path.each
	}
	t.aRow, t.cRow = inner.src*floatSize, inner.dst*floatSize
	t.b = at(r.pool.Shared(), b)
	dst := r.pixel(i) + channel
	for o := range outer.n {
		for from, to := range kernels.cover(inner.n) {
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
