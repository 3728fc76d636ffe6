package gemm

import "github.com/gespann/gespann/backend/cpu/pool"

// A Kit plans for one implementation of the kernels. The zero Kit is for the fastest
// that this machine can run, as NewMatMul and NewConv2D are.
type Kit struct{ path *path }

// Portable returns the kit of the implementation in Go, which every machine can run.
func Portable() Kit { return Kit{generic()} }

// Pairs returns the kit of matrix products whose elements are pairs of bfloat16 numbers,
// consecutive in k, the lower half the first; they are as deep as there are pairs. It
// plans no convolutions. ok is false where this machine has none. It is faster than
// products of the same numbers in float32 if it is said so.
//
// VDPBF16PS adds the second product of a pair to the sum, then the first, each with one
// rounding, to nearest. Numbers below the least normal one, in factors and in sums, are 0.
func Pairs() (k Kit, ok, faster bool) {
	p, faster := pairsPath()
	return Kit{p}, p != nil, faster
}

// Name is avx512, avx2 or generic, or avx512_bf16 of Pairs.
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
