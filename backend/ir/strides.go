package ir

// Strides returns by how many elements a step along each axis moves on in a dense tensor.
func Strides(shape []int) []int {
	out, n := make([]int, len(shape)), 1
	for i := len(shape) - 1; i >= 0; i-- {
		out[i] = n
		n *= shape[i]
	}
	return out
}

// A Walk goes over some dims of a tensor in another order, or with repetitions: how long
// they are, the last one first, and by how many elements a step along each moves on, 0
// where the tensor is repeated.
type Walk struct{ Dims, Steps []int }

// Add adds a dim in front. One of 1 is left out, and one that goes on where those behind
// it end is one with them.
func (w *Walk) Add(dim, step int) {
	n := len(w.Dims)
	switch {
	case dim == 1:
	case n > 0 && step == w.Steps[n-1]*w.Dims[n-1]:
		w.Dims[n-1] *= dim
	default:
		w.Dims, w.Steps = append(w.Dims, dim), append(w.Steps, step)
	}
}

// Size returns the number of elements.
func (w *Walk) Size() int { return Size(w.Dims) }

// At returns where element i is.
func (w *Walk) At(i int) (at int) {
	for k, d := range w.Dims {
		at += i % d * w.Steps[k]
		i /= d
	}
	return at
}

// BroadcastWalk returns the walk over a tensor that is broadcast to a shape.
func BroadcastWalk(from, to []int) (w Walk) {
	steps := Strides(from)
	for i := len(to) - 1; i >= 0; i-- {
		step := 0
		if k := i - len(to) + len(from); k >= 0 && from[k] > 1 {
			step = steps[k]
		}
		w.Add(to[i], step)
	}
	return w
}
