package gemm

import "unsafe"

//go:generate go run ./gen

// tile is one call of a micro-kernel with r rows:
//
//	t[i,j]  = Σ_{q<outer} Σ_{p<k} a[i,p,q]·b[p,q,j]     for i < r, j < cols
//	a[i,p,q] at a + i·aRow + p·aK + q·(k·aK + aOuter)
//	b[p,q,j] at b + p·bK + q·(k·bK + bOuter) + 4j
//	c[i,j]   = epilogue(t[i,j])                         at c + i·cRow + 4j
//
// in that order of q and p, rounded in the same way for any r. ref is laid out as
// c. All strides are in bytes. Kernels read full rows of b, however few cols are;
// only elementwise ones, where a[i,p,q] is a row as well, do not.
type tile struct {
	k, outer         int // ≥ 1
	cols             int // 1 to the kernel's width
	flags            int
	a                unsafe.Pointer
	aRow, aK, aOuter int
	b                unsafe.Pointer
	bK, bOuter       int
	c                unsafe.Pointer
	cRow             int
	bias, ref        unsafe.Pointer
	// next is memory that is wanted soon: a line at next + p·nextStep for each p. It
	// need not be readable, nor inside any object; 0 asks for nothing.
	next     uintptr
	nextStep int
	// pack, if not nil, is where the rows of b are copied to, next to each other and of
	// full width; outer is 1 then, and nothing is asked for.
	pack unsafe.Pointer
	_    [6]int // to three cache lines
}

// Steps of the epilogue, in this order.
const (
	flagAccumulate = 1 << iota // + c
	flagBias                   // + bias[j]
	flagReLU                   // max(0, ·)
	flagReLUGrad               // 0 unless ref[i,j] > 0
)

// at returns the address of s[i]; i may be the length of s.
func at(s []float32, i int) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(s[i:]))
}

// floatSize is the size of an element in bytes.
const floatSize = 4
