package gemm

import "github.com/gespann/gespann/backend/cpu/pool"

// MatMul is a plan for products of one shape.
//
//	c = epilogue(op(a)·op(b))
//
// Shapes: c [m,n]; op(a) [m,k], stored [k,m] with transA; op(b) [k,n], stored
// [n,k] with transB; all dense and row-major. The same inputs give the same bits
// for any number of threads.
type MatMul struct {
	pool           *pool.Pool
	m, n, k        int
	transA, transB bool
}

// NewMatMul plans products of the given shape on p; m, n, k ≥ 1.
func NewMatMul(p *pool.Pool, m, n, k int, transA, transB bool) *MatMul {
	return &MatMul{pool: p, m: m, n: n, k: k, transA: transA, transB: transB}
}

// Run computes one product; e may be nil. c must not overlap the others. It
// allocates nothing.
func (g *MatMul) Run(c, a, b []float32, e *Epilogue) { panic("gemm: not yet") }
