package cpu

import (
	"math"

	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
)

// Batch normalisation is in two halves: sums over the rows, as a vector of package meet,
// and what they are for. Between them a session may put the sums of more rows.

// halves returns the step of both halves, one after the other.
func (c *call) halves(sums, rest step, v []float64) step {
	c.meets = &host.Halves{V: v, Sums: sums, Rest: rest}
	return sequence(sums, rest)
}

// batchNorm -- op BatchNorm: y = act(gamma·(x−mean)/sqrt(variance+Eps) + beta)
// sums     mean and variance as columnPairs of moments
func batchNorm(c *call) step {
	rows, cols := ir.Rows(c.shape(0))
	mean, variance := c.out(1), c.out(2)
	v := meet.PointOf(c.p, c.ins).Vector()
	finish := func() {
		m, squares := meet.Channels(v)
		n := meet.Count(v)
		for i, m := range m {
			mean[i], variance[i] = float32(m), float32(squares[i]/n)
		}
	}
	return c.halves(c.columnPairs(rows, cols, v, &moments{x: c.in(0)}),
		sequence(finish, c.normalise(mean, variance)), v)
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
//	dx    = gamma·rstd·(dy − dbeta/n − xhat·dgamma/n)
//
// sums     as columnPairs. In dx they, and n, are those of the whole gradient run; dgamma
// and dbeta are of these rows alone, and added up as all gradients are.
func batchNormGrad(c *call) step {
	rows, cols := ir.Rows(c.shape(0))
	x, gamma, mean, variance, dy := c.in(0), c.in(1), c.in(2), c.in(3), c.in(4)
	dx, dgamma, dbeta, eps := c.out(0), c.out(1), c.out(2), c.ins.Attrs.Eps
	wide := fold(cols) * cols
	center, scale := make([]float32, wide), make([]float32, wide)
	a, b := make([]float32, wide), make([]float32, wide)
	v := meet.PointOf(c.p, c.ins).Vector()
	pairs := c.columnPairs(rows, cols, v, &products{x: x, dy: dy, center: center, columns: cols})
	rstds := make([]float64, cols)
	own := func() {
		sum, dot := meet.Channels(v)
		for i := range cols {
			rstds[i] = rstd(variance[i], eps)
			if dbeta != nil {
				dbeta[i] = float32(sum[i])
			}
			if dgamma != nil {
				dgamma[i] = float32(dot[i] * rstds[i])
			}
		}
	}
	sums := sequence(func() { repeat(center, mean[:cols]) }, pairs, own)
	if dx == nil {
		return c.halves(sums, func() {}, v)
	}
	columns := func() {
		sum, dot := meet.Channels(v)
		n := meet.Count(v)
		for i, r := range rstds {
			scale[i] = float32(float64(gamma[i]) * r)
			a[i], b[i] = float32(sum[i]/n), float32(dot[i]*r*r/n)
		}
		for _, v := range [][]float32{scale, a, b} {
			repeat(v[cols:], v[:cols])
		}
	}
	return c.halves(sums, sequence(columns, c.wideRows(rows, cols, func(from, to int) {
		vec.NormaliseGrad(dx[from:to], dy[from:], x[from:], center, scale, a, b)
	})), v)
}
