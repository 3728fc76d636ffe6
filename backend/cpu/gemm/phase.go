package gemm

// A correlation is what a convolution and the gradient of its input have in
// common: every pixel of the target is a sum over taps of source pixels times
// weights. The gradient of a convolution with strides falls into SH·SW phases,
// sets of target pixels that see the same taps; within each, source and target
// move in step.

// axis is one spatial dimension of a phase. Target index i of the phase is
// first + i·step in the image, and its tap u is source index i·move + u·dilate +
// offset, zero outside the source.
type axis struct {
	n, first, step       int
	move, dilate, offset int
	taps                 []int // index of tap u in the kernel
}

// inside returns the taps from ≤ u < to of target i that are inside a source of
// the given size.
func (x *axis) inside(i, size int) (from, to int) {
	at := i*x.move + x.offset
	to = len(x.taps)
	if at < 0 {
		from = min(ceilDiv(-at, x.dilate), to)
	}
	for to > from && at+(to-1)*x.dilate >= size {
		to--
	}
	return from, to
}

// extent returns the source indices from ≤ s < to that the targets i0 ≤ i < i1
// reach.
func (x *axis) extent(i0, i1 int) (from, to int) {
	return i0*x.move + x.offset, (i1-1)*x.move + (len(x.taps)-1)*x.dilate + x.offset + 1
}

// phase is a set of target pixels.
type phase struct{ y, x axis }

// image says how a correlation is laid out in memory.
type image struct {
	batch            int
	h, w, c          int // source
	dstH, dstW, dstC int // target
	groups           int
	// Weights: tap (p,q) starts at (p·kw+q)·tapSize. Its matrix maps cin source
	// channels to cout target channels within a group, stored [cin,groups·cout],
	// or when transposed [cout,groups·cin].
	kw, tapSize int
	transposed  bool
}

func (m *image) cin() int  { return m.c / m.groups }
func (m *image) cout() int { return m.dstC / m.groups }

// depthwise reports whether each channel is a group of its own: the channels then
// are the columns of elementwise products.
func (m *image) depthwise() bool {
	return m.groups > 1 && m.groups == m.c && m.groups == m.dstC
}

// forwardImage describes y as the target of x.
func forwardImage(s *ConvShape) image {
	oh, ow := s.Win.Out(s.H, s.W)
	return image{
		batch: s.B, h: s.H, w: s.W, c: s.C, dstH: oh, dstW: ow, dstC: s.O,
		groups: s.Groups, kw: s.Win.KW, tapSize: s.C / s.Groups * s.O,
	}
}

// forwardPhases returns the only phase of a convolution.
func forwardPhases(s *ConvShape) []phase {
	oh, ow := s.Win.Out(s.H, s.W)
	win := &s.Win
	return []phase{{
		y: axis{n: oh, step: 1, move: win.SH, dilate: win.DH, offset: -win.PT, taps: upTo(win.KH)},
		x: axis{n: ow, step: 1, move: win.SW, dilate: win.DW, offset: -win.PL, taps: upTo(win.KW)},
	}}
}

// upTo returns 0, 1, ..., n-1.
func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// gradInputImage describes dx as the target of dy.
func gradInputImage(s *ConvShape) image {
	f := forwardImage(s)
	return image{
		batch: s.B, h: f.dstH, w: f.dstW, c: s.O, dstH: s.H, dstW: s.W, dstC: s.C,
		groups: s.Groups, kw: f.kw, tapSize: f.tapSize, transposed: true,
	}
}

// gradInputPhases returns the phases of the gradient of the input.
func gradInputPhases(s *ConvShape) []phase {
	win := &s.Win
	var all []phase
	for _, y := range gradAxes(s.H, win.KH, win.SH, win.DH, win.PT) {
		for _, x := range gradAxes(s.W, win.KW, win.SW, win.DW, win.PL) {
			all = append(all, phase{y, x})
		}
	}
	return all
}

// gradAxes returns the phases of one dimension of dx, of the given size. Index y
// of dx receives tap p of index (y + pad − p·dilate)/stride of dy, where that is
// an integer.
func gradAxes(size, kernel, stride, dilate, pad int) []axis {
	var all []axis
	unit := gcd(stride, dilate)
	for first := range min(stride, size) {
		x := axis{
			n: ceilDiv(size-first, stride), first: first, step: stride,
			move: 1, dilate: dilate / unit,
		}
		// The taps that fit are every stride/unit-th; in descending order, so
		// that their sources ascend.
		for p := kernel - 1; p >= 0; p-- {
			if (first+pad-p*dilate)%stride == 0 {
				if len(x.taps) == 0 {
					x.offset = (first + pad - p*dilate) / stride
				}
				x.taps = append(x.taps, p)
			}
		}
		all = append(all, x)
	}
	return all
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
