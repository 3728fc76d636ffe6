package cpu

import (
	"math/bits"

	"github.com/gespann/gespann/backend/cpu/vec"
)

// avgPool -- op AvgPool: y = the mean of each window's positions inside x
// sums     f32, in order; of each 128 positions, and these sums pairwise
// error    γ_h Σ|x|/n, h = min(n, 128 + log₂(n/128)) + 2 for n positions
// source   Higham, Accuracy and Stability of Numerical Algorithms, 2002, §4.2
func avgPool(c *call) step {
	s := newImages(c.shape(0), c.outShape(0), c.ins.Attrs.Win)
	y, x := c.out(0), c.in(0)
	area := min(s.win.KH, s.h) * min(s.win.KW, s.w)
	positions, work := s.b*s.oh*s.ow, s.c*s.win.KH*s.win.KW
	if area <= often {
		return c.rows(positions, work, func(lo, hi int) { s.meansOfFew(y, x, lo, hi) })
	}
	c.pool.Reserve(0, pairLevels(area)*s.c)
	per := rowsPer(grain, work)
	return c.parallel(ceilDiv(positions, per), positions*work, func(worker, chunk int) {
		sums := pairs{c: s.c, memory: c.pool.Local(worker)}
		for p := chunk * per; p < min((chunk+1)*per, positions); p++ {
			s.mean(y[p*s.c:(p+1)*s.c], x, p, &sums)
		}
	})
}

// meansOfFew computes the means of windows of at most 128 positions: those of output
// positions lo ≤ p < hi of all images.
func (s *images) meansOfFew(y, x []float32, lo, hi int) {
	for p := lo; p < hi; p++ {
		b, i, j := p/(s.oh*s.ow), p/s.ow%s.oh, p%s.ow
		out := y[p*s.c : (p+1)*s.c]
		clear(out)
		top, bottom, left, right := s.inside(i, j)
		for h := top; h < bottom; h++ {
			if right-left >= 8 {
				vec.SumColumns(out, x[((b*s.h+h)*s.w+left)*s.c:], right-left)
				continue
			}
			for v := left; v < right; v++ {
				vec.Add(out, out, x[((b*s.h+h)*s.w+v)*s.c:])
			}
		}
		vec.Scale(out, out, 1/float32((bottom-top)*(right-left)))
	}
}

// mean computes the mean of any window, that of output position p.
func (s *images) mean(out, x []float32, p int, sums *pairs) {
	clear(out)
	sums.blocks = 0
	b, i, j := p/(s.oh*s.ow), p/s.ow%s.oh, p%s.ow
	top, bottom, left, right := s.inside(i, j)
	room := often // positions that out still takes
	for h := top; h < bottom; h++ {
		line, rest := x[((b*s.h+h)*s.w+left)*s.c:], right-left
		for ; rest > room; room = often {
			vec.SumColumns(out, line, room)
			line, rest = line[room*s.c:], rest-room
			sums.push(out)
		}
		vec.SumColumns(out, line, rest)
		room -= rest
	}
	sums.close(out)
	vec.Scale(out, out, 1/float32((bottom-top)*(right-left)))
}

// pairs are sums of vectors of c elements that are added up pairwise: level k has the
// sum of 2^k of them where that bit of their number is set.
type pairs struct {
	c, blocks int
	memory    []float32 // [levels,c]
}

// pairLevels returns how many levels a sum of n positions takes, the last block of
// `often` of which is not pushed.
func pairLevels(n int) int { return bits.Len(uint((n - 1) / often)) }

func (p *pairs) level(k int) []float32 { return p.memory[k*p.c : (k+1)*p.c] }

// push adds v to the sums, and clears it.
func (p *pairs) push(v []float32) {
	k := bits.TrailingZeros(uint(^p.blocks))
	for low := range k {
		vec.Add(v, p.level(low), v)
	}
	copy(p.level(k), v)
	p.blocks++
	clear(v)
}

// close adds to v what has been pushed, the last first.
func (p *pairs) close(v []float32) {
	for k := 0; p.blocks>>k != 0; k++ {
		if p.blocks>>k&1 != 0 {
			vec.Add(v, p.level(k), v)
		}
	}
}

// avgPoolGrad -- op AvgPoolGrad: adds dy/n to the n positions of each window,
// from zeros
// sums     f32, in order of dy; f64 where more than 128 windows may have one element
func avgPoolGrad(c *call) step {
	s := newImages(c.outShape(0), c.shape(0), c.ins.Attrs.Win)
	dx, dy := c.out(0), c.in(0)
	if s.crowded() {
		return c.perImage(s, dx, func(sums []float64, b int) { s.shareOut(sums, dy[b*s.out():]) })
	}
	return c.parallel(s.b, len(dx), func(_, b int) {
		image := dx[b*s.in() : (b+1)*s.in()]
		clear(image)
		for p := range s.oh * s.ow {
			top, bottom, left, right := s.inside(p/s.ow, p%s.ow)
			share := 1 / float32((bottom-top)*(right-left))
			d := dy[b*s.out()+p*s.c:][:s.c]
			for h := top; h < bottom; h++ {
				for v := left; v < right; v++ {
					at := (h*s.w + v) * s.c
					vec.Axpy(image[at:at+s.c], d, share)
				}
			}
		}
	})
}

// shareOut adds dy/n of an image to the n positions of each window.
func (s *images) shareOut(sums []float64, dy []float32) {
	for p := range s.oh * s.ow {
		top, bottom, left, right := s.inside(p/s.ow, p%s.ow)
		n := float64((bottom - top) * (right - left))
		for c, d := range dy[p*s.c:][:s.c] {
			for h := top; h < bottom; h++ {
				for v := left; v < right; v++ {
					sums[(h*s.w+v)*s.c+c] += float64(d) / n
				}
			}
		}
	}
}
