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
	center := make([]float32, fold(cols)*cols)
	means := c.columnSums(rows, cols, []*columnSum{{out: mean,
		add: func(sum []float32, at, n int) { addRows(sum, x[at:], n) }}})
	variances := c.columnSums(rows, cols, []*columnSum{{out: variance,
		add: func(sum []float32, at, n int) {
			for i := at; i < at+n*len(sum); i += len(sum) {
				vec.AddSquares(sum, x[i:], center)
			}
		}}})
	divide := func(sums []float32) step {
		return func() {
			for i, v := range sums {
				sums[i] = float32(float64(v) / float64(rows))
			}
		}
	}
	return sequence(means, divide(mean), func() { repeat(center, mean) },
		variances, divide(variance), c.normalise(mean, variance))
}

// batchNormInfer -- op BatchNormInfer: batchNorm with given mean and variance
func batchNormInfer(c *call) step { return c.normalise(c.in(3), c.in(4)) }

// normalise returns the step y = act(gamma·(x−mean)·rstd + beta).
func (c *call) normalise(mean, variance []float32) step {
	rows, cols := ir.Rows(c.shape(0))
	y, x, gamma, beta := c.out(0), c.in(0), c.in(1), c.in(2)
	act, alpha, eps := c.ins.Attrs.Act, float32(c.ins.Attrs.Alpha), c.ins.Attrs.Eps
	wide := fold(cols) * cols
	center, scale, shift := make([]float32, wide), make([]float32, wide), make([]float32, wide)
	lines := c.wideRows(rows, cols, func(from, to int) {
		vec.Normalise(y[from:to], x[from:], center, scale, shift)
		if act != ir.NoAct {
			vec.Act(act, alpha, y[from:to], y[from:to])
		}
	})
	return func() {
		for i := range cols {
			scale[i] = float32(float64(gamma[i]) * rstd(variance[i], eps))
		}
		repeat(scale[cols:], scale[:cols])
		repeat(center, mean[:cols])
		repeat(shift, beta[:cols])
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
	wide := fold(cols) * cols
	center, scale := make([]float32, wide), make([]float32, wide)
	a, b := make([]float32, wide), make([]float32, wide)
	sum := &columnSum{add: func(sum []float32, at, n int) { addRows(sum, dy[at:], n) }}
	dot := &columnSum{add: func(sum []float32, at, n int) { // Σ dy·(x−mean)
		for i := at; i < at+n*len(sum); i += len(sum) {
			vec.AddProducts(sum, dy[i:], x[i:], center)
		}
	}}
	sums := c.columnSums(rows, cols, []*columnSum{sum, dot})
	columns := func() {
		for i := range cols {
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
		for _, v := range [][]float32{scale, a, b} {
			repeat(v[cols:], v[:cols])
		}
	}
	first := func() { repeat(center, mean[:cols]) }
	if dx == nil {
		return sequence(first, sums, columns)
	}
	return sequence(first, sums, columns, c.wideRows(rows, cols, func(from, to int) {
		vec.NormaliseGrad(dx[from:to], dy[from:], x[from:], center, scale, a, b)
	}))
}
