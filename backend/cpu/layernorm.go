package cpu

import (
	"math"

	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/ir"
)

// layerNorm -- op LayerNorm: y = gamma·(x−mean)·rstd + beta over each row,
// rstd = 1/sqrt(variance+Eps)
// sums     f64, in order
func layerNorm(c *call) step {
	rows, cols := ir.Rows(c.shape(0))
	y, mean, rstd := c.out(0), c.out(1), c.out(2)
	x, gamma, beta, eps := c.in(0), c.in(1), c.in(2), c.ins.Attrs.Eps
	return c.rows(rows, cols, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row, out := x[r*cols:(r+1)*cols], y[r*cols:(r+1)*cols]
			m, v := moments(row)
			s := 1 / math.Sqrt(v+eps)
			mean[r], rstd[r] = float32(m), float32(s)
			for i, v := range row {
				out[i] = float32((float64(v)-m)*s*float64(gamma[i]) + float64(beta[i]))
			}
		}
	})
}

// moments returns the mean and the biased variance of a row.
func moments(row []float32) (mean, variance float64) {
	for _, v := range row {
		mean += float64(v)
	}
	mean /= float64(len(row))
	for _, v := range row {
		d := float64(v) - mean
		variance += d * d
	}
	return mean, variance / float64(len(row))
}

// layerNormGrad -- op LayerNormGrad, with xhat = (x−mean)·rstd and g = gamma·dy:
//
//	dbeta = Σ_r dy;  dgamma = Σ_r dy·xhat
//	dx    = rstd·(g − mean_c(g) − xhat·mean_c(g·xhat))
//
// sums     dx f64 in order of c; dbeta, dgamma f32 as columnSums
func layerNormGrad(c *call) step {
	var steps []step
	if sums := c.layerNormParams(); sums != nil {
		steps = append(steps, sums)
	}
	rows, cols := ir.Rows(c.shape(0))
	dx, x, gamma, mean, rstd, dy := c.out(0), c.in(0), c.in(1), c.in(2), c.in(3), c.in(4)
	if dx != nil {
		steps = append(steps, c.rows(rows, cols, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				i, j := r*cols, (r+1)*cols
				layerNormRow(dx[i:j], x[i:j], gamma, dy[i:j], float64(mean[r]), float64(rstd[r]))
			}
		}))
	}
	return sequence(steps...)
}

// layerNormRow computes dx of one row.
func layerNormRow(dx, x, gamma, dy []float32, mean, rstd float64) {
	var sum, dot float64
	for i, v := range x {
		g := float64(gamma[i]) * float64(dy[i])
		sum += g
		dot += g * (float64(v) - mean) * rstd
	}
	n := float64(len(x))
	for i, v := range x {
		g := float64(gamma[i]) * float64(dy[i])
		dx[i] = float32(rstd * (g - sum/n - (float64(v)-mean)*rstd*dot/n))
	}
}

// layerNormParams returns the step that computes dgamma and dbeta, nil when
// neither is wanted.
func (c *call) layerNormParams() step {
	rows, cols := ir.Rows(c.shape(0))
	x, mean, rstd, dy := c.in(0), c.in(2), c.in(3), c.in(4)
	var sums []*columnSum
	if dgamma := c.out(1); dgamma != nil {
		sums = append(sums, &columnSum{out: dgamma, add: func(sum []float32, lo, hi int) {
			for r := lo; r < hi; r++ {
				m, s := mean[r], rstd[r]
				row, d := x[r*cols:(r+1)*cols], dy[r*cols:(r+1)*cols]
				for i, v := range row {
					sum[i] += float32(d[i] * float32((v-m)*s))
				}
			}
		}})
	}
	if dbeta := c.out(2); dbeta != nil {
		sums = append(sums, &columnSum{out: dbeta, add: func(sum []float32, lo, hi int) {
			vec.SumColumns(sum, dy[lo*cols:], hi-lo)
		}})
	}
	if sums == nil {
		return nil
	}
	return c.columnSums(rows, cols, sums)
}
