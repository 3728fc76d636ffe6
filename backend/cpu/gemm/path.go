package gemm

import "iter"

// path is one implementation of the kernels, for one instruction set. They differ
// in rounding only: those in assembly use fused multiply-adds.
type path struct {
	name  string
	panel      // the widest, which all panels are but the last
	packs bool // whether the tall kernels heed tile.pack
	// narrow are panels for what is left of the columns, from the narrowest on.
	narrow []panel

	// each are elementwise kernels, for eachWidth columns: a[i,p,q] is a row of
	// its own, a[i,p,q,j] at 4j behind it. They read cols columns only.
	each      kernels
	eachWidth int

	// transpose transposes square blocks of this size, which are side by side in src.
	transpose func(dst, src *float32, dstStride, srcStride, blocks int)
	block     int
	// copyStrip packs n rows of at most lanes columns without gaps. What it writes
	// behind them, up to lanes columns in all, is overwritten by the rows after.
	copyStrip func(dst, src *float32, n, stride, cols int)
	// addTo adds n floats, a multiple of lanes.
	addTo func(dst, src *float32, n int)
	lanes int
	lift  transforms
}

// panel is how to handle panels of so many columns.
type panel struct {
	width int
	tall  kernels // by number of rows
	// copyRows packs n rows, of which cols columns are there.
	copyRows func(dst, src *float32, n, stride, cols int)
}

// kernels are micro-kernels by number of rows, from 1; [0] is nil.
type kernels []func(*tile)

// tiles returns how many tiles it takes to cover so many rows.
func (k kernels) tiles(rows int) int { return ceilDiv(rows, len(k)-1) }

// cover yields the rows from ≤ i < to of each of these tiles, which are of nearly the
// same height, the taller first.
func (k kernels) cover(rows int) iter.Seq2[int, int] {
	n := k.tiles(rows)
	height, taller := rows/n, rows%n
	return func(yield func(from, to int) bool) {
		for i, from := 0, 0; i < n; i++ {
			to := from + height
			if i < taller {
				to++
			}
			if !yield(from, to) {
				return
			}
			from = to
		}
	}
}

// panelFor returns the panel for so many remaining columns.
func (p *path) panelFor(left int) *panel {
	for i := range p.narrow {
		if left <= p.narrow[i].width {
			return &p.narrow[i]
		}
	}
	return &p.panel
}

// panelWidth returns the width of the panel for so many remaining columns.
func (p *path) panelWidth(left int) int { return p.panelFor(left).width }

// nextPanel returns how many of the remaining columns the next panel of a product takes.
// What is left of whole panels may be cheaper in two narrow ones: 20 columns take 16 and 4,
// in panels of 16 and 8, instead of one of 32.
func (p *path) nextPanel(left int) (cols int) {
	if left >= p.width {
		return p.width
	}
	for _, x := range p.narrow {
		if x.width < left && x.width+p.panelWidth(left-x.width) < p.panelWidth(left) {
			cols = x.width
		}
	}
	if cols > 0 {
		return cols
	}
	return left
}

// kernels returns the kernels for a panel width.
func (p *path) kernels(width int) kernels { return p.panelFor(width).tall }

// paths returns the implementations that this machine can run, fastest first.
func paths() []*path { return append(assembly(), generic()) }

// Kernels names the implementation that this machine runs: avx512, avx2 or
// generic.
func Kernels() string { return best().name }

// best returns the fastest implementation that this machine can run.
func best() *path { return paths()[0] }
