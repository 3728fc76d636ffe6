// Package vec has the elementwise loops of the cpu backend: activations and
// their gradients, dropout, pooling windows, optimiser steps, sums and maxima.
//
// Every function is a plain Go loop, which is its definition; where it pays, an
// AVX2 kernel does the multiple of 8 elements at the front and the loop the
// rest. Both round after each operation and use the same formulas in the same
// order, so an element's bits do not depend on which one computed it, nor on
// the machine. (AVX2 because 512-bit vectors have no higher peak on the CPUs
// measured, and these loops wait for memory.) The kernels are written by
// vec/gen; build with -tags noasm to go without.
//
// Slices of one call have the same length, at least that of the first.
// Destinations may be the same slice as an operand, but not overlap it
// otherwise. Calls should stay below some 16 Ki elements: assembly cannot be
// preempted.
package vec

import "github.com/gespann/gespann/backend/ir"

//go:generate go run ./gen

// Add computes dst = a + b.
func Add(dst, a, b []float32) {
	i := addAsm(dst, a, b)
	for ; i < len(dst); i++ {
		dst[i] = a[i] + b[i]
	}
}

// Mul computes dst = a·b.
func Mul(dst, a, b []float32) {
	i := mulAsm(dst, a, b)
	for ; i < len(dst); i++ {
		dst[i] = a[i] * b[i]
	}
}

// Scale computes dst = s·x.
func Scale(dst, x []float32, s float32) {
	i := scaleAsm(dst, x, s)
	for ; i < len(dst); i++ {
		dst[i] = x[i] * s
	}
}

// Axpy computes y += s·x.
func Axpy(y, x []float32, s float32) {
	i := axpyAsm(y, x, s)
	for ; i < len(y); i++ {
		y[i] += float32(x[i] * s)
	}
}

// Blend computes y = a·y + b·x.
func Blend(y, x []float32, a, b float32) {
	i := blendAsm(y, x, a, b)
	for ; i < len(y); i++ {
		y[i] = float32(y[i]*a) + float32(x[i]*b)
	}
}

// Dropout computes y[i] = s·x[i] where the element base+i is kept as ir.Keep
// says, else 0.
func Dropout(y, x []float32, s float32, key [2]uint32, threshold, base uint32) {
	i := dropoutAsm(y, x, s, key[0], key[1], threshold, base)
	for ; i < len(y); i++ {
		if ir.Keep(key, base+uint32(i), threshold) {
			y[i] = x[i] * s
		} else {
			y[i] = 0
		}
	}
}

// MaxPool4 computes y = max(x0, x1, x2, x3) and arg = base+i of the first
// maximum, plus o1, o2 or o3 for those of the other operands. A NaN wins.
//
// It does so for pixels of c elements each. From one to the next, y and arg move on
// by c elements, the operands and base by 2c.
func MaxPool4(c, pixels int, y []float32, arg []int32, x0, x1, x2, x3 []float32, base int32, o [3]int32) {
	n, whole := wholePixels(c, pixels)
	if whole > 0 && !maxPool4Asm(n, whole, c, y, x0, x1, x2, x3, arg, o[0], o[1], o[2], base) {
		whole = 0
	}
	for p := range pixels {
		for i := done(p, whole, n); i < c; i++ {
			from := 2*p*c + i
			best, at := x0[from], base+int32(from)
			start := at
			for n, x := range [3]float32{x1[from], x2[from], x3[from]} {
				if x > best || x != x {
					best, at = x, start+o[n]
				}
			}
			y[p*c+i], arg[p*c+i] = best, at
		}
	}
}

// MaxPool4Grad computes the gradients of the operands of MaxPool4: dy for the
// one that arg names, 0 for the others. It may spoil what lies behind each pixel's
// gradients, but not behind the last pixel's.
func MaxPool4Grad(c, pixels int, dx0, dx1, dx2, dx3, dy []float32, arg []int32, base int32, o [3]int32) {
	n, whole := wholePixels(c, pixels)
	if whole > 0 && !maxPool4GradAsm(n, whole, c, dx0, dx1, dx2, dx3, dy, arg, o[0], o[1], o[2], base) {
		whole = 0
	}
	for p := range pixels {
		for i := done(p, whole, n); i < c; i++ {
			to := 2*p*c + i
			dx0[to], dx1[to], dx2[to], dx3[to] = 0, 0, 0, 0
			switch d := dy[p*c+i]; arg[p*c+i] - base - int32(to) {
			case 0:
				dx0[to] = d
			case o[0]:
				dx1[to] = d
			case o[1]:
				dx2[to] = d
			case o[2]:
				dx3[to] = d
			}
		}
	}
}

// wholePixels returns how many pixels of c elements vectors can handle, and how many
// elements of each. Fewer than 8 take a whole vector all the same, of which the rest
// belongs to pixels whose turn is later; so the last ones are left out.
func wholePixels(c, pixels int) (n, whole int) {
	if c >= 8 || c == 0 {
		return c &^ 7, pixels * min(c, 1)
	}
	return 8, max(pixels-(8-1)/c, 0)
}

// done returns how many elements of pixel p vectors have handled.
func done(p, whole, n int) int {
	if p < whole {
		return n
	}
	return 0
}

// MaxInto puts x[i] into y[i], and base+i into arg[i], where x[i] is greater or
// NaN.
func MaxInto(y []float32, arg []int32, x []float32, base int32) {
	i := maxIntoAsm(y, x, arg, base)
	for ; i < len(y); i++ {
		if x[i] > y[i] || x[i] != x[i] {
			y[i], arg[i] = x[i], base+int32(i)
		}
	}
}

// ScaledDiff computes dst = (total·a − b)·s.
func ScaledDiff(dst, a, b []float32, total, s float32) {
	i := scaledDiffAsm(dst, a, b, total, s)
	for ; i < len(dst); i++ {
		dst[i] = (float32(a[i]*total) - b[i]) * s
	}
}

// SoftmaxGrad computes dx = y·(dy − dot).
func SoftmaxGrad(dx, y, dy []float32, dot float32) {
	i := softmaxGradAsm(dx, y, dy, dot)
	for ; i < len(dx); i++ {
		dx[i] = y[i] * (dy[i] - dot)
	}
}
