package cpu

import "github.com/gespann/gespann/backend/cpu/vec"

// foldTo is the number of elements that loops along a row should have, so that
// calling them costs little. An estimate.
const foldTo = 256

// fold returns how many rows of a matrix with few columns are taken as one: in
// whole vectors, where that is possible.
func fold(cols int) int {
	f := max(foldTo/cols, 1)
	if f >= 8 {
		f &^= 7
	}
	return f
}

// repeat fills dst with copies of src.
func repeat(dst, src []float32) {
	for i := 0; i < len(dst); i += len(src) {
		copy(dst[i:], src)
	}
}

// addRows adds n rows of len(sum) elements to sum, in order: in the order of memory
// as long as sum stays in the first level cache beside them.
func addRows(sum, x []float32, n int) {
	if len(sum) > 2*foldTo {
		vec.SumColumns(sum, x, n)
		return
	}
	for i := range n {
		vec.Add(sum, sum, x[i*len(sum):])
	}
}

// A columnSum is a sum over the rows of a matrix, one result per column.
type columnSum struct {
	out []float32 // [C]; nil: the result stays in part
	// add adds n rows of len(sum) elements, from element at on, to sum: C of
	// them, or fold(C) times as many.
	add  func(sum []float32, at, n int)
	part []float32 // scratch: [chunks,fold·C]; it begins with the result
}

// columnSums returns a step that computes some column sums in one pass: chunks
// of rows into scratch, in parallel, then the chunks in order. Within a chunk,
// each of fold rows has its own sum; these are added in order.
func (c *call) columnSums(rows, cols int, sums []*columnSum) step {
	f := fold(cols)
	wide := f * cols
	c.told.folded(f)
	// At least 64 rows, so that a wide matrix is not copied to scratch.
	per := ceilDiv(max(64, rowsPer(2*grain, cols)), f) * f
	chunks := ceilDiv(rows, per)
	for _, s := range sums {
		s.part = make([]float32, chunks*wide)
	}
	pass := c.parallel(chunks, rows*cols, func(_, i int) {
		lo, n := i*per, min(per, rows-i*per)
		for _, s := range sums {
			sum := s.part[i*wide : (i+1)*wide]
			clear(sum)
			s.add(sum, lo*cols, n/f)
			total := sum[:cols]
			s.add(total, (lo+n/f*f)*cols, n%f)
			for k := 1; k < f; k++ {
				vec.Add(total, total, sum[k*cols:])
			}
		}
	})
	return func() {
		pass()
		for _, s := range sums {
			for i := 1; i < chunks; i++ {
				vec.Add(s.part[:cols], s.part[:cols], s.part[i*wide:])
			}
			if s.out != nil {
				copy(s.out, s.part)
			}
		}
	}
}

// wideRows returns a step that calls f for parts of rows of cols elements, each of
// at most fold rows: elements from ≤ i < to.
func (c *call) wideRows(rows, cols int, f func(from, to int)) step {
	wide := fold(cols) * cols
	c.told.folded(fold(cols))
	return c.rows(rows, cols, func(lo, hi int) {
		for i := lo * cols; i < hi*cols; i += wide {
			f(i, min(i+wide, hi*cols))
		}
	})
}
