package collective

import "unsafe"

const (
	// chunk is the number of elements that are sent at a time: while one travels, the
	// one before it is added, from a cache.
	chunk = 64 << 10
	// short is the length of vectors that all members send to all, which takes half
	// the rounds of a ring.
	short = 4 << 10
)

// A Ring sums vectors by ring all-reduce. Its sums are not called concurrently.
type Ring struct {
	*group
	left, right *peer
	steps       []step
	loops       Loops
	bf16        bool
	in          []float32 // [chunk] received
	in16        []uint16  // [chunk]
	mirror      []uint16  // what is on the wire, for each element of a sum
	all         gather
	lent        lent // of exchanges
}

func newRing(g *group, o Options) *Ring {
	r := &Ring{group: g, loops: o.Loops.complete(), bf16: o.BF16}
	r.all.add = r.loops.Add
	if n := r.size; n > 1 {
		r.left, r.right = r.peers[(r.rank+n-1)%n], r.peers[(r.rank+1)%n]
		r.steps = RingSchedule(n).steps(r.rank)
		r.in = make([]float32, chunk)
		if r.bf16 {
			r.in16 = make([]uint16, chunk)
		}
	}
	r.start(true)
	return r
}

// direct reports whether no sum needs a goroutine of its own: what is sent is copied,
// and what comes lies there.
func (r *Ring) direct() bool { return r.size == 1 || r.left.direct && r.right.direct }

// Sum replaces v by its sum over all members, with the same bits on all of them.
// Errors name a member: they are PeerErrors, or ErrClosed.
func (r *Ring) Sum(v []float32) error {
	if err := r.part(v, 0, len(v), r.bf16); err != nil {
		return err
	}
	return r.settle()
}

func (r *Ring) add(v []float32, lo, hi int) error { return r.part(v, lo, hi, r.bf16) }

// SumExact is Sum with float32 on the wire. An element that is zero for all
// members but one becomes that one's element, to the bit.
func (r *Ring) SumExact(v []float32) error {
	if len(v) <= short {
		return r.gather(v)
	}
	if err := r.part(v, 0, len(v), false); err != nil {
		return err
	}
	return r.settle()
}

// settle returns when all that was sent in earlier sums has been received.
func (r *Ring) settle() error {
	var token [1]float32
	return r.gather(token[:])
}

// part sums v[lo:hi]. That memory may be read by links until the next sum is
// complete.
//
// At most a bucket is summed at a time: while a member sends the first piece of it, and
// a chunk of what has come, less than dist.CopierRoom waits for its neighbour. So not all
// members can wait at once for their neighbours to receive.
func (r *Ring) part(v []float32, lo, hi int, bf16 bool) error {
	for ; hi-lo > Bucket; lo += Bucket {
		if err := r.bucket(v, lo, lo+Bucket, bf16); err != nil {
			return err
		}
	}
	return r.bucket(v, lo, hi, bf16)
}

func (r *Ring) bucket(v []float32, lo, hi int, bf16 bool) error {
	if err := r.broken(); err != nil || r.size == 1 {
		return err
	}
	w := waves{ring: r, v: v[lo:hi]}
	if bf16 {
		if len(r.mirror) < len(v) {
			r.mirror = make([]uint16, len(v))
		}
		w.mirror = r.mirror[lo:hi]
	}
	first, end := cut(hi-lo, r.size, r.steps[0].send)
	for ; first < end; first += chunk {
		w.first(first, min(first+chunk, end))
	}
	for i := range r.steps {
		at, end := cut(hi-lo, r.size, r.steps[i].recv)
		for ; at < end; at += chunk {
			if err := w.next(i, at, min(at+chunk, end)); err != nil {
				return err
			}
		}
	}
	return nil
}

// waves moves the chunks of one sum: what comes in a round is sent on in the
// next.
type waves struct {
	ring   *Ring
	v      []float32
	mirror []uint16 // nil: float32 on the wire
}

// first sends a chunk of this member's own.
func (w *waves) first(lo, hi int) {
	if w.mirror != nil {
		w.ring.loops.ToBF16(w.mirror[lo:hi], w.v[lo:hi])
	}
	w.send(lo, hi)
}

// next receives a chunk in a round, and sends it on in the one that follows.
func (w *waves) next(round, lo, hi int) error {
	r := w.ring
	var err error
	switch add := r.steps[round].add; {
	case add && w.mirror != nil:
		err = w.addBF16(lo, hi, !r.steps[round+1].add)
	case add:
		in := r.in[:hi-lo]
		if err = r.recv(r.left, bytesOf(in)); err == nil {
			r.loops.Add(w.v[lo:hi], in)
		}
	case w.mirror != nil:
		if err = r.recv(r.left, bytesOf(w.mirror[lo:hi])); err == nil {
			r.loops.FromBF16(w.v[lo:hi], w.mirror[lo:hi])
		}
	default:
		err = r.recv(r.left, bytesOf(w.v[lo:hi]))
	}
	if err == nil && round+1 < len(r.steps) {
		w.send(lo, hi)
	}
	return err
}

// addBF16 adds what comes, and rounds the sum for the next member. The result of all
// is also rounded here, as it is for the others.
func (w *waves) addBF16(lo, hi int, result bool) error {
	r := w.ring
	in := r.in16[:hi-lo]
	if err := r.recv(r.left, bytesOf(in)); err != nil {
		return err
	}
	r.loops.AddBF16(w.v[lo:hi], in)
	r.loops.ToBF16(w.mirror[lo:hi], w.v[lo:hi])
	if result {
		r.loops.FromBF16(w.v[lo:hi], w.mirror[lo:hi])
	}
	return nil
}

func (w *waves) send(lo, hi int) {
	b := bytesOf(w.v[lo:hi])
	if w.mirror != nil {
		b = bytesOf(w.mirror[lo:hi])
	}
	w.ring.push(w.ring.right, b)
}

// bytesOf returns the memory of x. Machines that are not little-endian are
// refused when a group connects.
func bytesOf[T float32 | float64 | uint16 | uint64](x []T) []byte {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), len(x)*int(unsafe.Sizeof(x[0])))
}
