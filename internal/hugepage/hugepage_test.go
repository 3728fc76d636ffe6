package hugepage

import (
	"testing"
	"unsafe"
)

func TestInside(t *testing.T) {
	memory := make([]float32, 4*size/4)
	aligned := memory[(-uintptr(unsafe.Pointer(&memory[0]))%size)/4:]
	for _, tc := range []struct{ from, n, offset, length int }{
		{0, 0, 0, 0},
		{0, size/4 - 1, 0, 0},
		{0, size / 4, 0, size},
		{0, 2*size/4 + 5, 0, 2 * size},
		{1, size / 4, size - 4, 0},
		{1, 2*size/4 - 1, size - 4, size},
		{16, 10, size - 64, 0},
	} {
		offset, length := inside(aligned[tc.from:][:tc.n])
		if offset != tc.offset || length != tc.length {
			t.Errorf("inside %d elements from %d on: %d bytes at %d, want %d at %d",
				tc.n, tc.from, length, offset, tc.length, tc.offset)
		}
	}
}

// TestAdvise checks that advised memory is as it was, with pages and without.
func TestAdvise(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 3 * size / 4} {
		s := make([]float32, n)
		for i := range s {
			s[i] = float32(i)
		}
		Advise(s)
		for i, v := range s {
			if v != float32(i) { // integers that float32 holds exactly
				t.Fatalf("element %d of %d is %v", i, n, v)
			}
		}
	}
}
