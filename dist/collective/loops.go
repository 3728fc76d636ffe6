package collective

import "github.com/gespann/gespann/backend/sumtree"

// Loops are the inner loops of sums, for those who have faster ones than plain Go,
// which stands in for what is nil. They get at most 16 Ki elements at a time, and give
// the bits of the plain ones. Members may have different ones.
type Loops struct {
	Add      func(sum, x []float32)          // sum[i] += x[i]
	ToBF16   func(dst []uint16, x []float32) // as toBF16
	FromBF16 func(dst []float32, x []uint16) // as fromBF16
	AddBF16  func(sum []float32, x []uint16) // as addBF16
}

// complete returns loops for any number of elements.
func (l Loops) complete() Loops {
	return Loops{
		Add:      inBlocks(l.Add, sumtree.Add),
		ToBF16:   inBlocks(l.ToBF16, toBF16),
		FromBF16: inBlocks(l.FromBF16, fromBF16),
		AddBF16:  inBlocks(l.AddBF16, addBF16),
	}
}

// inBlocks returns plain, or fast for few elements at a time.
func inBlocks[D, X float32 | uint16](fast, plain func(dst []D, x []X)) func(dst []D, x []X) {
	if fast == nil {
		return plain
	}
	const block = 16 << 10 // assembly cannot be preempted
	return func(dst []D, x []X) {
		for ; len(x) > block; dst, x = dst[block:], x[block:] {
			fast(dst[:block], x[:block])
		}
		fast(dst, x)
	}
}
