package cpu

import "github.com/gespann/gespann/backend/ir"

// around returns the number of elements before axis, and from axis on.
func around(shape []int, axis int) (outer, inner int) {
	return ir.Size(shape[:axis]), ir.Size(shape[axis:])
}

// concat -- op Concat: joins the inputs along Axis
func concat(c *call) step {
	type part struct {
		x     []float32
		n, at int // elements per outer row, and where they go
	}
	outer, row := around(c.outShape(0), c.ins.Attrs.Axis)
	parts, at := make([]part, len(c.ins.In)), 0
	for k := range parts {
		_, n := around(c.shape(k), c.ins.Attrs.Axis)
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
	outer, row := around(c.shape(0), at.Axis)
	_, n := around(c.outShape(0), at.Axis)
	from := at.Start * (n / at.Count)
	y, x := c.out(0), c.in(0)
	return c.rows(outer, n, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			copy(y[i*n:(i+1)*n], x[i*row+from:])
		}
	})
}

// embedding -- op Embedding: y[i] = table[ids[i]], zeros for an id outside [0,V)
func embedding(c *call) step {
	y, table, ids := c.out(0), c.in(0), c.ints(1)
	vocabulary, dim := c.shape(0)[0], c.shape(0)[1]
	return c.rows(len(ids), dim, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := y[i*dim : (i+1)*dim]
			if id := int(ids[i]); id >= 0 && id < vocabulary {
				copy(row, table[id*dim:])
			} else {
				clear(row)
			}
		}
	})
}

// embeddingGrad -- op EmbeddingGrad: dtable[id] = Σ dy[i] over ids[i] = id
// sums     f32, in order of i
//
// A chunk is a range of the vocabulary; each reads all ids.
func embeddingGrad(c *call) step {
	const ranges = 16
	dtable, ids, dy := c.out(0), c.ints(0), c.in(1)
	vocabulary, dim := c.ins.Attrs.Dims[0], c.ins.Attrs.Dims[1]
	per := ceilDiv(vocabulary, ranges)
	return c.parallel(ceilDiv(vocabulary, per), len(dtable)+len(dy), func(_, chunk int) {
		lo, hi := chunk*per, min((chunk+1)*per, vocabulary)
		clear(dtable[lo*dim : hi*dim])
		for i, id := range ids {
			if int(id) < lo || int(id) >= hi {
				continue
			}
			row := dtable[int(id)*dim : (int(id)+1)*dim]
			for d, v := range dy[i*dim : (i+1)*dim] {
				row[d] += v
			}
		}
	})
}
