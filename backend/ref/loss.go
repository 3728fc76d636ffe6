package ref

import (
	"math"
	"slices"

	"github.com/gespann/gespann/backend/ir"
)

// A target is class labels or, when those are nil, one value per output.
type target[T Float] struct {
	classes []int32 // [R]
	values  []T     // [R,C]
}

// at returns t[r,c]; for labels that is the one-hot row of r's class.
func (t target[T]) at(r, c, cols int) float64 {
	switch {
	case t.classes == nil:
		return float64(t.values[r*cols+c])
	case int(t.classes[r]) == c:
		return 1
	default:
		return 0
	}
}

// sum returns Σ_c t[r,c].
func (t target[T]) sum(r, cols int) (sum float64) {
	for c := range cols {
		sum += t.at(r, c, cols)
	}
	return sum
}

// softmax computes y[r,c] = exp(x[r,c]−max_c x)/Σ_c exp(x[r,c]−max_c x).
func softmax[T Float](y, x []T, rows, cols int) {
	for r := range rows {
		row := x[r*cols : (r+1)*cols]
		m := float64(slices.Max(row))
		sum := 0.0
		for _, v := range row {
			sum += math.Exp(float64(v) - m)
		}
		for c, v := range row {
			y[r*cols+c] = T(math.Exp(float64(v)-m) / sum)
		}
	}
}

// softmaxGrad computes dx = y·(dy − Σ_c dy·y).
func softmaxGrad[T Float](dx, y, dy []T, rows, cols int) {
	for r := range rows {
		dot := 0.0
		for i := r * cols; i < (r+1)*cols; i++ {
			dot += float64(dy[i]) * float64(y[i])
		}
		for i := r * cols; i < (r+1)*cols; i++ {
			dx[i] = T(float64(y[i]) * (float64(dy[i]) - dot))
		}
	}
}

// softmaxXent computes prob = softmax(x) and, with m the maximum of a row and
// l = log Σ_c exp(x−m),
//
//	loss = 1/R Σ_rc t·(l − (x−m))
//
// Shapes: loss [1], prob, x [R,C], t [R] or [R,C].
func softmaxXent[T Float](loss, prob, x []T, t target[T], rows, cols int) {
	softmax(prob, x, rows, cols)
	total := 0.0
	for r := range rows {
		row := x[r*cols : (r+1)*cols]
		m := float64(slices.Max(row))
		sum := 0.0
		for _, v := range row {
			sum += math.Exp(float64(v) - m)
		}
		for c, v := range row {
			// 0 times an infinite distance is 0 here: the class does not count.
			if tc := t.at(r, c, cols); tc != 0 {
				total += tc * (math.Log(sum) - (float64(v) - m))
			}
		}
	}
	loss[0] = T(total / float64(rows))
}

// softmaxXentGrad computes dx = (prob·Σ_c t − t)·dloss/R.
func softmaxXentGrad[T Float](dx, prob []T, t target[T], dloss T, rows, cols int) {
	scale := float64(dloss) / float64(rows)
	for r := range rows {
		sum := t.sum(r, cols)
		for c := range cols {
			dx[r*cols+c] = T((float64(prob[r*cols+c])*sum - t.at(r, c, cols)) * scale)
		}
	}
}

// pointLoss computes loss = 1/n Σ l(x,t); the formulas of l are at ir.Loss.
func pointLoss[T Float](loss, x, t []T, a *ir.Attrs) {
	total := 0.0
	for i := range x {
		xi, ti := float64(x[i]), float64(t[i])
		d := math.Abs(xi - ti)
		switch {
		case a.Loss == ir.SquaredError:
			total += d * d
		case a.Loss == ir.AbsError:
			total += d
		case a.Loss == ir.SigmoidXent:
			total += max(xi, 0) - xi*ti + math.Log1p(math.Exp(-math.Abs(xi)))
		case d <= a.Delta: // Huber
			total += d * d / 2
		default:
			total += a.Delta*d - a.Delta*a.Delta/2
		}
	}
	loss[0] = T(total / float64(len(x)))
}

// pointLossGrad computes dx = l'(x,t)·dloss/n.
func pointLossGrad[T Float](dx, x, t []T, dloss T, a *ir.Attrs) {
	scale := float64(dloss) / float64(len(x))
	for i := range dx {
		xi, ti := float64(x[i]), float64(t[i])
		d := xi - ti
		switch a.Loss {
		case ir.SquaredError:
			d *= 2
		case ir.AbsError:
			d = sign(d)
		case ir.SigmoidXent:
			d = sigmoid(xi) - ti
		case ir.Huber:
			if math.Abs(d) > a.Delta {
				d = a.Delta * sign(d)
			}
		}
		dx[i] = T(d * scale)
	}
}

// sign returns -1, 0 or 1, and NaN for NaN.
func sign(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	default:
		return v
	}
}
