package gemm

import (
	"fmt"

	"github.com/gespann/gespann/backend/cpu/pool"
	"github.com/gespann/gespann/backend/ir"
)

// ConvShape is the geometry of a convolution. The letters are those of ir.Conv2D.
type ConvShape struct {
	B, H, W, C int // x [B,H,W,C]
	O          int // y [B,OH,OW,O], w [KH,KW,C/Groups,O]
	Win        ir.Window
	Groups     int // 0 means 1
}

// sizes returns the number of elements of x, w and y.
func (s *ConvShape) sizes() (x, w, y int) {
	oh, ow := s.Win.Out(s.H, s.W)
	return s.B * s.H * s.W * s.C, s.Win.KH * s.Win.KW * s.C / s.Groups * s.O, s.B * oh * ow * s.O
}

// pointwise reports whether the convolution is a product of matrices.
func (s *ConvShape) pointwise() bool {
	return s.Groups == 1 && s.Win == ir.Window{
		KH: 1, KW: 1, SH: 1, SW: 1, DH: s.Win.DH, DW: s.Win.DW,
	}
}

// Conv2D is a plan for convolutions of one shape and their gradients. The same
// inputs give the same bits for any number of threads.
//
// No matrix of image patches is ever built: the micro-kernels walk through the
// image, because the pixels of an output row are rows of a matrix with a constant
// stride, and the inputs of one of them are KH runs of KW·C consecutive elements.
// Images are copied, a band of rows at a time, only where they need zeros at their
// left and right. Where each channel is a group of its own, products are elementwise
// along the channels. Taps of 3 by 3 without strides, on channels in whole vectors, go
// through Winograd's algorithm: see way.go and winograd.go.
type Conv2D struct {
	pool  *pool.Pool
	path  *path
	shape ConvShape
	// Built when first used: see way.go.
	forward, gradInput correlator
	gradWeight         weightGrad
	pooled             *winograd // of ForwardPooled
}

// NewConv2D plans convolutions of the given shape on p.
func NewConv2D(p *pool.Pool, s ConvShape) *Conv2D { return newConv2D(p, best(), s) }

func newConv2D(p *pool.Pool, path *path, s ConvShape) *Conv2D {
	s.Groups = max(s.Groups, 1)
	return &Conv2D{pool: p, path: path, shape: s}
}

// Forward computes y as ir.Conv2D documents it; e may be nil, its Bias is [O] and
// Ref has the shape of y. It allocates nothing after the first call.
func (c *Conv2D) Forward(y, x, w []float32, e *Epilogue) {
	c.check(x, w, y)
	c.planForward().run(y, x, w, e)
}

// GradInput computes dx as ir.Conv2DDX documents it; e may be nil, its Ref has
// the shape of dx and its Bias, if any, is [C]. It allocates nothing after the
// first call.
func (c *Conv2D) GradInput(dx, w, dy []float32, e *Epilogue) {
	c.check(dx, w, dy)
	c.planGradInput().run(dx, dy, w, e)
}

// GradWeight computes dw as ir.Conv2DDW documents it. It allocates nothing after
// the first call.
func (c *Conv2D) GradWeight(dw, x, dy []float32) {
	c.check(x, dw, dy)
	c.planGradWeight().run(dw, x, dy)
}

// check panics if a tensor is too small for the shape.
func (c *Conv2D) check(x, w, y []float32) {
	nx, nw, ny := c.shape.sizes()
	if len(x) < nx || len(w) < nw || len(y) < ny {
		panic(fmt.Sprintf("gemm: invariant: convolution %+v on %d, %d, %d elements, wants %d, %d, %d",
			c.shape, len(x), len(w), len(y), nx, nw, ny))
	}
}
