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
			sum += indicator((float64(x[i]) > a.Threshold) == (t.values[i] > 0.5))
		}
	case ir.MAE:
		positions = rows * cols
		for i := range x {
			sum += math.Abs(float64(x[i]) - float64(t.values[i]))
		}
	case ir.Accuracy:
		for r := range rows {
			sum += indicator(argmax(x[r*cols:(r+1)*cols]) == t.class(r, cols))
		}
	case ir.TopK:
		for r := range rows {
			sum += indicator(rank(x[r*cols:(r+1)*cols], t.class(r, cols)) < a.K)
		}
	}
	y[0] = T(sum * float64(batch) / float64(positions))
}

// confusion counts pairs y[true class, predicted class]: in float64, since a float32
// stays at 2^24 when 1 is added. counts is as many zeros as y has elements.
func confusion[T Float](y, x []T, t target[T], rows, cols int, threshold float64, counts []float64) {
	classes := max(cols, 2)
	for r := range rows {
		class, predicted := t.class(r, cols), argmax(x[r*cols:(r+1)*cols])
		if cols == 1 {
			predicted = int(indicator(float64(x[r]) > threshold))
			if t.classes == nil {
				class = int(indicator(t.values[r] > 0.5))
			}
		}
		if class >= 0 && class < classes {
			counts[class*classes+predicted]++
		}
	}
	store(y, counts)
}

// class returns the true class of row r.
func (t target[T]) class(r, cols int) int {
	if t.classes != nil {
		return int(t.classes[r])
	}
	return argmax(t.values[r*cols : (r+1)*cols])
}

// argmax returns the index of the first largest element.
func argmax[T Float](row []T) int {
	best := 0
	for i, v := range row {
		if v > row[best] {
			best = i
		}
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

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
