package cpu

import (
	"math"

	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// metric -- op Metric: a sum over the rows of the batch. Runs on one thread.
func metric(c *call) step {
	y, x := c.out(0), c.in(0)
	rows, cols := ir.Rows(c.shape(0))
	t := c.target(1, cols)
	at := &c.ins.Attrs
	if at.Metric == ir.Confusion {
		threshold := at.Threshold
		counts := host.Ints(y)
		return func() { confusion(y, counts, x, &t, threshold) }
	}
	// A row of the batch counts as the mean over its positions.
	positions := rows
	if at.Metric == ir.BinaryAccuracy || at.Metric == ir.MAE {
		positions = rows * cols
	}
	weight := float64(c.shape(0)[0]) / float64(positions)
	sum := rowMetric(at, x, t)
	return func() { y[0] = float32(sum() * weight) }
}

// rowMetric returns a function that adds up a metric over all positions.
func rowMetric(at *ir.Attrs, x []float32, t target) func() float64 {
	k, threshold := at.K, at.Threshold
	switch at.Metric {
	case ir.Accuracy:
		return func() float64 {
			return t.count(x, func(row []float32, class int) bool { return class >= 0 && argmax(row) == class })
		}
	case ir.TopK:
		hit := func(row []float32, class int) bool { return rank(row, class) < k && argmax(row) >= 0 }
		return func() float64 { return t.count(x, hit) }
	case ir.BinaryAccuracy:
		return func() (sum float64) {
			for i, v := range x {
				w := t.values[i]
				if (float64(v) > threshold) == (w > 0.5) && v == v && w == w {
					sum++
				}
			}
			return sum
		}
	default: // MAE
		return func() (sum float64) {
			for i, v := range x {
				sum += math.Abs(float64(v) - float64(t.values[i]))
			}
			return sum
		}
	}
}

// count returns the number of rows of x with a hit.
func (t *target) count(x []float32, hit func(row []float32, class int) bool) (n float64) {
	for r := range len(x) / t.cols {
		if hit(x[r*t.cols:(r+1)*t.cols], t.class(r)) {
			n++
		}
	}
	return n
}

// class returns the true class of row r, or -1 when argmax says so.
func (t *target) class(r int) int {
	if t.classes != nil {
		return int(t.classes[r])
	}
	return argmax(t.row(r))
}

// confusion counts pairs y[true class, predicted class]; a single column has two
// classes, split at threshold. Of a NaN it counts none. counts is the memory of y: a
// float32 stays at 2^24 when 1 is added.
func confusion(y []float32, counts []int32, x []float32, t *target, threshold float64) {
	clear(counts)
	classes := max(t.cols, 2)
	for r := range len(x) / t.cols {
		class, predicted := t.class(r), argmax(x[r*t.cols:(r+1)*t.cols])
		if t.cols == 1 {
			predicted = side(float64(x[r]), threshold)
			if t.classes == nil {
				class = side(float64(t.values[r]), 0.5)
			}
		}
		if class >= 0 && class < classes && predicted >= 0 {
			counts[class*classes+predicted]++
		}
	}
	for i, n := range counts {
		y[i] = float32(n)
	}
}

// argmax returns the index of the first largest element, or -1 for a row of which
// softmax would be NaN: one with a NaN, or whose largest is infinite.
func argmax(row []float32) int {
	best, top := 0, row[0]
	for i, v := range row {
		if !(v <= top) {
			if v != v {
				return -1
			}
			best, top = i, v
		}
	}
	if top-top != 0 {
		return -1
	}
	return best
}

// rank returns the number of classes before class in the order of scores, equal
// ones by index; for no class, all of them.
func rank(row []float32, class int) int {
	if class < 0 || class >= len(row) {
		return math.MaxInt
	}
	n := 0
	for c, v := range row {
		if v > row[class] || v == row[class] && c < class {
			n++
		}
	}
	return n
}

// side returns the class of two that v is, split at threshold, or -1 of NaN.
func side(v, threshold float64) int {
	switch {
	case v > threshold:
		return 1
	case v <= threshold:
		return 0
	}
	return -1
}
