package gemm

// Block sizes. They depend on the shape of a product alone, so that its rounding
// does not depend on the number of threads. Measured on a 2-core Zen 4 with 32 KiB
// and 1 MiB of cache per core; flat near the optimum.
const (
	// kcMax is the longest run of k between two visits to c: 256 rows of a panel
	// of 32 columns are 32 KiB.
	kcMax = 264
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
	// splitMin is the shortest range of k that is worth a partial result.
	splitMin = 512
	// splitMax is the most ranges of k: each costs a pass over c.
	splitMax = 8
	// shareMax is the largest a that is copied to shared memory as a whole.
	shareMax = 256 << 10
	// shareChunks is how many chunks copy it.
	shareChunks = 8
	// copyPanels is how many panels a copied block of a should serve at least.
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

// grid is how a product is cut into chunks.
type grid struct {
	blocks, groups, splits int // of rows, panels, k
	copying                copyMode
	sharedLd, sharedA      int // row length and size of the copy of a
	aLdMax                 int // of the copy of a block
	aBlock                 int // its size
}

// planMatMul chooses the grid for a product.
func planMatMul(p *path, m, n, k int, transA bool) grid {
	panels := ceilDiv(n, p.width)
	want := min(max(m*n/chunkWork*k+m*n%chunkWork*k/chunkWork, 1), chunksWanted)
	g := grid{splits: 1}
	ld := k
	if transA {
		ld = m
	}
	if aliases(ld) && m > 4 && panels > 1 {
		g.copying = copyBlock
		if m*k <= shareMax && panels > copyPanels {
			g.copying = copyOnce
		}
	}
	g.groups = min(panels, want)
	if g.copying == copyBlock {
		g.groups = min(g.groups, ceilDiv(panels, copyPanels))
	}
	g.blocks = ceilDiv(m, rowsMax)
	if left := ceilDiv(want, g.groups*g.blocks); left > 1 && k >= 2*splitMin {
		g.splits = min(left, k/splitMin, splitMax)
	}
	if left := ceilDiv(want, g.groups*g.blocks*g.splits); left > 1 {
		g.blocks = max(g.blocks, min(g.blocks*left, m/(2*p.rows())))
	}
	g.sizes(m, k, transA)
	return g
}

// sizes fills in the scratch memory that the copies of a take.
func (g *grid) sizes(m, k int, transA bool) {
	switch g.copying {
	case copyOnce:
		rows, n := m, k
		if transA {
			rows, n = k, m
		}
		g.sharedLd = padded(n)
		g.sharedA = rows * g.sharedLd
	case copyBlock:
		rows, depth := ceilDiv(m, g.blocks), kcMax+kUnit
		if transA {
			g.aLdMax = padded(rows)
			g.aBlock = depth * g.aLdMax
		} else {
			g.aLdMax = padded(depth)
			g.aBlock = rows * g.aLdMax
		}
	}
}

// sharedSize is the size of the memory that all workers share.
func (g *grid) sharedSize(m, n int) int { return g.sharedA + (g.splits-1)*m*n }

// localSize is the size of one worker's memory: a packed panel and a block of a.
func (g *grid) localSize(p *path) int { return g.panelSize(p) + g.aBlock }

func (g *grid) panelSize(p *path) int { return (kcMax + kUnit) * p.width }
