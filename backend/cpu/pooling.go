package cpu

import (
	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/ir"
)

// images are the sizes of a pooling: x [B,H,W,C], y [B,OH,OW,C].
type images struct {
	b, h, w, c, oh, ow int
	win                ir.Window
}

func newImages(x, y []int, win ir.Window) images {
	return images{x[0], x[1], x[2], x[3], y[1], y[2], win}
}

// in and out are the elements of one image.
func (s *images) in() int  { return s.h * s.w * s.c }
func (s *images) out() int { return s.oh * s.ow * s.c }

// inside returns the part of an output position's window that lies inside the
// input, top ≤ h < bottom and left ≤ v < right. It is never empty.
func (s *images) inside(i, j int) (top, bottom, left, right int) {
	top, left = i*s.win.SH-s.win.PT, j*s.win.SW-s.win.PL
	return max(top, 0), min(top+s.win.KH, s.h), max(left, 0), min(left+s.win.KW, s.w)
}

// halves reports whether the windows are 2x2 blocks side by side.
func (s *images) halves() bool {
	return s.win == ir.Window{KH: 2, KW: 2, SH: 2, SW: 2, DH: 1, DW: 1}
}

// crowded reports whether more than `often` windows may have one element.
func (s *images) crowded() bool {
	return ceilDiv(s.win.KH, s.win.SH)*ceilDiv(s.win.KW, s.win.SW) > often
}

// perImage returns a step that computes dx image by image, from sums in float64 that
// are 0 before.
func (c *call) perImage(s images, dx []float32, add func(sums []float64, b int)) step {
	in := s.in()
	sums := make([]float64, len(dx))
	return c.parallel(s.b, len(dx), func(_, b int) {
		clear(sums[b*in : (b+1)*in])
		add(sums[b*in:(b+1)*in], b)
		for i := b * in; i < (b+1)*in; i++ {
			dx[i] = float32(sums[i])
		}
	})
}

// blocks returns the offsets of a 2x2 block's elements from its first.
func (s *images) blocks() [3]int32 {
	return [3]int32{int32(s.c), int32(s.w * s.c), int32(s.w*s.c + s.c)}
}

// maxPool -- op MaxPool: y = the maximum of each window, arg = where it is in
// H·W·C: the first of equals; a NaN wins
func maxPool(c *call) step {
	s := newImages(c.shape(0), c.outShape(0), c.ins.Attrs.Win)
	y, arg, x := c.out(0), c.intsOut(1), c.in(0)
	line := s.ow * s.c
	pool := s.maxLine
	if s.halves() {
		c.told.tell("blocks of 2x2")
		pool = s.maxLine2x2
	}
	return c.rows(s.b*s.oh, line*s.win.KH*s.win.KW, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			b, i := r/s.oh, r%s.oh
			pool(y[r*line:(r+1)*line], arg[r*line:(r+1)*line], x[b*s.in():(b+1)*s.in()], i)
		}
	})
}

// maxLine pools output line i of an image x.
func (s *images) maxLine(y []float32, arg []int32, x []float32, i int) {
	for j := range s.ow {
		out, at := y[j*s.c:(j+1)*s.c], arg[j*s.c:(j+1)*s.c]
		top, bottom, left, right := s.inside(i, j)
		first := (top*s.w + left) * s.c
		copy(out, x[first:])
		for k := range at {
			at[k] = int32(first + k)
		}
		for h := top; h < bottom; h++ {
			for v := left; v < right; v++ {
				from := (h*s.w + v) * s.c
				if from != first {
					vec.MaxInto(out, at, x[from:], int32(from))
				}
			}
		}
	}
}

// maxLine2x2 is maxLine for blocks of 2x2.
func (s *images) maxLine2x2(y []float32, arg []int32, x []float32, i int) {
	o, from := s.blocks(), 2*i*s.w*s.c
	line := x[from:]
	vec.MaxPool4(s.c, s.ow, y, arg, line, line[o[0]:], line[o[1]:], line[o[2]:], int32(from), o)
}

// maxPoolGrad -- op MaxPoolGrad: dx[arg] += dy, from zeros
// sums     f32, in order of dy; f64 where more than 128 windows, or who knows how
// many, may have one element
//
// Where the windows are known not to overlap, every element of dx is written
// once: dy or 0.
func maxPoolGrad(c *call) step {
	s := newImages(c.outShape(0), c.shape(1), c.poolWindow())
	dx, arg, dy := c.out(0), c.ints(0), c.in(1)
	if s.halves() {
		c.told.tell("blocks of 2x2")
		return c.rows(s.b*s.oh, 4*s.ow*s.c, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				s.maxLine2x2Grad(dx, arg, dy, r)
			}
		})
	}
	in, out := s.in(), s.out()
	if s.win.KH == 0 || s.crowded() {
		return c.perImage(s, dx, func(sums []float64, b int) {
			scatterAdd(sums, arg[b*out:(b+1)*out], dy[b*out:])
		})
	}
	return c.parallel(s.b, len(dx), func(_, b int) {
		image := dx[b*in : (b+1)*in]
		clear(image)
		scatterAdd(image, arg[b*out:(b+1)*out], dy[b*out:])
	})
}

// scatterAdd adds dy to sum at arg, where that is an index.
func scatterAdd[T float32 | float64](sum []T, arg []int32, dy []float32) {
	for i, at := range arg {
		if at >= 0 && int(at) < len(sum) {
			sum[at] += T(dy[i])
		}
	}
}

// poolWindow returns the window of the MaxPool that wrote arg, the zero Window
// when the program does not show it.
func (c *call) poolWindow() ir.Window {
	for i := range c.p.Instrs {
		ins := &c.p.Instrs[i]
		if ins.Op == ir.MaxPool && ins.Out[1] == c.ins.In[0] {
			return ins.Attrs.Win
		}
	}
	return ir.Window{}
}

// maxLine2x2Grad writes the two lines of dx below line r of dy, of all images.
// The last of them also clears what the blocks leave out of an odd image.
func (s *images) maxLine2x2Grad(dx []float32, arg []int32, dy []float32, r int) {
	b, i := r/s.oh, r%s.oh
	image, o := dx[b*s.in():(b+1)*s.in()], s.blocks()
	at, from := 2*i*s.w*s.c, r*s.ow*s.c
	dst := image[at:]
	vec.MaxPool4Grad(s.c, s.ow, dst, dst[o[0]:], dst[o[1]:], dst[o[2]:], dy[from:], arg[from:],
		int32(at), o)
	if s.w > 2*s.ow {
		clear(image[((2*i+1)*s.w-1)*s.c : (2*i+1)*s.w*s.c])
		clear(image[((2*i+2)*s.w-1)*s.c : (2*i+2)*s.w*s.c])
	}
	if i == s.oh-1 {
		clear(image[2*s.oh*s.w*s.c:])
	}
}
