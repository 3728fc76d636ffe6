package ref

import (
	"math"

	"github.com/gespann/gespann/backend/ir"
)

// norm runs normalisations and embeddings.
func (c call[T]) norm() {
	a := &c.ins.Attrs
	switch c.ins.Op {
	case ir.BatchNorm:
		rows, cols := ir.Rows(c.shape(0))
		batchNorm(c.out(0), c.out(1), c.out(2), c.in(0), c.in(1), c.in(2), rows, cols, a)
	case ir.BatchNormInfer:
		rows, cols := ir.Rows(c.shape(0))
		normalise(c.out(0), c.in(0), c.in(1), c.in(2), c.in(3), c.in(4), rows, cols, a)
	case ir.BatchNormGrad:
		rows, cols := ir.Rows(c.shape(0))
		batchNormGrad(c.out(0), c.out(1), c.out(2), c.in(0), c.in(1), c.in(2), c.in(3), c.in(4),
			rows, cols, a.Eps)
	case ir.LayerNorm:
		rows, cols := ir.Rows(c.shape(0))
		layerNorm(c.out(0), c.out(1), c.out(2), c.in(0), c.in(1), c.in(2), rows, cols, a.Eps)
	case ir.LayerNormGrad:
		rows, cols := ir.Rows(c.shape(0))
		layerNormGrad(c.out(0), c.out(1), c.out(2), c.in(0), c.in(1), c.in(2), c.in(3), c.in(4),
			rows, cols)
	case ir.Embedding:
		embedding(c.out(0), c.in(0), c.ints(1), c.shape(0)[0], c.shape(0)[1])
	case ir.EmbeddingGrad:
		embeddingGrad(c.out(0), c.ints(0), c.in(1), a.Dims[0], a.Dims[1])
	}
}

// batchNorm computes mean[c] and variance[c] over the rows, and
//
//	y = act(gamma·(x−mean)/sqrt(variance+Eps) + beta)
//
// Shapes: y, x [R,C]; the others [C].
func batchNorm[T Float](y, mean, variance, x, gamma, beta []T, rows, cols int, a *ir.Attrs) {
	for c := range cols {
		m, v := moments(x[c:], rows, cols)
		mean[c], variance[c] = T(m), T(v)
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

// batchNormGrad computes, with xhat = (x−mean)·rstd, rstd = 1/sqrt(variance+Eps):
//
//	dbeta  = Σ_r dy
//	dgamma = Σ_r dy·xhat
//	dx     = gamma·rstd·(dy − dbeta/R − xhat·dgamma/R)
//
// Outputs that are nil are left out. Shapes: dx, x, dy [R,C]; the others [C].
func batchNormGrad[T Float](dx, dgamma, dbeta, x, gamma, mean, variance, dy []T,
	rows, cols int, eps float64) {
	for c := range cols {
		m, rstd := float64(mean[c]), 1/math.Sqrt(float64(variance[c])+eps)
		var sum, dot float64
		for i := c; i < rows*cols; i += cols {
			sum += float64(dy[i])
			dot += float64(dy[i]) * (float64(x[i]) - m) * rstd
		}
		if dgamma != nil {
			dgamma[c] = T(dot)
		}
		if dbeta != nil {
			dbeta[c] = T(sum)
		}
		if dx == nil {
			continue
		}
		for i := c; i < rows*cols; i += cols {
			xhat := (float64(x[i]) - m) * rstd
			d := float64(dy[i]) - sum/float64(rows) - xhat*dot/float64(rows)
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
// Outputs that are nil are left out. Shapes: dx, x, dy [R,C]; mean, rstd [R]; the
// others [C].
func layerNormGrad[T Float](dx, dgamma, dbeta, x, gamma, mean, rstd, dy []T, rows, cols int) {
	xhat := func(r, c int) float64 {
		return (float64(x[r*cols+c]) - float64(mean[r])) * float64(rstd[r])
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
// order of i, in the element type. Shapes: dtable [V,D], ids [n], dy [n,D].
func embeddingGrad[T Float](dtable []T, ids []int32, dy []T, vocabulary, dim int) {
	clear(dtable)
	for i, id := range ids {
		if id < 0 || int(id) >= vocabulary {
			continue
		}
		for d := range dim {
			dtable[int(id)*dim+d] += dy[i*dim+d]
		}
	}
}
