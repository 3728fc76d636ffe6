package ref

import (
	"fmt"

	"github.com/gespann/gespann/backend/ir"
)

// mapped computes y = Expr(x0, ..., xn), element by element of inputs that are
// broadcast to the shape of y.
func (c call[T]) mapped() {
	f, err := c.ins.Attrs.Expr.Parse()
	if err != nil {
		panic(fmt.Sprintf("ref: invariant: %v", err)) // Verify has read it
	}
	y, shape := c.out(0), c.outShape(0)
	results := make([]float64, len(f.Calls))
	at := make([]int, len(shape))
	value := func(o ir.Operand) float64 {
		switch o.Kind {
		case ir.OfInput:
			return float64(c.in(o.Index)[broadcast(at, c.shape(o.Index))])
		case ir.OfCall:
			return results[o.Index]
		}
		return o.Value
	}
	for i := range y {
		for k, call := range f.Calls {
			var v [3]float64
			for j := range call.Fn.Arity() {
				v[j] = value(call.Args[j])
			}
			results[k] = call.Fn.Eval(v[0], v[1], v[2])
		}
		y[i] = T(value(f.Result))
		next(at, shape)
	}
}

// broadcast returns the element of a tensor that is broadcast to the one which has
// index at.
func broadcast(at, shape []int) int {
	i := 0
	at = at[len(at)-len(shape):]
	for k, d := range shape {
		i *= d
		if d > 1 {
			i += at[k]
		}
	}
	return i
}

// next moves an index on by one element.
func next(at, shape []int) {
	for k := len(at) - 1; k >= 0; k-- {
		if at[k]++; at[k] < shape[k] {
			return
		}
		at[k] = 0
	}
}

// reduce computes the sum or the maximum over Axes.
func (c call[T]) reduce() {
	x, y := c.in(0), c.out(0)
	shape, small := c.shape(0), c.outShape(0)
	sums := c.sums(len(y))
	first := make([]bool, len(y))
	at := make([]int, len(shape))
	for _, v := range x {
		i := broadcast(at, small)
		if c.ins.Attrs.Reduction == ir.Maximum && first[i] {
			sums[i] = max(sums[i], float64(v))
		} else {
			sums[i] += float64(v)
		}
		first[i] = true
		next(at, shape)
	}
	store(y, sums)
}

// permute computes y[i0, i1, ...] = x, whose axis Perm[k] has the index iₖ.
func (c call[T]) permute() {
	x, y, perm := c.in(0), c.out(0), c.ins.Attrs.Perm
	shape, from := c.outShape(0), c.shape(0)
	at, of := make([]int, len(shape)), make([]int, len(shape))
	for i := range y {
		for k := range at {
			of[perm.Axis(k)] = at[k]
		}
		j := 0
		for k, d := range from {
			j = j*d + of[k]
		}
		y[i] = x[j]
		next(at, shape)
	}
}

// batchMatMul is matMul for each index of the leading dims.
func (c call[T]) batchMatMul() {
	a := &c.ins.Attrs
	shape := c.outShape(0)
	m, n := shape[len(shape)-2], shape[len(shape)-1]
	k := c.shape(0)[len(shape)-1]
	if a.TransA {
		k = c.shape(0)[len(shape)-2]
	}
	for i := range ir.Size(shape[:len(shape)-2]) {
		matMul(c.out(0)[i*m*n:][:m*n], c.in(0)[i*m*k:][:m*k], c.in(1)[i*k*n:][:k*n], epilogue[T]{}, m, n, k, a)
	}
}
