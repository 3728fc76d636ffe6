package ref

import (
	"math"

	"github.com/gespann/gespann/backend/ir"
)

// metric sums a metric over the B rows of the batch: of the mean over a row's
// positions, R/B rows of C, or counts of pairs for Confusion. sums is as many zeros as
// y has elements.
func metric[T Float](y, x []T, t target[T], batch, rows, cols int, a *ir.Attrs, sums []float64) {
	sum, positions := 0.0, rows
	switch a.Metric {
	case ir.Confusion:
		confusion(y, x, t, rows, cols, a.Threshold, sums)
		return
	case ir.BinaryAccuracy:
		positions = rows * cols
		for i := range x {
			class := side(float64(t.values[i]), 0.5)
			sum += indicator(class >= 0 && side(float64(x[i]), a.Threshold) == class)
		}
	case ir.MAE:
		positions = rows * cols
		for i := range x {
			sum += math.Abs(float64(x[i]) - float64(t.values[i]))
		}
	case ir.Accuracy:
		for r := range rows {
			class := t.class(r, cols)
			sum += indicator(class >= 0 && argmax(x[r*cols:(r+1)*cols]) == class)
		}
	case ir.TopK:
		for r := range rows {
			row := x[r*cols : (r+1)*cols]
			sum += indicator(rank(row, t.class(r, cols)) < a.K && argmax(row) >= 0)
		}
	}
	y[0] = T(sum * float64(batch) / float64(positions))
}

// confusion counts pairs y[true class, predicted class]: in float64, since a float32
// stays at 2^24 when 1 is added. Of a NaN it counts none. counts is as many zeros as
// y has elements.
func confusion[T Float](y, x []T, t target[T], rows, cols int, threshold float64, counts []float64) {
	classes := max(cols, 2)
	for r := range rows {
		class, predicted := t.class(r, cols), argmax(x[r*cols:(r+1)*cols])
		if cols == 1 {
			predicted = side(float64(x[r]), threshold)
			if t.classes == nil {
				class = side(float64(t.values[r]), 0.5)
			}
		}
		if class >= 0 && class < classes && predicted >= 0 {
			counts[class*classes+predicted]++
		}
	}
	store(y, counts)
}

// class returns the true class of row r, or -1 when argmax says so.
func (t target[T]) class(r, cols int) int {
	if t.classes != nil {
		return int(t.classes[r])
	}
	return argmax(t.values[r*cols : (r+1)*cols])
}

// argmax returns the index of the first largest element, or -1 for a row of which
// softmax would be NaN: one with a NaN, or whose largest is infinite.
func argmax[T Float](row []T) int {
	best := 0
	for i, v := range row {
		if v != v {
			return -1
		}
		if v > row[best] {
			best = i
		}
	}
	if math.IsInf(float64(row[best]), 0) {
		return -1
	}
	return best
}

// rank returns the number of classes before class in the order of scores, equal
// ones by index; for no class, all of them.
func rank[T Float](row []T, class int) int {
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

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
