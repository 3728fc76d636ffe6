package cpu

import (
	"github.com/gespann/gespann/backend/cpu/gemm"
	"github.com/gespann/gespann/backend/cpu/pool"
	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/ir"
)

// A run of neighbouring dims of which all are reduced, or none, is one; so dims are
// kept and reduced in turns.
func reducedDims(shape []int, axes ir.Axes) (dims []int, reduced []bool) {
	for i, d := range shape {
		r := axes.Has(i)
		switch n := len(dims); {
		case d == 1:
		case n > 0 && reduced[n-1] == r:
			dims[n-1] *= d
		default:
			dims, reduced = append(dims, d), append(reduced, r)
		}
	}
	return dims, reduced
}

// reduce -- op Reduce: y = Σ x or max x over Axes
// sums     f32 in blocks, as vec.Sum, along the last axis; else column by column as
//
//	columnSums; more axes, further out, in order in f64
func reduce(c *call) step {
	x, y := c.in(0), c.out(0)
	dims, reduced := reducedDims(c.shape(0), c.ins.Attrs.Axes)
	largest := c.ins.Attrs.Reduction == ir.Maximum
	switch n := len(dims); {
	case n == 0 || n == 1 && !reduced[0]:
		return c.each(len(y), func(lo, hi int) { copy(y[lo:hi], x[lo:hi]) })
	case n == 1 || n == 2 && !reduced[0]: // [kept, reduced]
		cols := dims[n-1]
		return c.rows(len(y), cols, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				y[r] = total(x[r*cols:][:cols], largest)
			}
		})
	case n == 2 && !largest: // [reduced, kept]
		return c.columnSums(dims[0], dims[1], []*columnSum{{out: y,
			add: func(sum []float32, at, n int) { addRows(sum, x[at:], n) }}})
	}
	return c.reduceAny(dims, reduced, largest)
}

// total is the sum of numbers, or the largest, NaN if one is.
func total(x []float32, largest bool) float32 {
	if !largest {
		return vec.Sum(x)
	}
	best := vec.Max(x)
	for _, v := range x {
		if v != v {
			return v
		}
	}
	return best
}

// reduceAny reduces any dims: for each element of y it walks over those of x that
// belong to it, the last reduced dim innermost.
func (c *call) reduceAny(dims []int, reduced []bool, largest bool) step {
	x, y := c.in(0), c.out(0)
	var kept, gone ir.Walk
	steps := ir.Strides(dims)
	for i := len(dims) - 1; i >= 0; i-- {
		if reduced[i] {
			gone.Add(dims[i], steps[i])
		} else {
			kept.Add(dims[i], steps[i])
		}
	}
	per := rowsPer(grain, len(x)/len(y))
	return c.parallel(ceilDiv(len(y), per), len(x), func(_, chunk int) {
		for i := chunk * per; i < min((chunk+1)*per, len(y)); i++ {
			from := kept.At(i)
			sum, best := 0.0, x[from]
			for k := range gone.Size() {
				v := x[from+gone.At(k)]
				sum += float64(v)
				if v > best || v != v {
					best = v
				}
				if best != best {
					break
				}
			}
			y[i] = float32(sum)
			if largest {
				y[i] = best
			}
		}
	})
}

// permute -- op Permute: y's axis i is x's axis Perm[i]
// copies   runs of what stays together at the end; else elements, a column of x for each
//
//	row of y
func permute(c *call) step {
	x, y := c.in(0), c.out(0)
	from, perm := c.shape(0), c.ins.Attrs.Perm
	steps := ir.Strides(from)
	var w ir.Walk
	for i := len(from) - 1; i >= 0; i-- {
		w.Add(from[perm.Axis(i)], steps[perm.Axis(i)])
	}
	if len(w.Dims) == 0 { // a single element
		w = ir.Walk{Dims: []int{1}, Steps: []int{1}}
	}
	run, step := w.Dims[0], w.Steps[0]
	outer := ir.Walk{Dims: w.Dims[1:], Steps: w.Steps[1:]}
	return c.rows(len(y)/run, run, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			to, at := y[r*run:][:run], outer.At(r)
			if step == 1 {
				copy(to, x[at:])
				continue
			}
			for i := range to {
				to[i] = x[at]
				at += step
			}
		}
	})
}

// batchMatMul -- op BatchMatMul: a product for each index of the leading dims; see
// package gemm. Where there are as many as threads, each thread takes whole products.
func batchMatMul(c *call) step {
	at := &c.ins.Attrs
	y, a, b := c.out(0), c.in(0), c.in(1)
	shape := c.outShape(0)
	lead := len(shape) - 2
	m, n, k := shape[lead], shape[lead+1], c.shape(0)[lead+1]
	if at.TransA {
		k = c.shape(0)[lead]
	}
	products := ir.Size(shape[:lead])
	none := &gemm.Epilogue{}
	product := func(plan *gemm.MatMul, i int) {
		plan.Run(y[i*m*n:][:m*n], a[i*m*k:][:m*k], b[i*k*n:][:k*n], none)
	}
	if products < c.pool.Threads() {
		plan := c.kit.NewMatMul(c.pool, m, n, k, at.TransA, at.TransB)
		c.told.ask(plan.Describe)
		return func() {
			for i := range products {
				product(plan, i)
			}
		}
	}
	plans := make([]*gemm.MatMul, c.pool.Threads())
	for w := range plans {
		plans[w] = c.kit.NewMatMul(pool.New(1), m, n, k, at.TransA, at.TransB)
	}
	c.told.ask(plans[0].Describe)
	return c.parallel(products, products*m*n*max(k/8, 1), func(worker, i int) { product(plans[worker], i) })
}
