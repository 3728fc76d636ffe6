package gemm

import "github.com/gespann/gespann/backend/cpu/pool"

const (
	// rowsSize is about how many elements of a product Rows computes before they are
	// used: with three matrices as large beside them, a quarter of 1 MiB of cache.
	rowsSize = 16 << 10
	// rowsWidth is the most columns of a product that Rows takes. Its chunks have whole
	// rows, at least those of a tile, and should stay in the cache.
	rowsWidth = 4 << 10
	// nearMax is the most matrices that Use brings near.
	nearMax = 4
)

// Rows is a plan for a product whose rows are used while they are in the cache, and not
// kept: an update by a gradient. Each element has the same bits as of a MatMul.
type Rows struct{ product *MatMul }

// NewRows plans a product as NewMatMul does. It returns nil for shapes that would take
// longer in runs of whole rows.
func (k Kit) NewRows(p *pool.Pool, m, n, depth int, transA, transB bool) *Rows {
	path := k.get()
	g := planRows(path, m, n, depth, transA)
	if n > rowsWidth || g.packing && depth*n > packMax || planMatMul(path, m, n, depth, transA).splits > 1 {
		return nil
	}
	return &Rows{gridMatMul(p, path, m, n, depth, transA, transB, g)}
}

// planRows chooses the grid: chunks of whole rows, as many as tiles of full height take.
func planRows(p *path, m, n, k int, transA bool) grid {
	height := len(p.tall) - 1
	rows := min(max(rowsSize/n/height, 1)*height, rowsMax)
	g := grid{groups: 1, splits: 1, blocks: ceilDiv(m, rows)}
	g.copying = p.copying(m, k, ceilDiv(n, p.width), transA)
	g.strips = transA && g.copying != copyNever
	g.packing = g.blocks > 1
	g.sizes(p, m, n, k)
	g.used = ceilDiv(m, g.blocks) * n
	return g
}

// Use computes the product op(a)·op(b) and calls use for runs of whole rows, elements
// from ≤ e < to of the result in c, which is valid until it returns; calls for different
// rows run at the same time. The same rows of the matrices near, shaped as the result,
// are brought into the cache meanwhile. It allocates nothing.
func (r *Rows) Use(a, b []float32, use func(from, to int, c []float32), near [][]float32) {
	g := r.product
	g.use, g.near = use, near
	g.compute(nil, a, b, nil)
	g.use, g.near = nil, nil
}

// Describe says how the product is computed, for people, as MatMul.Describe.
func (r *Rows) Describe() string { return r.product.Describe() }
