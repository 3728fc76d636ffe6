package cpu

import (
	"math"

	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/ir"
)

// total returns a step that adds up f over chunks of rows, in float64 and in
// order, and hands the sum to store.
func (c *call) total(rows, cols int, f func(lo, hi int) float64, store func(sum float64)) step {
	per := rowsPer(grain, cols)
	part := make([]float64, ceilDiv(rows, per))
	pass := c.parallel(len(part), rows*cols, func(_, i int) {
		part[i] = f(i*per, min((i+1)*per, rows))
	})
	return func() {
		pass()
		sum := 0.0
		for _, v := range part {
			sum += v
		}
		store(sum)
	}
}

// pointLoss -- op PointLoss: loss = 1/n Σ l(x,t)
// sums     f64: a chunk's elements in order, then chunks in order
func pointLoss(c *call) step {
	loss, x, t := c.out(0), c.in(0), c.in(1)
	kind, delta := c.ins.Attrs.Loss, c.ins.Attrs.Delta
	var tails []float32 // scratch
	if kind == ir.SigmoidXent {
		tails = make([]float32, len(x))
	}
	return c.total(len(x), 1, func(lo, hi int) float64 {
		if kind == ir.SigmoidXent {
			return sigmoidXent(x[lo:hi], t[lo:hi], tails[lo:hi])
		}
		return distances(kind, delta, x[lo:hi], t[lo:hi])
	}, func(sum float64) { loss[0] = float32(sum / float64(len(x))) })
}

// sigmoidXent returns Σ max(x,0) − x·t + log(1+e^−|x|); tails is scratch.
func sigmoidXent(x, t, tails []float32) (sum float64) {
	vec.LogTail(tails, x)
	for i, v := range x {
		xi := float64(v)
		sum += max(xi, 0) - xi*float64(t[i]) + float64(tails[i])
	}
	return sum
}

// distances returns Σ l(x,t) for the losses that depend on x − t.
func distances(kind ir.Loss, delta float64, x, t []float32) (sum float64) {
	for i, v := range x {
		d := math.Abs(float64(v) - float64(t[i]))
		switch {
		case kind == ir.SquaredError:
			sum += d * d
		case kind == ir.AbsError:
			sum += d
		case d <= delta:
			sum += d * d / 2
		default:
			sum += delta*d - delta*delta/2
		}
	}
	return sum
}

// pointLossGrad -- op PointLossGrad: dx = l'(x,t)·dloss/n
func pointLossGrad(c *call) step {
	dx, x, t, dloss := c.out(0), c.in(0), c.in(1), c.in(2)
	kind, delta := c.ins.Attrs.Loss, float32(c.ins.Attrs.Delta)
	return c.each(len(dx), func(lo, hi int) {
		scale := float32(float64(dloss[0]) / float64(len(dx)))
		d, a, b := dx[lo:hi], x[lo:hi], t[lo:hi]
		switch kind {
		case ir.SquaredError:
			vec.ScaledDiff(d, a, b, 1, 2*scale)
		case ir.SigmoidXent:
			vec.Act(ir.Sigmoid, 0, d, a)
			vec.ScaledDiff(d, d, b, 1, scale)
		case ir.Huber:
			for i := range d {
				diff := a[i] - b[i]
				if abs(diff) > delta {
					diff = delta * sign(diff)
				}
				d[i] = diff * scale
			}
		case ir.AbsError:
			for i := range d {
				d[i] = sign(a[i]-b[i]) * scale
			}
		}
	})
}

func abs(v float32) float32 { return max(v, -v) }

// sign returns -1, 0 or 1, and NaN for NaN.
func sign(v float32) float32 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	default:
		return v
	}
}
