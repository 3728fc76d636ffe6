package cpu

import (
	"github.com/gespann/gespann/backend/cpu/gemm"
	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/ir"
)

// matMul -- op MatMul: y = epilogue(op(a)·op(b)); see package gemm.
func matMul(c *call) step {
	at := &c.ins.Attrs
	y := c.out(0)
	m, n, k := c.productShape()
	kit, k := c.matrices(k)
	plan := kit.NewMatMul(c.pool, m, n, k, at.TransA, at.TransB)
	c.told.ask(plan.Describe)
	e := c.epilogue()
	return c.product(func(a, b []float32) { plan.Run(y, a, b, e) })
}

// productShape returns the sizes of a product [m,n] of depth k.
func (c *call) productShape() (m, n, k int) {
	m, n, k = c.outShape(0)[0], c.outShape(0)[1], c.shape(0)[1]
	if c.ins.Attrs.TransA {
		k = c.shape(0)[0]
	}
	return m, n, k
}

// epilogue returns what follows a product: its inputs are those after the first
// two. Activations that gemm does not compute itself are row functions of vec.
func (c *call) epilogue() *gemm.Epilogue {
	at := &c.ins.Attrs
	e := &gemm.Epilogue{Act: at.Act}
	next := 2
	if at.Bias {
		e.Bias = c.in(next)
		next++
	}
	if at.GradAct {
		e.Ref = c.in(next)
	}
	if at.Act == ir.NoAct || at.Act == ir.ReLU {
		return e
	}
	c.told.tell("activation a row of a chunk at a time")
	act, alpha := at.Act, float32(at.Alpha)
	if at.GradAct {
		e.Row = func(y, ref []float32) { vec.ActGrad(act, alpha, y, ref, y) }
	} else {
		e.Row = func(y, _ []float32) { vec.Act(act, alpha, y, y) }
	}
	return e
}

// convShape is the geometry of a convolution of x to y.
func (c *call) convShape(x, y []int) gemm.ConvShape {
	return gemm.ConvShape{B: x[0], H: x[1], W: x[2], C: x[3], O: y[3],
		Win: c.ins.Attrs.Win, Groups: c.ins.Attrs.Groups}
}

// conv2D -- op Conv2D; see package gemm.
func conv2D(c *call) step {
	plan := c.kit.NewConv2D(c.pool, c.convShape(c.shape(0), c.outShape(0)))
	c.told.ask(plan.DescribeForward)
	y, e := c.out(0), c.epilogue()
	return c.product(func(x, w []float32) { plan.Forward(y, x, w, e) })
}

// conv2DDX -- op Conv2DDX; see package gemm.
func conv2DDX(c *call) step {
	plan := c.kit.NewConv2D(c.pool, c.convShape(c.outShape(0), c.shape(1)))
	c.told.ask(plan.DescribeGradInput)
	dx, e := c.out(0), c.epilogue()
	return c.product(func(w, dy []float32) { plan.GradInput(dx, w, dy, e) })
}

// conv2DDW -- op Conv2DDW; see package gemm.
func conv2DDW(c *call) step {
	plan := c.kit.NewConv2D(c.pool, c.convShape(c.shape(0), c.shape(1)))
	c.told.ask(plan.DescribeGradWeight)
	dw := c.out(0)
	return c.product(func(x, dy []float32) { plan.GradWeight(dw, x, dy) })
}
