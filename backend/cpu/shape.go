package cpu

import "github.com/gespann/gespann/backend/ir"

// concat -- op Concat: joins the inputs along Axis
func concat(c *call) step {
	type part struct {
		x     []float32
		n, at int // elements per outer row, and where they go
	}
	outer, row := ir.Around(c.outShape(0), c.ins.Attrs.Axis)
	parts, at := make([]part, len(c.ins.In)), 0
	for k := range parts {
		_, n := ir.Around(c.shape(k), c.ins.Attrs.Axis)
		parts[k] = part{c.in(k), n, at}
		at += n
	}
	y := c.out(0)
	return c.rows(outer, row, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			for _, p := range parts {
				copy(y[i*row+p.at:][:p.n], p.x[i*p.n:])
			}
		}
	})
}

// slice -- op Slice: takes Start ≤ index < Start+Count along Axis
func slice(c *call) step {
	at := &c.ins.Attrs
	outer, row := ir.Around(c.shape(0), at.Axis)
	_, n := ir.Around(c.outShape(0), at.Axis)
	from := at.Start * (n / at.Count)
	y, x := c.out(0), c.in(0)
	return c.rows(outer, n, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			copy(y[i*n:(i+1)*n], x[i*row+from:])
		}
	})
}
