package gemm

import "github.com/gespann/gespann/backend/cpu/pool"

// A Kit plans for one implementation of the kernels. The zero Kit is for the fastest
// that this machine can run, as NewMatMul and NewConv2D are.
type Kit struct{ path *path }

// Portable returns the kit of the implementation in Go, which every machine can run.
func Portable() Kit { return Kit{generic()} }

// Name is avx512, avx2 or generic.
func (k Kit) Name() string { return k.get().name }

// NewMatMul is NewMatMul for the kit.
func (k Kit) NewMatMul(p *pool.Pool, m, n, depth int, transA, transB bool) *MatMul {
	return newMatMul(p, k.get(), m, n, depth, transA, transB)
}

// NewConv2D is NewConv2D for the kit.
func (k Kit) NewConv2D(p *pool.Pool, s ConvShape) *Conv2D { return newConv2D(p, k.get(), s) }

func (k Kit) get() *path {
	if k.path == nil {
		return best()
	}
	return k.path
}
