package ir_test

import (
	"slices"
	"testing"

	"github.com/gespann/gespann/backend/ir"
)

// TestBroadcastWalk broadcasts tensors of consecutive numbers, and compares with what
// indices say.
func TestBroadcastWalk(t *testing.T) {
	for _, c := range []struct {
		from, to []int
		want     ir.Walk
	}{
		{[]int{3}, []int{2, 3}, ir.Walk{Dims: []int{3, 2}, Steps: []int{1, 0}}},
		{[]int{2, 1}, []int{2, 3}, ir.Walk{Dims: []int{3, 2}, Steps: []int{0, 1}}},
		{[]int{4, 1, 1, 5}, []int{4, 2, 3, 5}, ir.Walk{Dims: []int{5, 6, 4}, Steps: []int{1, 0, 5}}},
		{[]int{2, 3, 1}, []int{2, 3, 4}, ir.Walk{Dims: []int{4, 6}, Steps: []int{0, 1}}},
		{[]int{1, 3}, []int{2, 1, 3}, ir.Walk{Dims: []int{3, 2}, Steps: []int{1, 0}}},
	} {
		w := ir.BroadcastWalk(c.from, c.to)
		if !slices.Equal(w.Dims, c.want.Dims) || !slices.Equal(w.Steps, c.want.Steps) {
			t.Errorf("%v to %v: got %+v, want %+v", c.from, c.to, w, c.want)
		}
		if w.Size() != ir.Size(c.to) {
			t.Errorf("%v to %v: got %d elements, want %d", c.from, c.to, w.Size(), ir.Size(c.to))
		}
		at := make([]int, len(c.to))
		for i := range w.Size() {
			want := 0
			for k, d := range c.from {
				want *= d
				if d > 1 {
					want += at[len(c.to)-len(c.from)+k]
				}
			}
			if got := w.At(i); got != want {
				t.Errorf("%v to %v: element %d is at %d, want %d", c.from, c.to, i, got, want)
			}
			for k := len(at) - 1; k >= 0; k-- {
				if at[k]++; at[k] < c.to[k] {
					break
				}
				at[k] = 0
			}
		}
	}
}
