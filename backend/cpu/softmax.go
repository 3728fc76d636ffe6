package cpu

import (
	"math"

	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/ir"
)

// narrow is the number of columns below which a row is too short for the
// vector loops: exp then runs over all rows of a chunk at once.
const narrow = 32

// softmaxRows computes y = exp(x−m)/s for some rows, and m = max_c x and
// s = Σ_c exp(x−m) of each. A NaN in x is skipped by the maximum, but makes the
// sum NaN and so the whole row.
func softmaxRows(y, m, s, x []float32, cols int) {
	for r := range m {
		row := x[r*cols : (r+1)*cols]
		out := y[r*cols : (r+1)*cols]
		m[r] = vec.Max(row)
		if cols >= narrow {
			vec.Exp(out, row, m[r])
			continue
		}
		for i, v := range row {
			out[i] = v - m[r]
		}
	}
	if cols < narrow {
		vec.Exp(y, y, 0)
	}
	for r := range s {
		out := y[r*cols : (r+1)*cols]
		s[r] = vec.Sum(out)
		vec.Scale(out, out, 1/s[r])
	}
}

// softmax -- op Softmax: y[r,c] = exp(x[r,c]−max_c x)/Σ_c exp(x[r,c]−max_c x)
// sums     f32, as vec.Sum
func softmax(c *call) step {
	y, x := c.out(0), c.in(0)
	rows, cols := ir.Rows(c.shape(0))
	m, s := make([]float32, rows), make([]float32, rows)
	return c.rows(rows, cols, func(lo, hi int) {
		softmaxRows(y[lo*cols:hi*cols], m[lo:hi], s[lo:hi], x[lo*cols:hi*cols], cols)
	})
}

// softmaxGrad -- op SoftmaxGrad: dx = y·(dy − Σ_c dy·y)
// sums     f32, as vec.Sum
func softmaxGrad(c *call) step {
	dx, y, dy := c.out(0), c.in(0), c.in(1)
	rows, cols := ir.Rows(c.shape(0))
	return c.rows(rows, cols, func(lo, hi int) {
		for i := lo * cols; i < hi*cols; i += cols {
			d := dx[i : i+cols]
			vec.Mul(d, y[i:], dy[i:])
			vec.SoftmaxGrad(d, y[i:], dy[i:], vec.Sum(d))
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
// sums     within a row f32, as vec.Sum; over targets and rows f64: a chunk's
// rows in order, then chunks in order
func softmaxXent(c *call) step {
	loss, prob, x := c.out(0), c.out(1), c.in(0)
	rows, cols := ir.Rows(c.shape(0))
	t := c.target(1, cols)
	sums := make([]float32, rows) // Σ_c exp(x−m)
	tops := make([]float32, rows) // m
	return c.total(rows, cols, func(lo, hi int) float64 {
		softmaxRows(prob[lo*cols:hi*cols], tops[lo:hi], sums[lo:hi], x[lo*cols:hi*cols], cols)
		total := 0.0
		for r := lo; r < hi; r++ {
			row := x[r*cols : (r+1)*cols]
			total += t.xent(r, row, float64(tops[r]), math.Log(float64(sums[r])))
		}
		return total
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
