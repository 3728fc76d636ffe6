package gemm

import "github.com/gespann/gespann/backend/cpu/pool"

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
		add := func(group, channels, width int, widthOf func(int) int) {
			for j := 0; j < channels; j += width {
				p := convPanel{phase: f, group: group, from: j, at: size}
				p.cols = min(width, channels-j)
				p.width = widthOf(p.cols)
				size += taps * c.cin() * p.width
				c.panels = append(c.panels, p)
			}
		}
		if c.depthwise() {
			add(0, c.dstC, c.path.eachWidth, func(int) int { return c.path.eachWidth })
			continue
		}
		for g := range c.groups {
			add(g, c.cout(), c.path.width, c.path.panelWidth)
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
	c.dst, c.src, c.weights = dst, src, w
	c.epi = e.checked(c.batch*c.dstH*c.dstW*c.dstC, c.dstC)
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
			if c.depthwise() {
				clear(dst[copy(dst[:p.width], tap[p.from:][:p.cols]):p.width])
				dst = dst[p.width:]
				continue
			}
			c.path.packB(dst, tap, ld, c.transposed, k0, c.cin(), j0, p.cols, p.width)
			dst = dst[c.cin()*p.width:]
		}
	}
}
