package main

import "github.com/gespann/gespann/backend/cpu"

// fma512 and fma256 run n times twelve multiply-adds of vectors in registers that
// do not depend on each other: as fast as the processor can.
//
//go:noescape
func fma512(n int)

//go:noescape
func fma256(n int)

// multiplyAdds returns a function that keeps the units for multiply-add busy, and
// the floating-point operations of one of its rounds; 0 where there is none.
func multiplyAdds() (f func(n int), flops float64) {
	switch cpu.Kernels() {
	case "avx512":
		return fma512, 12 * 16 * 2
	case "avx2":
		return fma256, 12 * 8 * 2
	}
	return nil, 0
}
