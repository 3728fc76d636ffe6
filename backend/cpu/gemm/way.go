package gemm

// How a convolution is computed is decided here, from its shape and the path alone:
// as a product of matrices where there is one tap, through Winograd's algorithm where
// winogradFits, else directly.

// A correlator computes dst from src and weights w; e may be nil. It is a *MatMul,
// a *winograd or a *correlation.
type correlator interface {
	run(dst, src, w []float32, e *Epilogue)
	Describe() string
}

// A weightGrad computes the gradient dw of the weights. It is a weightProduct, a
// *winogradDW or a *convDW.
type weightGrad interface {
	run(dw, x, dy []float32)
	Describe() string
}

// planForward returns how Forward computes, planned when it is first asked for.
func (c *Conv2D) planForward() correlator {
	if c.forward == nil {
		s := &c.shape
		switch {
		case s.pointwise():
			c.forward = newMatMul(c.pool, c.path, s.B*s.H*s.W, s.O, s.C, false, false)
		case winogradFits(c.path, s):
			c.forward = newWinograd(c.pool, c.path, forwardImage(s), -s.Win.PT, -s.Win.PL)
		default:
			c.forward = newCorrelation(c.pool, c.path, forwardImage(s), forwardPhases(s))
		}
	}
	return c.forward
}

// planGradInput is planForward for GradInput.
func (c *Conv2D) planGradInput() correlator {
	if c.gradInput == nil {
		s := &c.shape
		switch {
		case s.pointwise():
			c.gradInput = newMatMul(c.pool, c.path, s.B*s.H*s.W, s.C, s.O, false, true)
		case winogradFits(c.path, s):
			c.gradInput = newWinograd(c.pool, c.path, gradInputImage(s), s.Win.PT-2, s.Win.PL-2)
		default:
			c.gradInput = newCorrelation(c.pool, c.path, gradInputImage(s), gradInputPhases(s))
		}
	}
	return c.gradInput
}

// planGradWeight is planForward for GradWeight.
func (c *Conv2D) planGradWeight() weightGrad {
	if c.gradWeight == nil {
		s := &c.shape
		switch {
		case s.pointwise():
			c.gradWeight = weightProduct{newMatMul(c.pool, c.path, s.C, s.O, s.B*s.H*s.W, true, false)}
		case winogradFits(c.path, s) && winogradParts(s) >= winogradPartsMin:
			c.gradWeight = newWinogradDW(c.pool, c.path, s)
		default:
			c.gradWeight = newConvDW(c.pool, c.path, s)
		}
	}
	return c.gradWeight
}

// planPooled is planForward for ForwardPooled.
func (c *Conv2D) planPooled() *winograd {
	if c.pooled == nil {
		s := &c.shape
		c.pooled = planWinograd(c.pool, c.path, forwardImage(s), -s.Win.PT, -s.Win.PL, true)
	}
	return c.pooled
}

// run is Run, for correlator.
func (g *MatMul) run(c, a, b []float32, e *Epilogue) { g.Run(c, a, b, e) }

// weightProduct is the gradient of the weights of a single tap: dw = xᵀ·dy.
type weightProduct struct{ *MatMul }

func (g weightProduct) run(dw, x, dy []float32) { g.Run(dw, x, dy, nil) }

// bInPlace reports whether a chunk of so many rows reads a panel of b where it is: a
// whole one that is read once is not worth packing.
func (g *MatMul) bInPlace(rows, cols int) bool {
	width := g.path.panelWidth(cols)
	return !g.packing && !g.transB && cols == width && g.path.kernels(width).tiles(rows) == 1
}

// packsOnTheWay reports whether the first tile of a panel copies b while it reads it.
func (g *MatMul) packsOnTheWay(cols int) bool {
	return g.path.packs && !g.transB && cols == g.path.width
}

// dyInPlace reports whether a panel of so many channels of dy is read where it is;
// else each band of rows is packed.
func (d *convDW) dyInPlace(cols int) bool {
	return d.depthwise() || cols == d.path.panelWidth(cols) && !aliases(d.dstC)
}

// runs reports whether all taps along a row are a single run of source elements, so
// that one kernel call sums over them and all rows; else there is one for each row of
// taps.
func (c *correlation) runs(x *axis) bool {
	return c.groups == 1 && (x.dilate == 1 || len(x.taps) == 1)
}

// acrossImages reports whether the pixels of a tile are the same column of several
// images, instead of columns of one row.
func (c *correlation) acrossImages(ph *phase, images int) bool { return ph.x.n < images }
