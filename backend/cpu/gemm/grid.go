package gemm

// Block sizes. They depend on the shape of a product alone, so that its rounding
// does not depend on the number of threads. They are for 32 KiB and 1 MiB of cache
// per core. kcMax was measured on a 2-core Zen 4 (264 to 520 differ by 1 %); the
// others are estimates.
const (
	// kcMax is the longest run of k between two visits to c. A panel of 32
	// columns is then 65 KiB; it streams from the second level cache, 128 bytes
	// per 28 cycles.
	kcMax = 520
	// kUnit is the granularity of cuts in k, so that transposes stay whole.
	kUnit = 16
	// rowsMax is the most rows of a chunk. More make packing b cheaper: it costs
	// as much as some five rows of the product; fewer keep a block of a in the
	// second level cache.
	rowsMax = 256
	// chunkWork is the number of multiply-adds below which a product is not cut
	// further: some 5 µs on one core.
	chunkWork = 256 << 10
	// chunksWanted is how many chunks a large product has at least: enough for
	// 8 threads to end at about the same time.
	chunksWanted = 16
	// splitMin is the shortest range of k that is worth a partial result, and
	// partialMax the most elements of all partial results.
	splitMin   = 512
	partialMax = 512 << 10
	// packMin and packMax bound the size of a b that is packed to shared memory
	// as a whole where several chunks would otherwise pack the same panels.
	packMin = 32 << 10
	packMax = 4 << 20
	// shareMax is the largest a that is copied to shared memory as a whole.
	shareMax = 256 << 10
	// shareChunks is how many chunks copy it.
	shareChunks = 8
	// copyPanels is how many panels a copied block of a should serve at least. On a 2-core
	// Zen 4, strips of a transposed a for up to 8 lose a tenth, for 16 and more they gain.
	copyPanels = 8
	// sumRows is the number of rows of a chunk that sums partial results.
	sumRows = 16
)

// copyMode says how a is read.
type copyMode int

const (
	copyNever copyMode = iota // in place
	copyOnce                  // copied to shared memory first
	copyBlock                 // each chunk copies the block that it needs
)

// A transposed a is copied to strips: all that a tile reads, k by k, without gaps. Strips
// follow each other in order of their rows.

// grid is how a product is cut into chunks.
type grid struct {
	blocks, groups, splits int // of rows, panels, k
	copying                copyMode
	strips                 bool // the copy of a has strips
	packing                bool // b is packed to shared memory first
	sharedLd, sharedA      int  // row length and size of the copy of a
	sharedB                int  // size of the packed b
	aLdBlock               int  // row length of the copy of a block of a
	aBlock                 int  // its size
	used                   int  // size of the rows that are not kept: see Rows
}

// planMatMul chooses the grid for a product.
func planMatMul(p *path, m, n, k int, transA bool) grid {
	panels := ceilDiv(n, p.width)
	// With few rows the time is that of reading b.
	muls := float64(max(m, 4)) * float64(n) * float64(k)
	want := int(min(max(muls/chunkWork, 1), chunksWanted))
	g := grid{splits: 1, blocks: ceilDiv(m, rowsMax), groups: min(panels, want)}
	g.copying = p.copying(m, k, panels, transA)
	if g.copying == copyBlock {
		g.groups = 1
		if k*n > packMax {
			g.groups = ceilDiv(panels, copyPanels)
		}
	}
	if left := ceilDiv(want, g.groups*g.blocks); left > 1 {
		g.splits = max(min(left, k/splitMin, partialMax/(m*n)), 1)
	}
	if left := ceilDiv(want, g.groups*g.blocks*g.splits); left > 1 {
		g.blocks = max(g.blocks, min(g.blocks*left, m/(2*len(p.tall))))
	}
	g.packing = g.blocks > 1 && k*n >= packMin && k*n <= packMax
	g.strips = transA && g.copying != copyNever
	g.sizes(p, m, n, k)
	return g
}

// copying chooses how to read a.
func (p *path) copying(m, k, panels int, transA bool) copyMode {
	switch {
	case m <= 4 || panels == 1:
		return copyNever
	case transA && (panels <= copyPanels || !p.wantsStrips()), !transA && !aliases(k):
		return copyNever
	case m*k <= shareMax && panels > copyPanels:
		return copyOnce
	}
	return copyBlock
}

// wantsStrips reports whether tiles read less than half of each line of a transposed a,
// so that strips are worth their copying. On a 2-core Zen 4, AVX2 gains 5 to 30 % by them,
// and AVX-512 loses 1 to 3 %.
func (p *path) wantsStrips() bool { return (len(p.tall)-1)*floatSize <= lineSize/2 }

// sizes fills in the scratch memory that the copies take.
func (g *grid) sizes(p *path, m, n, k int) {
	if g.packing {
		g.sharedB = k * roundUp(n, p.width)
	}
	switch g.copying {
	case copyOnce:
		g.sharedLd = k
		if !g.strips {
			g.sharedLd = padded(k)
		}
		g.sharedA = m * g.sharedLd
	case copyBlock:
		g.aLdBlock = padded(kcMax + kUnit)
		g.aBlock = ceilDiv(m, g.blocks) * g.aLdBlock
	}
}

// sharedSize is the size of the memory that all workers share.
func (g *grid) sharedSize(m, n int) int { return g.sharedA + g.sharedB + (g.splits-1)*m*n }

// localSize is the size of one worker's memory: a packed panel, a block of a, and rows
// that are not kept.
func (g *grid) localSize(p *path) int { return g.panelSize(p) + g.aBlock + g.used }

func (g *grid) panelSize(p *path) int { return (kcMax + kUnit) * p.width }
