package cpu

import (
	"math"

	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/ir"
)

// layerNorm -- op LayerNorm: y = gamma·(x−mean)·rstd + beta over each row,
// rstd = 1/sqrt(variance+Eps)
// sums     mean, then variance around it, in f32 as vec.Sum
func layerNorm(c *call) step {
	rows, cols := ir.Rows(c.shape(0))
	y, mean, rstd := c.out(0), c.out(1), c.out(2)
	x, gamma, beta, eps := c.in(0), c.in(1), c.in(2), c.ins.Attrs.Eps
	return c.rows(rows, cols, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row, out := x[r*cols:(r+1)*cols], y[r*cols:(r+1)*cols]
			mean[r] = vec.Sum(row) / float32(cols)
			vec.Squares(out, row, mean[r])
			rstd[r] = float32(1 / math.Sqrt(float64(vec.Sum(out))/float64(cols)+eps))
			vec.NormaliseRow(out, row, gamma, beta, mean[r], rstd[r])
		}
	})
}

// layerNormGrad -- op LayerNormGrad, with xhat = (x−mean)·rstd and g = gamma·dy:
//
//	dbeta = Σ_r dy;  dgamma = Σ_r dy·xhat
//	dx    = rstd·(g − mean_c(g) − xhat·mean_c(g·xhat))
//
// sums     f32: dx as vec.Sum, dbeta and dgamma as columnSums
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
				layerNormRow(dx[i:j], x[i:j], gamma, dy[i:j], mean[r], rstd[r])
			}
		}))
	}
	return sequence(steps...)
}

// layerNormRow computes dx of one row, which is scratch before.
func layerNormRow(dx, x, gamma, dy []float32, mean, rstd float32) {
	n := float32(len(x))
	vec.Mul(dx, gamma, dy)
	g := vec.Sum(dx) / n
	vec.MulNormal(dx, dx, x, mean, rstd)
	dot := vec.Sum(dx) / n
	vec.NormaliseRowGrad(dx, dy, x, gamma, mean, rstd, g, dot)
}

// layerNormParams returns the step that computes dgamma and dbeta, nil when
// neither is wanted.
func (c *call) layerNormParams() step {
	rows, cols := ir.Rows(c.shape(0))
	x, mean, rstd, dy := c.in(0), c.in(2), c.in(3), c.in(4)
	var sums []*columnSum
	if dgamma := c.out(1); dgamma != nil {
		sums = append(sums, &columnSum{out: dgamma, add: func(sum []float32, at, n int) {
			for i := 0; i < n*len(sum); i += cols {
				r, to := (at+i)/cols, sum[i%len(sum):][:cols]
				vec.AddMulNormal(to, dy[at+i:], x[at+i:], mean[r], rstd[r])
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
