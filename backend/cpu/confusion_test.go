package cpu

import "testing"

// TestConfusionCounts counts more rows in a cell than a float32 can count one by one.
func TestConfusionCounts(t *testing.T) {
	if testing.Short() {
		t.Skip("needs 128 MiB")
	}
	const rows = 1<<24 + 2
	y, x := make([]float32, 4), make([]float32, rows)
	classes := target{classes: make([]int32, rows), cols: 1}
	confusion(y, make([]int32, 4), x, &classes, 0.5)
	if y[0] != rows {
		t.Errorf("counted %v rows, want %d", y[0], rows)
	}
}
