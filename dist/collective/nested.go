package collective

import (
	"context"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

// A Summer sums vectors over the members of a group: a Ring or a Nested.
type Summer interface {
	// Sum replaces v by its sum over all members, with the same bits on all of them.
	// Errors name a member: they are PeerErrors, or ErrClosed.
	Sum(v []float32) error
	// SumExact is Sum with float32 on the wire. An element that is zero for all members
	// but one becomes that one's.
	SumExact(v []float32) error
	Traffic() Traffic
	Close() error

	// add sums v[lo:hi] as Sum does. That memory may be read by links until settle
	// returns, when all that was sent in earlier sums has been received.
	add(v []float32, lo, hi int) error
	settle() error
	direct() bool // no sum needs a goroutine of its own
	broken() error
}

// Connect joins a generation for sums of vectors of so many elements: over a ring, or nested
// where workers share machines and the cost says that this takes less time. All members come to
// the same. One member alone needs no links, and peers may then be nil.
func Connect(ctx context.Context, peers dist.Peers, gen dist.Generation,
	members []wire.Member, rank, length int, o Options) (Summer, error) {
	bytes := 4 * length
	if o.BF16 {
		bytes = 2 * length
	}
	if c := UsualNetwork.Crew(sizes(machines(members)), bytes); c.Nested().Seconds < c.Ring().Seconds {
		return ConnectNested(ctx, peers, gen, members, rank, o)
	}
	return ConnectRing(ctx, peers, gen, members, rank, o)
}

// machines returns the ranks of the members on each machine, as their Host tells, in the order
// of ranks.
func machines(members []wire.Member) [][]int {
	var all [][]int
	at := map[string]int{}
	for rank, m := range members {
		i, known := at[m.Host]
		if !known || m.Host == "" {
			i = len(all)
			at[m.Host], all = i, append(all, nil)
		}
		all[i] = append(all[i], rank)
	}
	return all
}

func sizes(machines [][]int) []int {
	all := make([]int, len(machines))
	for i, m := range machines {
		all[i] = len(m)
	}
	return all
}

// A Nested sums within each machine, then between machines, and spreads the result. The members
// of a machine are a chain. What its end has goes towards its head, each adding its own; the
// heads sum over a ring; the result goes back. With BF16 only the ring rounds.
//
//	bytes that a machine sends others: 2(M−1)/M of the vector, for M machines
type Nested struct {
	local    *group // links along the chain
	up, down *peer  // towards the head, and the end; nil: this is it
	ring     *Ring  // of heads; nil: this is none
	loops    Loops
	in       []float32 // [chunk] received
	odd      int
	lent     [2][]float32 // of exact sums, in turn: see the package's comment
}

// ConnectNested joins a generation for nested sums, as ConnectRing does for those of a ring.
func ConnectNested(ctx context.Context, peers dist.Peers, gen dist.Generation,
	members []wire.Member, rank int, o Options) (*Nested, error) {
	all := machines(members)
	heads := make([]int, len(all))
	var chain []int
	place, machine := 0, 0
	for i, m := range all {
		heads[i] = m[0]
		for k, r := range m {
			if r == rank {
				chain, place, machine = m, k, i
			}
		}
	}
	var dial, accept []int
	if place > 0 {
		accept = append(accept, chain[place-1])
	}
	if place+1 < len(chain) {
		dial = append(dial, chain[place+1])
	}
	if place == 0 {
		to, from := around(len(heads), machine)
		for _, i := range to {
			dial = append(dial, heads[i])
		}
		for _, i := range from {
			accept = append(accept, heads[i])
		}
	}
	g, err := connect(ctx, peers, gen, members, rank, dial, accept)
	if err != nil {
		return nil, err
	}
	n := &Nested{local: &group{rank: place, size: len(chain), peers: make([]*peer, len(chain))},
		loops: o.Loops.complete(), in: make([]float32, chunk)}
	for k, r := range chain {
		n.local.peers[k] = g.peers[r]
	}
	if place > 0 {
		n.up = n.local.peers[place-1]
	}
	if place+1 < len(chain) {
		n.down = n.local.peers[place+1]
	}
	n.local.start(true)
	if place == 0 {
		between := &group{rank: machine, size: len(heads), peers: make([]*peer, len(heads))}
		for i, r := range heads {
			between.peers[i] = g.peers[r]
		}
		n.ring = newRing(between, o)
	}
	return n, nil
}

// Sum implements Summer.
func (n *Nested) Sum(v []float32) error {
	if err := n.add(v, 0, len(v)); err != nil {
		return err
	}
	return n.settle()
}

func (n *Nested) add(v []float32, lo, hi int) error {
	for ; lo < hi; lo += Bucket {
		end := min(lo+Bucket, hi)
		between := func() error { return n.ring.add(v, lo, end) }
		if err := n.sum(v[lo:end], between); err != nil {
			return err
		}
	}
	return nil
}

// SumExact implements Summer.
func (n *Nested) SumExact(v []float32) error {
	n.odd = 1 - n.odd
	b := &n.lent[n.odd]
	*b = append((*b)[:0], v...)
	if err := n.sum(*b, func() error { return n.ring.SumExact(*b) }); err != nil {
		return err
	}
	copy(v, *b)
	return nil
}

func (n *Nested) settle() error {
	var token [1]float32
	return n.SumExact(token[:])
}

// sum sums x: between is what the heads do with what their machines have.
func (n *Nested) sum(x []float32, between func() error) error {
	if err := n.broken(); err != nil {
		return n.end(err)
	}
	for lo := 0; lo < len(x); lo += chunk {
		part := x[lo:min(lo+chunk, len(x))]
		if n.down != nil {
			in := n.in[:len(part)]
			if err := n.local.recv(n.down, bytesOf(in)); err != nil {
				return n.end(err)
			}
			n.loops.Add(part, in)
		}
		if n.up != nil {
			n.local.push(n.up, bytesOf(part))
		}
	}
	if n.ring != nil {
		if err := between(); err != nil {
			return n.end(err)
		}
	}
	for lo := 0; lo < len(x); lo += chunk {
		part := x[lo:min(lo+chunk, len(x))]
		if n.up != nil {
			if err := n.local.recv(n.up, bytesOf(part)); err != nil {
				return n.end(err)
			}
		}
		if n.down != nil {
			n.local.push(n.down, bytesOf(part))
		}
	}
	return nil
}

// direct implements Summer: there is a network to wait for.
func (n *Nested) direct() bool { return false }

func (n *Nested) broken() error {
	if err := n.local.broken(); err != nil || n.ring == nil {
		return err
	}
	return n.ring.broken()
}

// end ends all links because of err, so that the others on this machine and elsewhere see it.
func (n *Nested) end(err error) error {
	if n.ring != nil {
		err = n.ring.fail(err)
	}
	return n.local.fail(err)
}

// Traffic returns what this member has moved so far. It may be called at any time.
func (n *Nested) Traffic() Traffic {
	t := n.local.Traffic()
	if n.ring != nil {
		r := n.ring.Traffic()
		t.Sent, t.Received = t.Sent+r.Sent, t.Received+r.Received
	}
	return t
}

// Close ends the links, as that of a Ring does.
func (n *Nested) Close() error {
	if n.ring != nil {
		_ = n.ring.fail(ErrClosed)
	}
	_ = n.local.fail(ErrClosed)
	if n.ring != nil {
		n.ring.senders.Wait()
	}
	n.local.senders.Wait()
	return nil
}
