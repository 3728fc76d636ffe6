package ref

import (
	"math"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend/ir"
)

// TestNoClass checks that outputs of which softmax is NaN are right in no metric, and
// stand in no column of the confusion matrix.
func TestNoClass(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	x := []float64{nan, nan, nan, 1, 1, nan, inf, inf, -inf, -inf, 2, 1, 2, -inf}
	classes := target[float64]{classes: make([]int32, 7)}
	for kind, want := range map[ir.MetricKind][]float64{ir.Accuracy: {2}, ir.TopK: {2}, ir.Confusion: {2, 0, 0, 0}} {
		got := make([]float64, len(want))
		metric(got, x, classes, 7, 7, 2, &ir.Attrs{Metric: kind, K: 2}, make([]float64, len(want)))
		if !slices.Equal(got, want) {
			t.Errorf("%v: got %v, want %v", kind, got, want)
		}
	}
	x, t01 := []float64{nan, nan, 1, inf, -inf, 0}, target[float64]{values: []float64{0, 1, nan, 1, 0, 1}}
	for kind, want := range map[ir.MetricKind][]float64{ir.BinaryAccuracy: {2}, ir.Confusion: {1, 0, 1, 1}} {
		got := make([]float64, len(want))
		metric(got, x, t01, 6, 6, 1, &ir.Attrs{Metric: kind, Threshold: 0.5}, make([]float64, len(want)))
		if !slices.Equal(got, want) {
			t.Errorf("%v: got %v, want %v", kind, got, want)
		}
	}
}
