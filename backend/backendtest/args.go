package backendtest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gespann/gespann/backend/ir"
)

// normal is an input of normally distributed numbers.
func normal(shape ...int) arg { return scaled(1, shape...) }

// scaled is an input of normally distributed numbers of that size.
func scaled(size float64, shape ...int) arg {
	return arg{ir.Float, shape, func(r *rand.Rand, _ int) float64 { return size * r.NormFloat64() }}
}

// weights is an input that makes sums of k products about 1, where activations
// are neither linear nor saturated.
func weights(k int, shape ...int) arg { return scaled(1/math.Sqrt(float64(k)), shape...) }

// positive is an input of numbers between 0.1 and 1.1.
func positive(shape ...int) arg {
	return arg{ir.Float, shape, func(r *rand.Rand, _ int) float64 { return 0.1 + r.Float64() }}
}

// grid is an input of small integers, for ties and zeros.
func grid(shape ...int) arg {
	return arg{ir.Float, shape, func(r *rand.Rand, _ int) float64 { return float64(r.IntN(5) - 2) }}
}

// holed is an input like a, but for NaN in place of one element of so many.
func holed(every int, a arg) arg { return mixed(every, a, math.NaN(), math.NaN()) }

// infinite is an input like a, but for an infinity in place of one element of so many.
func infinite(every int, a arg) arg { return mixed(every, a, math.Inf(1), math.Inf(-1)) }

func mixed(every int, a arg, odd ...float64) arg {
	return arg{a.t, a.shape, func(r *rand.Rand, run int) float64 {
		if v := a.gen(r, run); r.IntN(every) > 0 {
			return v
		}
		return odd[r.IntN(len(odd))]
	}}
}

// bits is an input of zeros and ones.
func bits(shape ...int) arg {
	return arg{ir.Float, shape, func(r *rand.Rand, _ int) float64 { return float64(r.IntN(2)) }}
}

// indices is an input of integers from 0 to n-1.
func indices(n int, shape ...int) arg {
	return arg{ir.Int, shape, func(r *rand.Rand, _ int) float64 { return float64(r.IntN(n)) }}
}

// wild is an input of integers from -2 to n+1, some of which are no index.
func wild(n int, shape ...int) arg {
	return arg{ir.Int, shape, func(r *rand.Rand, _ int) float64 { return float64(r.IntN(n+4) - 2) }}
}

// constant is an input of one number.
func constant(v float64) arg {
	return arg{ir.Float, []int{1}, func(*rand.Rand, int) float64 { return v }}
}

// number is an input of one integer.
func number(v int) arg {
	return arg{ir.Int, []int{1}, func(*rand.Rand, int) float64 { return float64(v) }}
}

// counter is an input of the run's number, from 1.
func counter() arg {
	return arg{ir.Int, []int{1}, func(_ *rand.Rand, run int) float64 { return float64(run + 1) }}
}

// shapes are the edge shapes for ops on rows: one element, odd, prime, larger
// than a vector and than a block.
var shapes = [][]int{{1}, {1, 1}, {7}, {1, 10}, {13, 1}, {3, 17}, {5, 16}, {31, 33}, {2, 3, 5},
	{128, 65}, {9, 1031}, {1, 4099}, big}

// big is a shape that is cut into several blocks.
var big = []int{67, 1009}

func text(shape []int) string { return fmt.Sprint(shape) }

// activations are all of them, with the parameters that they have.
func activations() []ir.Attrs {
	return []ir.Attrs{
		{Act: ir.ReLU}, {Act: ir.LeakyReLU, Alpha: 0.2}, {Act: ir.ELU, Alpha: 1},
		{Act: ir.ELU, Alpha: 0.5}, {Act: ir.GELU}, {Act: ir.Sigmoid}, {Act: ir.Tanh}, {Act: ir.Softplus}, {Act: ir.SiLU},
	}
}
