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

const (
	// foldRun and chunkRun are how many sums of folded rows, and of chunks, are
	// added in order, before those of such runs are added pairwise.
	foldRun  = 32
	chunkRun = 256
)

// columnSums returns a step that computes some column sums in one pass: chunks
// of rows into scratch, in parallel, then the chunks as addParts does. Within a
// chunk, each of fold rows has its own sum; these are added likewise.
//
// A sum is off by at most γ_h Σ|x|, however many rows there are: with less than
// 256 columns h is 128 in a chunk, 31 + 3 for folds, with more it is 128 in a
// chunk; and then 255 + log₂(chunks/256). Together h < 512.
//
// Source: Higham, Accuracy and Stability of Numerical Algorithms, 2002, §4.2.
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
			addParts(sum, f, cols, cols, foldRun)
		}
	})
	return func() {
		pass()
		for _, s := range sums {
			addParts(s.part, chunks, cols, wide, chunkRun)
			if s.out != nil {
				copy(s.out, s.part)
			}
		}
	}
}

// addParts adds n vectors of c elements, stride apart, into the first: runs of them
// in order, then the runs pairwise, neighbours first. It spoils the others.
func addParts(part []float32, n, c, stride, run int) {
	for first := 0; first < n; first += run {
		addRun(part[first*stride:], min(run, n-first), c, stride)
	}
	for step := run; step < n; step *= 2 {
		for i := 0; i+step < n; i += 2 * step {
			sum := part[i*stride:][:c]
			vec.Add(sum, sum, part[(i+step)*stride:])
		}
	}
}

// addRun adds n vectors into the first, in order.
func addRun(part []float32, n, c, stride int) {
	if c == 1 {
		for i := 1; i < n; i++ {
			part[0] += part[i*stride]
		}
		return
	}
	sum := part[:c]
	for i := 1; i < n; i++ {
		vec.Add(sum, sum, part[i*stride:])
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
