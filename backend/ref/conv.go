package ref

import "github.com/gespann/gespann/backend/ir"

// sizes are those of a convolution or pooling: x [B,H,W,C], y [B,OH,OW,O].
type sizes struct{ b, h, w, c, oh, ow, o int }

func convSizes(x, y []int) sizes {
	return sizes{x[0], x[1], x[2], x[3], y[1], y[2], y[3]}
}

// conv2D computes
//
//	y[b,i,j,o] = epilogue(Σ x[b, i·SH+p·DH−PT, j·SW+q·DW−PL, c]·w[p,q,c,o])
//
// over the c of o's group. Shapes: w [KH,KW,C/G,O].
func conv2D[T Float](y, x, w []T, e epilogue[T], s sizes, a *ir.Attrs) {
	cg, og := s.c/a.Groups, s.o/a.Groups // channels per group
	for b := range s.b {
		for i := range s.oh {
			for j := range s.ow {
				for o := range s.o {
					sum := 0.0
					for p := range a.Win.KH {
						for q := range a.Win.KW {
							h := i*a.Win.SH + p*a.Win.DH - a.Win.PT
							v := j*a.Win.SW + q*a.Win.DW - a.Win.PL
							if h < 0 || h >= s.h || v < 0 || v >= s.w {
								continue
							}
							xs := x[((b*s.h+h)*s.w+v)*s.c+o/og*cg:]
							ws := w[(p*a.Win.KW+q)*cg*s.o+o:]
							for c := range cg {
								sum += float64(xs[c]) * float64(ws[c*s.o])
							}
						}
					}
					at := ((b*s.oh+i)*s.ow+j)*s.o + o
					y[at] = e.apply(sum, at, o, a)
				}
			}
		}
	}
}

// conv2DDX computes the gradient of conv2D's input:
//
//	dx[b,h,v,c] = epilogue(Σ dy[b,i,j,o]·w[p,q,c,o])
//
// over the taps p, q and positions i, j with i·SH+p·DH−PT = h and
// j·SW+q·DW−PL = v, and the o of c's group.
func conv2DDX[T Float](dx, w, dy []T, e epilogue[T], s sizes, a *ir.Attrs) {
	cg, og := s.c/a.Groups, s.o/a.Groups
	for b := range s.b {
		for h := range s.h {
			for v := range s.w {
				for c := range s.c {
					sum := 0.0
					for p := range a.Win.KH {
						for q := range a.Win.KW {
							i, ok := source(h, p, a.Win.SH, a.Win.DH, a.Win.PT, s.oh)
							j, ok2 := source(v, q, a.Win.SW, a.Win.DW, a.Win.PL, s.ow)
							if !ok || !ok2 {
								continue
							}
							dys := dy[((b*s.oh+i)*s.ow+j)*s.o+c/cg*og:]
							ws := w[((p*a.Win.KW+q)*cg+c%cg)*s.o+c/cg*og:]
							for o := range og {
								sum += float64(dys[o]) * float64(ws[o])
							}
						}
					}
					at := ((b*s.h+h)*s.w+v)*s.c + c
					dx[at] = e.apply(sum, at, c, a)
				}
			}
		}
	}
}

// source returns the output position that reads input position at through tap.
func source(at, tap, stride, dilation, pad, size int) (i int, ok bool) {
	n := at + pad - tap*dilation
	return n / stride, n >= 0 && n%stride == 0 && n/stride < size
}

// conv2DDW computes the gradient of conv2D's weights:
//
//	dw[p,q,c,o] = Σ_bij x[b, i·SH+p·DH−PT, j·SW+q·DW−PL, c']·dy[b,i,j,o]
//
// where c' is channel c of o's group. Shapes: dw [KH,KW,C/G,O].
func conv2DDW[T Float](dw, x, dy []T, s sizes, a *ir.Attrs) {
	cg, og := s.c/a.Groups, s.o/a.Groups
	for p := range a.Win.KH {
		for q := range a.Win.KW {
			for c := range cg {
				for o := range s.o {
					sum := 0.0
					for b := range s.b {
						for i := range s.oh {
							for j := range s.ow {
								h := i*a.Win.SH + p*a.Win.DH - a.Win.PT
								v := j*a.Win.SW + q*a.Win.DW - a.Win.PL
								if h < 0 || h >= s.h || v < 0 || v >= s.w {
									continue
								}
								sum += float64(x[((b*s.h+h)*s.w+v)*s.c+o/og*cg+c]) *
									float64(dy[((b*s.oh+i)*s.ow+j)*s.o+o])
							}
						}
					}
					dw[((p*a.Win.KW+q)*cg+c)*s.o+o] = T(sum)
				}
			}
		}
	}
}
