package collective

// A gather is the memory for exact sums of short vectors: every member gets all
// of them, and adds them in the order of ranks.
type gather struct {
	add  func(sum, x []float32)
	odd  int
	bufs [2][]float32 // [size, len], in turn: see the package's comment
}

// begin returns memory for one vector of each member, the one of rank being v.
func (a *gather) begin(size, rank int, v []float32) []float32 {
	a.odd = 1 - a.odd
	if need := size * len(v); cap(a.bufs[a.odd]) < need {
		a.bufs[a.odd] = make([]float32, need)
	}
	all := a.bufs[a.odd][:size*len(v)]
	copy(all[rank*len(v):], v)
	return all
}

// end writes the sum to v.
func (a *gather) end(v, all []float32) {
	copy(v, all)
	for at := len(v); at < len(all); at += len(v) {
		a.add(v, all[at:at+len(v)])
	}
}

// gather sums v: vectors go around the ring.
func (r *Ring) gather(v []float32) error {
	if err := r.broken(); err != nil || r.size == 1 || len(v) == 0 {
		return err
	}
	n, k := r.size, len(v)
	all := r.all.begin(n, r.rank, v)
	slot := func(rank int) []byte { return bytesOf(all[rank*k : (rank+1)*k]) }
	r.push(r.right, slot(r.rank))
	for back := 1; back < n; back++ {
		from := slot((r.rank + n - back) % n)
		if err := r.recv(r.left, from); err != nil {
			return err
		}
		if back < n-1 {
			r.push(r.right, from)
		}
	}
	r.all.end(v, all)
	return nil
}
