package collective

import "slices"

// Exchanges give every member what each of the others has, as it is: what is to be
// made of it is the caller's affair. They are for short vectors of float64, and wait for
// the network once.

// exchangePiece is the number of elements that are exchanged at a time. With less than
// dist.CopierRoom of it unread no member of a ring waits for the next to receive.
const exchangePiece = 16 << 10

// Exchange fills in v, by rank, where the member's own vector is. All have the same
// length. Errors are those of Sum.
func (r *Ring) Exchange(v [][]float64) error {
	if err := r.broken(); err != nil || r.size == 1 {
		return err
	}
	for lo := 0; lo < len(v[r.rank]); lo += exchangePiece {
		if err := r.exchange(v, lo, min(lo+exchangePiece, len(v[r.rank]))); err != nil {
			return err
		}
	}
	return nil
}

// exchange is Exchange of elements lo ≤ i < hi: they go around the ring.
func (r *Ring) exchange(v [][]float64, lo, hi int) error {
	n, k := r.size, hi-lo
	r.lent.odd = 1 - r.lent.odd
	all := r.lent.of(n * k)
	slot := func(rank int) []float64 { return all[rank*k : (rank+1)*k] }
	copy(slot(r.rank), v[r.rank][lo:hi])
	r.push(r.right, bytesOf(slot(r.rank)))
	for back := 1; back < n; back++ {
		from := (r.rank + n - back) % n
		if err := r.recv(r.left, bytesOf(slot(from))); err != nil {
			return err
		}
		if back < n-1 {
			r.push(r.right, bytesOf(slot(from)))
		}
		copy(v[from][lo:hi], slot(from))
	}
	return nil
}

// Exchange is as Ring.Exchange; vectors may have different lengths, which all know. Members
// whose own is empty neither send nor receive.
func (t *Tree) Exchange(v [][]float64) error {
	if err := t.broken(); err != nil || t.size == 1 || len(v[t.rank]) == 0 {
		return err
	}
	if t.lent == nil {
		t.lent = make([]lent, t.size)
	}
	for rank, p := range t.peers {
		if p == nil || len(v[rank]) == 0 {
			continue
		}
		// Apart for each: of who takes part in the next exchange only that one is known
		// to have received this.
		l := &t.lent[rank]
		l.odd = 1 - l.odd
		b := l.of(len(v[t.rank]))
		copy(b, v[t.rank])
		t.push(p, bytesOf(b))
	}
	for rank, p := range t.peers {
		if p == nil || len(v[rank]) == 0 {
			continue
		}
		if err := t.recv(p, bytesOf(v[rank])); err != nil {
			return err
		}
	}
	return nil
}

// lent is memory that links may read until the exchange after the next: two, in turn. See
// the package's comment.
type lent struct {
	odd  int
	bufs [2][]float64
}

// of returns n elements of the one whose turn it is.
func (l *lent) of(n int) []float64 {
	b := &l.bufs[l.odd]
	*b = slices.Grow((*b)[:0], n)[:n]
	return *b
}
