package ref

import "github.com/gespann/gespann/backend/ir"

// inside returns the part of an output position's window that lies inside the
// input, top ≤ h < bottom and left ≤ v < right. It is never empty.
func (s sizes) inside(i, j int, w ir.Window) (top, bottom, left, right int) {
	top, left = i*w.SH-w.PT, j*w.SW-w.PL
	return max(top, 0), min(top+w.KH, s.h), max(left, 0), min(left+w.KW, s.w)
}

// each calls f for every output element: its index at and its window in x.
func (s sizes) each(w ir.Window, f func(at, b, c, top, bottom, left, right int)) {
	for b := range s.b {
		for i := range s.oh {
			for j := range s.ow {
				top, bottom, left, right := s.inside(i, j, w)
				for c := range s.c {
					f(((b*s.oh+i)*s.ow+j)*s.c+c, b, c, top, bottom, left, right)
				}
			}
		}
	}
}

// maxPool computes the maximum y of each window, and where it is: arg is the
// index of the first one in H·W·C. A NaN is greater than any number. Shapes:
// y, arg [B,OH,OW,C], x [B,H,W,C].
func maxPool[T Float](y []T, arg []int32, x []T, s sizes, w ir.Window) {
	s.each(w, func(at, b, c, top, bottom, left, right int) {
		image := x[b*s.h*s.w*s.c:]
		best := (top*s.w+left)*s.c + c
		for h := top; h < bottom; h++ {
			for v := left; v < right; v++ {
				if i := (h*s.w+v)*s.c + c; greater(image[i], image[best]) {
					best = i
				}
			}
		}
		y[at], arg[at] = image[best], int32(best)
	})
}

// greater reports whether a is the greater maximum: the first NaN stays.
func greater[T Float](a, b T) bool { return a > b || a != a && b == b }

// maxPoolGrad computes dx[b, arg[b,i,j,c]] += dy[b,i,j,c] from zeros, in order.
// An arg outside the image is ignored. sums is as many zeros as dx has elements.
func maxPoolGrad[T Float](dx []T, arg []int32, dy []T, s sizes, sums []float64) {
	in, out := s.h*s.w*s.c, s.oh*s.ow*s.c
	for b := range s.b {
		for i := range out {
			if at := int(arg[b*out+i]); at >= 0 && at < in {
				sums[b*in+at] += float64(dy[b*out+i])
			}
		}
	}
	store(dx, sums)
}

// avgPool computes the mean of each window's positions inside x.
func avgPool[T Float](y, x []T, s sizes, w ir.Window) {
	s.each(w, func(at, b, c, top, bottom, left, right int) {
		sum := 0.0
		for h := top; h < bottom; h++ {
			for v := left; v < right; v++ {
				sum += float64(x[((b*s.h+h)*s.w+v)*s.c+c])
			}
		}
		y[at] = T(sum / float64((bottom-top)*(right-left)))
	})
}

// avgPoolGrad adds dy/n to the n positions of each window, from zeros, in order. sums
// is as many zeros as dx has elements.
func avgPoolGrad[T Float](dx, dy []T, s sizes, w ir.Window, sums []float64) {
	s.each(w, func(at, b, c, top, bottom, left, right int) {
		d := float64(dy[at]) / float64((bottom-top)*(right-left))
		for h := top; h < bottom; h++ {
			for v := left; v < right; v++ {
				sums[((b*s.h+h)*s.w+v)*s.c+c] += d
			}
		}
	})
	store(dx, sums)
}
