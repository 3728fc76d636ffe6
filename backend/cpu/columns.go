package cpu

import "github.com/gespann/gespann/backend/cpu/vec"

// A columnSum is a sum over the rows of a matrix, one result per column.
type columnSum struct {
	out []float32 // [C]; nil: the result stays in part
	// add adds the rows lo ≤ r < hi to sum [C].
	add  func(sum []float32, lo, hi int)
	part []float32 // scratch: [chunks,C]; its first row is the result
}

// columnSums returns a step that computes some column sums in one pass: chunks
// of rows into scratch, in parallel, then the chunks in order.
func (c *call) columnSums(rows, cols int, sums []*columnSum) step {
	// At least 64 rows, so that a wide matrix is not copied to scratch.
	per := max(64, rowsPer(2*grain, cols))
	chunks := ceilDiv(rows, per)
	for _, s := range sums {
		s.part = make([]float32, chunks*cols)
	}
	pass := c.parallel(chunks, rows*cols, func(_, i int) {
		for _, s := range sums {
			sum := s.part[i*cols : (i+1)*cols]
			clear(sum)
			s.add(sum, i*per, min((i+1)*per, rows))
		}
	})
	return func() {
		pass()
		for _, s := range sums {
			vec.SumColumns(s.part[:cols], s.part[cols:], chunks-1)
			if s.out != nil {
				copy(s.out, s.part)
			}
		}
	}
}
