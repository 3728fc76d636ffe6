package data

// A Key is all that At computes from, for machines that have no Go: the letters
// are those of the formula at Perm.
type Key struct {
	N      uint32
	LoBits uint32
	LoMask uint32
	HiMask uint32
	Round  [rounds]uint32
	// Ordered is 1 for InOrder, where At(i) is i, else 0.
	Ordered uint32
}

// Key returns the constants of the permutation.
func (p Perm) Key() Key {
	k := Key{N: p.n, LoBits: uint32(p.loBits), LoMask: p.loMask, HiMask: p.hiMask, Round: p.key}
	if p.ordered {
		k.Ordered = 1
	}
	return k
}
