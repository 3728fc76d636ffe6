package cpu

import (
	"math"

	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/ir"
)

// batchNorm -- op BatchNorm: y = act(gamma·(x−mean)/sqrt(variance+Eps) + beta)
// sums     mean, then variance around it, in f32 as columnSums
func batchNorm(c *call) step {
	rows, cols := ir.Rows(c.shape(0))
	mean, variance, x := c.out(1), c.out(2), c.in(0)
	means := c.columnSums(rows, cols, []*columnSum{{out: mean,
		add: func(sum []float32, lo, hi int) { vec.SumColumns(sum, x[lo*cols:], hi-lo) }}})
	variances := c.columnSums(rows, cols, []*columnSum{{out: variance,
		add: func(sum []float32, lo, hi int) {
			for i := lo * cols; i < hi*cols; i += cols {
				vec.AddSquares(sum, x[i:], mean)
			}
		}}})
	divide := func(sums []float32) step {
		return func() {
			for i, v := range sums {
				sums[i] = float32(float64(v) / float64(rows))
			}
		}
	}
	return sequence(means, divide(mean), variances, divide(variance), c.normalise(mean, variance))
}

// batchNormInfer -- op BatchNormInfer: batchNorm with given mean and variance
func batchNormInfer(c *call) step { return c.normalise(c.in(3), c.in(4)) }

// normalise returns the step y = act(gamma·(x−mean)·rstd + beta).
func (c *call) normalise(mean, variance []float32) step {
	rows, cols := ir.Rows(c.shape(0))
	y, x, gamma, beta := c.out(0), c.in(0), c.in(1), c.in(2)
	act, alpha, eps := c.ins.Attrs.Act, float32(c.ins.Attrs.Alpha), c.ins.Attrs.Eps
	scale := make([]float32, cols)
	lines := c.rows(rows, cols, func(lo, hi int) {
		for i := lo * cols; i < hi*cols; i += cols {
			vec.Normalise(y[i:i+cols], x[i:], mean, scale, beta)
		}
		if part := y[lo*cols : hi*cols]; act != ir.NoAct {
			vec.Act(act, alpha, part, part)
		}
	})
	return func() {
		for i := range scale {
			scale[i] = float32(float64(gamma[i]) * rstd(variance[i], eps))
		}
		lines()
	}
}

func rstd(variance float32, eps float64) float64 { return 1 / math.Sqrt(float64(variance)+eps) }

// batchNormGrad -- op BatchNormGrad, with xhat = (x−mean)·rstd:
//
//	dbeta = Σ_r dy;  dgamma = Σ_r dy·xhat
//	dx    = gamma·rstd·(dy − dbeta/R − xhat·dgamma/R)
//
// sums     f32 as columnSums
func batchNormGrad(c *call) step {
	rows, cols := ir.Rows(c.shape(0))
	x, gamma, mean, variance, dy := c.in(0), c.in(1), c.in(2), c.in(3), c.in(4)
	dx, dgamma, dbeta, eps := c.out(0), c.out(1), c.out(2), c.ins.Attrs.Eps
	sum := &columnSum{add: func(sum []float32, lo, hi int) {
		vec.SumColumns(sum, dy[lo*cols:], hi-lo)
	}}
	dot := &columnSum{add: func(sum []float32, lo, hi int) { // Σ dy·(x−mean)
		for i := lo * cols; i < hi*cols; i += cols {
			vec.AddProducts(sum, dy[i:], x[i:], mean)
		}
	}}
	sums := c.columnSums(rows, cols, []*columnSum{sum, dot})
	scale, a, b := make([]float32, cols), make([]float32, cols), make([]float32, cols)
	columns := func() {
		for i := range scale {
			s, d, r := float64(sum.part[i]), float64(dot.part[i]), rstd(variance[i], eps)
			if dbeta != nil {
				dbeta[i] = float32(s)
			}
			if dgamma != nil {
				dgamma[i] = float32(d * r)
			}
			scale[i] = float32(float64(gamma[i]) * r)
			a[i], b[i] = float32(s/float64(rows)), float32(d*r*r/float64(rows))
		}
	}
	if dx == nil {
		return sequence(sums, columns)
	}
	return sequence(sums, columns, c.rows(rows, cols, func(lo, hi int) {
		for i := lo * cols; i < hi*cols; i += cols {
			vec.NormaliseGrad(dx[i:i+cols], dy[i:], x[i:], mean, scale, a, b)
		}
	}))
}
