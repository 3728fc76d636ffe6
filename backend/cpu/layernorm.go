package cpu

import (
	"math"

	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/ir"
)

// layerNorm -- op LayerNorm: y = gamma·(x−mean)·rstd + beta over each row,
// rstd = 1/sqrt(variance+Eps)
// sums     f32 as vec.Sum; see rowMoments
// error    a few units in the last place of |gamma·xhat| + |beta|, and half of
// γ_134 |gamma·xhat| for rstd, wherever the row's mean is
func layerNorm(c *call) step {
	rows, cols := ir.Rows(c.shape(0))
	y, mean, rstd := c.out(0), c.out(1), c.out(2)
	x, gamma, beta, eps := c.in(0), c.in(1), c.in(2), c.ins.Attrs.Eps
	each := 1 / float64(cols)
	return c.rows(rows, cols, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row, out := x[r*cols:(r+1)*cols], y[r*cols:(r+1)*cols]
			m, variance := rowMoments(row, each)
			s := 1 / math.Sqrt(variance+eps)
			mean[r], rstd[r] = float32(m), float32(s)
			vec.NormaliseRow(out, row, gamma, beta, mean[r], rstd[r], float32((m-float64(mean[r]))*s))
		}
	})
}

// rowMoments returns the mean and the biased variance of a row of n elements; each
// is 1/n.
//
//	mean     = a + 1/n Σ (x−a)
//	variance = 1/n Σ (x−a)² − (1/n Σ (x−a))²
//
// for a near the mean, where x−a is exact and small: first the mean as its sum in
// float32 gives it and, where that is farther off than a deviation, once more the
// mean found so. Then the subtrahend is at most the variance, and the result is
// within 2γ_136 of it; the mean within γ_134 of a deviation.
//
// Source: Chan, Golub and LeVeque, Algorithms for computing the sample variance,
// Am. Stat. 37 (1983), the corrected two-pass algorithm.
func rowMoments(x []float32, each float64) (mean, variance float64) {
	mean = float64(vec.Sum(x)) * each
	for range 2 {
		near := float32(mean)
		sum, squares := vec.Deviations(x, near)
		off := sum * each
		mean, variance = float64(near)+off, squares*each-off*off
		if !(off*off > variance) {
			break
		}
	}
	return mean, max(variance, 0)
}

// layerNormGrad -- op LayerNormGrad, with xhat = (x−mean)·rstd and g = gamma·dy:
//
//	dbeta = Σ_r dy;  dgamma = Σ_r dy·xhat
//	dx    = rstd·(g − mean_c(g) − xhat·mean_c(g·xhat))
//
// mean is rounded: in xhat, what that leaves of it is the mean of (x−mean)·rstd.
//
// sums     f32: dx as vec.Sum, dbeta and dgamma as columnSums
func layerNormGrad(c *call) step {
	rows, cols := ir.Rows(c.shape(0))
	dx, x, gamma, mean, rstd, dy := c.out(0), c.in(0), c.in(1), c.in(2), c.in(3), c.in(4)
	rest := make([]float32, rows)
	var steps []step
	if dx != nil || c.out(1) != nil {
		steps = append(steps, c.rows(rows, cols, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				i, j := r*cols, (r+1)*cols
				if dx == nil {
					sum, _ := vec.Deviations(x[i:j], mean[r])
					rest[r] = float32(sum / float64(cols) * float64(rstd[r]))
					continue
				}
				rest[r] = layerNormRow(dx[i:j], x[i:j], gamma, dy[i:j], mean[r], rstd[r])
			}
		}))
	}
	if sums := c.layerNormParams(rest); sums != nil {
		steps = append(steps, sums)
	}
	return sequence(steps...)
}

// layerNormRow computes dx of one row, and returns its rest.
func layerNormRow(dx, x, gamma, dy []float32, mean, rstd float32) (rest float32) {
	n := float64(len(x))
	g, h, dot := vec.NormalSums(x, gamma, dy, mean, rstd)
	rest = float32(h / n)
	dot = dot/n - float64(rest)*(g/n)
	vec.NormaliseRowGrad(dx, dy, x, gamma, mean, rstd, rest, float32(g/n), float32(dot))
	return rest
}

// layerNormParams returns the step that computes dgamma and dbeta, nil when
// neither is wanted. rest is that of each row.
func (c *call) layerNormParams(rest []float32) step {
	rows, cols := ir.Rows(c.shape(0))
	x, mean, rstd, dy := c.in(0), c.in(2), c.in(3), c.in(4)
	var sums []*columnSum
	if dgamma := c.out(1); dgamma != nil {
		sums = append(sums, &columnSum{out: dgamma, add: func(sum []float32, at, n int) {
			for i := 0; i < n*len(sum); i += cols {
				r, to := (at+i)/cols, sum[i%len(sum):][:cols]
				vec.AddMulNormal(to, dy[at+i:], x[at+i:], mean[r], rstd[r], rest[r])
			}
		}})
	}
	if dbeta := c.out(2); dbeta != nil {
		sums = append(sums, &columnSum{out: dbeta, add: func(sum []float32, at, n int) {
			addRows(sum, dy[at:], n)
		}})
	}
	if sums == nil {
		return nil
	}
	return c.columnSums(rows, cols, sums)
}
