package gemm

import (
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

// Conv2D is a plan for convolutions of one shape and their gradients. The same
// inputs give the same bits for any number of threads.
type Conv2D struct {
	pool  *pool.Pool
	shape ConvShape
}

// NewConv2D plans convolutions of the given shape on p.
func NewConv2D(p *pool.Pool, s ConvShape) *Conv2D { return &Conv2D{pool: p, shape: s} }

// Forward computes y as ir.Conv2D documents it; e may be nil, its Bias is [O] and
// Ref has the shape of y. It allocates nothing after the first call.
func (c *Conv2D) Forward(y, x, w []float32, e *Epilogue) { panic("gemm: not yet") }

// GradInput computes dx as ir.Conv2DDX documents it; e may be nil, its Ref has
// the shape of dx. It allocates nothing after the first call.
func (c *Conv2D) GradInput(dx, w, dy []float32, e *Epilogue) { panic("gemm: not yet") }

// GradWeight computes dw as ir.Conv2DDW documents it. It allocates nothing after
// the first call.
func (c *Conv2D) GradWeight(dw, x, dy []float32) { panic("gemm: not yet") }
