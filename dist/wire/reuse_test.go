package wire

import "testing"

// TestReuse checks that memory of another length is not taken, nor short memory kept.
func TestReuse(t *testing.T) {
	for range 100 {
		Reuse(make([]float32, reusable))
		Reuse(make([]float32, 3))
		Reuse(nil)
		for _, n := range []int{0, 3, reusable, reusable + 1} {
			if got := len(floatsOf(n)); got != n {
				t.Fatalf("got %d floats, want %d", got, n)
			}
		}
	}
}
