package data

import (
	"errors"
	"testing"

	"github.com/gespann/gespann/internal/memlimit"
)

// TestTooWide encodes categories into more columns than any memory has.
func TestTooWide(t *testing.T) {
	p := &Prep{Shape: []int{1 << 44}, CSV: &CSV{Columns: []Column{{Name: "id", Categories: []string{"a"}}}}}
	err := p.Encode(&Table{Shape: []int{1}, F64: []float64{0, 0}})
	var short *memlimit.ShortError
	const want = "2 rows of 17592186044416 numbers, with the categories of 1 columns: out of memory: it takes 128.0 TiB, and "
	if !errors.As(err, &short) || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
		t.Errorf("got %v, want %s...", err, want)
	}
}
