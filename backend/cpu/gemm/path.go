package gemm

// path is one implementation of the kernels, for one instruction set. They differ
// in rounding only: those in assembly use fused multiply-adds.
type path struct {
	name string
	// wide are the kernels by number of rows, for panels of width columns.
	// narrow, where not nil, are those for narrowWidth, which a last panel of
	// that many columns or fewer uses.
	wide, narrow       kernels
	width, narrowWidth int

	// each are elementwise kernels, for eachWidth columns: a[i,p,q] is a row of
	// its own, a[i,p,q,j] at 4j behind it. They read cols columns only.
	each      kernels
	eachWidth int

	// copyWide and copyNarrow pack n rows of a panel, of which cols are there.
	copyWide, copyNarrow func(dst, src *float32, n, stride, cols int)
	// transpose transposes a square block of this size.
	transpose func(dst, src *float32, dstStride, srcStride int)
	block     int
	// addTo adds n floats, a multiple of lanes.
	addTo func(dst, src *float32, n int)
	lanes int
}

// kernels are micro-kernels by number of rows, from 1; [0] is nil.
type kernels []func(*tile)

// tiles returns how many tiles it takes to cover so many rows.
func (k kernels) tiles(rows int) int { return ceilDiv(rows, len(k)-1) }

// panelWidth returns the width of the panel for the given remaining columns.
func (p *path) panelWidth(left int) int {
	if left <= p.narrowWidth {
		return p.narrowWidth
	}
	return p.width
}

// kernels returns the kernels for a panel width.
func (p *path) kernels(width int) kernels {
	if width == p.width {
		return p.wide
	}
	return p.narrow
}

// paths returns the implementations that this machine can run, fastest first.
func paths() []*path { return append(assembly(), generic()) }

// Kernels names the implementation that this machine runs: avx512, avx2 or
// generic.
func Kernels() string { return best().name }

// best returns the fastest implementation that this machine can run.
func best() *path { return paths()[0] }
