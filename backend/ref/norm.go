package ref

import (
	"math"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
)

// meetSums writes to v, laid out as package meet says, the sums over the rows of batch
// normalisation or its gradient, and meetRest the outputs from those of all rows of the
// gradient run. With one after the other the rows here are all.
func (c call[T]) meetSums(v []float64) {
	rows, cols := ir.Rows(c.shape(0))
	meet.SetCount(v, rows)
	if c.ins.Op == ir.BatchNorm {
		batchNormSums(v, c.in(0), rows, cols)
		return
	}
	batchNormGradSums(v, c.out(1), c.out(2), c.in(0), c.in(2), c.in(3), c.in(4), rows, cols, c.ins.Attrs.Eps)
}

func (c call[T]) meetRest(v []float64) {
	rows, cols := ir.Rows(c.shape(0))
	a := &c.ins.Attrs
	if c.ins.Op == ir.BatchNorm {
		batchNorm(c.out(0), c.out(1), c.out(2), c.in(0), c.in(1), c.in(2), v, rows, cols, a)
	} else if dx := c.out(0); dx != nil {
		batchNormDX(dx, c.in(0), c.in(1), c.in(2), c.in(3), c.in(4), v, rows, cols, a.Eps)
	}
}

// batchNormSums computes, over the rows of x [R,C], mean[c] and Σ (x − mean)².
func batchNormSums[T Float](v []float64, x []T, rows, cols int) {
	mean, squares := meet.Channels(v)
	for c := range cols {
		m, variance := moments(x[c:], rows, cols)
		mean[c], squares[c] = m, variance*float64(rows)
	}
}

// batchNorm computes, from mean and Σ (x − mean)² of n values in each channel,
//
//	variance = Σ (x − mean)² / n
//	y = act(gamma·(x−mean)/sqrt(variance+Eps) + beta)
//
// Shapes: y, x [R,C]; the others [C].
func batchNorm[T Float](y, mean, variance, x, gamma, beta []T, v []float64, rows, cols int, a *ir.Attrs) {
	means, squares := meet.Channels(v)
	for c := range cols {
		mean[c], variance[c] = T(means[c]), T(squares[c]/meet.Count(v))
	}
	normalise(y, x, gamma, beta, mean, variance, rows, cols, a)
}

// moments returns the mean and the biased variance of n elements, stride apart.
func moments[T Float](x []T, n, stride int) (mean, variance float64) {
	for i := range n {
		mean += float64(x[i*stride])
	}
	mean /= float64(n)
	for i := range n {
		d := float64(x[i*stride]) - mean
		variance += d * d
	}
	return mean, variance / float64(n)
}

// normalise computes y = act(gamma·(x−mean)/sqrt(variance+Eps) + beta).
func normalise[T Float](y, x, gamma, beta, mean, variance []T, rows, cols int, a *ir.Attrs) {
	for r := range rows {
		for c := range cols {
			rstd := 1 / math.Sqrt(float64(variance[c])+a.Eps)
			xhat := (float64(x[r*cols+c]) - float64(mean[c])) * rstd
			y[r*cols+c] = T(act(a, float64(gamma[c])*xhat+float64(beta[c])))
		}
	}
}

// batchNormGradSums computes Σ_r dy and Σ_r dy·(x−mean), and with rstd =
// 1/sqrt(variance+Eps)
//
//	dbeta  = Σ_r dy
//	dgamma = rstd·Σ_r dy·(x−mean)
//
// Outputs that are nil are left out. Shapes: x, dy [R,C]; the others [C].
func batchNormGradSums[T Float](v []float64, dgamma, dbeta, x, mean, variance, dy []T,
	rows, cols int, eps float64) {
	sums, dots := meet.Channels(v)
	for c := range cols {
		var sum, dot float64
		for i := c; i < rows*cols; i += cols {
			sum += float64(dy[i])
			dot += float64(dy[i]) * (float64(x[i]) - float64(mean[c]))
		}
		sums[c], dots[c] = sum, dot
		if dgamma != nil {
			dgamma[c] = T(dot / math.Sqrt(float64(variance[c])+eps))
		}
		if dbeta != nil {
			dbeta[c] = T(sum)
		}
	}
}

// batchNormDX computes, from those sums over n values in each channel, with xhat =
// (x−mean)·rstd,
//
//	dx = gamma·rstd·(dy − Σ dy/n − xhat·rstd·Σ dy·(x−mean)/n)
//
// Shapes: dx, x, dy [R,C]; the others [C].
func batchNormDX[T Float](dx, x, gamma, mean, variance, dy []T, v []float64, rows, cols int, eps float64) {
	sums, dots := meet.Channels(v)
	n := meet.Count(v)
	for c := range cols {
		m, rstd := float64(mean[c]), 1/math.Sqrt(float64(variance[c])+eps)
		for i := c; i < rows*cols; i += cols {
			xhat := (float64(x[i]) - m) * rstd
			d := float64(dy[i]) - sums[c]/n - xhat*rstd*dots[c]/n
			dx[i] = T(float64(gamma[c]) * rstd * d)
		}
	}
}

// layerNorm computes, over each row,
//
//	y = gamma·(x−mean)·rstd + beta,  rstd = 1/sqrt(variance+Eps)
//
// Shapes: y, x [R,C]; mean, rstd [R]; gamma, beta [C].
func layerNorm[T Float](y, mean, rstd, x, gamma, beta []T, rows, cols int, eps float64) {
	for r := range rows {
		m, v := moments(x[r*cols:], cols, 1)
		s := 1 / math.Sqrt(v+eps)
		mean[r], rstd[r] = T(m), T(s)
		for c := range cols {
			xhat := (float64(x[r*cols+c]) - m) * s
			y[r*cols+c] = T(float64(gamma[c])*xhat + float64(beta[c]))
		}
	}
}

// layerNormGrad computes, with xhat = (x−mean)·rstd and g = gamma·dy:
//
//	dbeta  = Σ_r dy
//	dgamma = Σ_r dy·xhat
//	dx     = rstd·(g − mean_c(g) − xhat·mean_c(g·xhat))
//
// mean[r] has been rounded: mean here is mean[r] + mean_c(x − mean[r]). Outputs that
// are nil are left out. Shapes: dx, x, dy [R,C]; mean, rstd [R]; the others [C]; rest
// is R zeros.
func layerNormGrad[T Float](dx, dgamma, dbeta, x, gamma, mean, rstd, dy []T, rows, cols int, rest []float64) {
	for i, v := range x {
		rest[i/cols] += (float64(v) - float64(mean[i/cols])) / float64(cols)
	}
	xhat := func(r, c int) float64 {
		return (float64(x[r*cols+c]) - float64(mean[r]) - rest[r]) * float64(rstd[r])
	}
	for c := range cols {
		var sum, dot float64
		for r := range rows {
			sum += float64(dy[r*cols+c])
			dot += float64(dy[r*cols+c]) * xhat(r, c)
		}
		if dgamma != nil {
			dgamma[c] = T(dot)
		}
		if dbeta != nil {
			dbeta[c] = T(sum)
		}
	}
	if dx == nil {
		return
	}
	for r := range rows {
		g := func(c int) float64 { return float64(gamma[c]) * float64(dy[r*cols+c]) }
		var sum, dot float64
		for c := range cols {
			sum += g(c)
			dot += g(c) * xhat(r, c)
		}
		for c := range cols {
			d := g(c) - sum/float64(cols) - xhat(r, c)*dot/float64(cols)
			dx[r*cols+c] = T(float64(rstd[r]) * d)
		}
	}
}

// embedding copies rows: y[i] = table[ids[i]], zeros for an id outside [0,V).
// Shapes: y [n,D], table [V,D], ids [n].
func embedding[T Float](y, table []T, ids []int32, vocabulary, dim int) {
	for i, id := range ids {
		row := y[i*dim : (i+1)*dim]
		if id < 0 || int(id) >= vocabulary {
			clear(row)
			continue
		}
		copy(row, table[int(id)*dim:])
	}
}

// embeddingGrad computes dtable[id] = Σ dy[i] over the i with ids[i] = id, in
// order of i. Shapes: dtable [V,D], ids [n], dy [n,D]; sums is V·D zeros.
func embeddingGrad[T Float](dtable []T, ids []int32, dy []T, vocabulary, dim int, sums []float64) {
	for i, id := range ids {
		if id < 0 || int(id) >= vocabulary {
			continue
		}
		for d := range dim {
			sums[int(id)*dim+d] += float64(dy[i*dim+d])
		}
	}
	store(dtable, sums)
}
