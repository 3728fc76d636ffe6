package wire

import "sync"

// spares has memory of long vectors that was given back.
var spares sync.Pool // of *[]float32

// reusable is the least length that is worth it.
const reusable = 16 << 10

// Reuse gives memory of a frame back, of which nobody has a slice any more. A frame of
// the same length that comes later has it, so that those of a job need no new memory,
// which has to be cleared.
func Reuse(floats []float32) {
	if len(floats) >= reusable {
		spares.Put(&floats)
	}
}

// floatsOf returns memory for so many floats, which holds anything.
func floatsOf(n int) []float32 {
	if n >= reusable {
		if spare, ok := spares.Get().(*[]float32); ok && len(*spare) == n {
			return *spare
		}
	}
	return make([]float32, n)
}
