package cpu

import (
	"math"

	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/ir"
)

// softmaxRow computes y = exp(x−max)/Σ exp(x−max) and returns the maximum and
// the sum. A NaN in x is skipped by the maximum, but makes the sum NaN and so
// the whole row.
func softmaxRow(y, x []float32) (top, sum float32) {
	top = vec.Max(x)
	vec.Exp(y, x, top)
	sum = vec.Sum(y)
	vec.Scale(y, y, 1/sum)
	return top, sum
}

// softmax -- op Softmax: y[r,c] = exp(x[r,c]−max_c x)/Σ_c exp(x[r,c]−max_c x)
func softmax(c *call) step {
	y, x := c.out(0), c.in(0)
	rows, cols := ir.Rows(c.shape(0))
	return c.rows(rows, cols, func(lo, hi int) {
		for i := lo * cols; i < hi*cols; i += cols {
			softmaxRow(y[i:i+cols], x[i:i+cols])
		}
	})
}

// softmaxGrad -- op SoftmaxGrad: dx = y·(dy − Σ_c dy·y)
// sums     f64, in order of c
func softmaxGrad(c *call) step {
	dx, y, dy := c.out(0), c.in(0), c.in(1)
	rows, cols := ir.Rows(c.shape(0))
	return c.rows(rows, cols, func(lo, hi int) {
		for i := lo * cols; i < hi*cols; i += cols {
			dot := 0.0
			for j := i; j < i+cols; j++ {
				dot += float64(dy[j]) * float64(y[j])
			}
			for j := i; j < i+cols; j++ {
				dx[j] = float32(float64(y[j]) * (float64(dy[j]) - dot))
			}
		}
	})
}

// A target is class labels or, when those are nil, one value per output.
type target struct {
	classes []int32   // [R]
	values  []float32 // [R,C]
	cols    int
}

func (c *call) target(k, cols int) target {
	return target{classes: c.ints(k), values: c.in(k), cols: cols}
}

// row returns the values of row r.
func (t *target) row(r int) []float32 { return t.values[r*t.cols : (r+1)*t.cols] }

// softmaxXent -- op SoftmaxXent: prob = softmax(x), loss = 1/R Σ_rc t·(l − (x−m))
// with m the row's maximum and l = log Σ_c exp(x−m).
// sums     within a row f32 in 32 lanes; over targets and rows f64: a chunk's
// rows in order, then chunks in order
func softmaxXent(c *call) step {
	loss, prob, x := c.out(0), c.out(1), c.in(0)
	rows, cols := ir.Rows(c.shape(0))
	t := c.target(1, cols)
	return c.total(rows, cols, func(lo, hi int) float64 {
		sum := 0.0
		for r := lo; r < hi; r++ {
			row := x[r*cols : (r+1)*cols]
			top, s := softmaxRow(prob[r*cols:(r+1)*cols], row)
			sum += t.xent(r, row, float64(top), math.Log(float64(s)))
		}
		return sum
	}, func(sum float64) { loss[0] = float32(sum / float64(rows)) })
}

// xent returns Σ_c t[c]·(l − (x[c]−m)) of row r. A target of 0 does not count,
// however far x is.
func (t *target) xent(r int, x []float32, m, l float64) (sum float64) {
	if t.classes != nil {
		if class := int(t.classes[r]); class >= 0 && class < len(x) {
			return l - (float64(x[class]) - m)
		}
		return 0
	}
	for i, v := range t.row(r) {
		if v != 0 {
			sum += float64(v) * (l - (float64(x[i]) - m))
		}
	}
	return sum
}

// softmaxXentGrad -- op SoftmaxXentGrad: dx = (prob·Σ_c t − t)·dloss/R
func softmaxXentGrad(c *call) step {
	dx, prob, dloss := c.out(0), c.in(0), c.in(2)
	rows, cols := ir.Rows(c.shape(0))
	t := c.target(1, cols)
	return c.rows(rows, cols, func(lo, hi int) {
		scale := float32(float64(dloss[0]) / float64(rows))
		for r := lo; r < hi; r++ {
			d, p := dx[r*cols:(r+1)*cols], prob[r*cols:(r+1)*cols]
			if t.classes == nil {
				vec.ScaledDiff(d, p, t.row(r), vec.Sum(t.row(r)), scale)
			} else {
				oneHotGrad(d, p, int(t.classes[r]), scale)
			}
		}
	})
}

// oneHotGrad computes dx = (prob − t)·scale for the one-hot row t of a class, or
// 0 for no class.
func oneHotGrad(dx, prob []float32, class int, scale float32) {
	if class < 0 || class >= len(dx) {
		clear(dx)
		return
	}
	vec.Scale(dx, prob, scale)
	dx[class] = (prob[class] - 1) * scale
}
