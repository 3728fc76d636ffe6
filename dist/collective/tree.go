package collective

import (
	"context"
	"fmt"
	"math/bits"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/sumtree"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

// A Tree sums vectors in the order of a sumtree over the shards of a step. Each
// member has the nodes of a range of the leaves. It owns a slice of the vector: it
// gets all other members' nodes for that slice, folds them, and sends the sum to all
// (direct exchange). Its sums are not called concurrently.
type Tree struct {
	*group
	leaves int
	ranges [][]leafRange // by rank: Subtrees of its leaves
	nodes  exchange      // the rounds of ExchangeSchedule
	sums   exchange
	masks  []uint64 // by rank, 0: not sent; bit i: node i is not nil
	mine   []uint64 // [1] the same, sent
	in     []float32
	fold   *sumtree.Tree
	length int // of the vectors that fold has memory for
	add    func(sum, x []float32)
	all    gather
	lent   []lent // of exchanges, by rank
}

type leafRange struct{ lo, hi int }

// An exchange is what a member sends and receives in a round.
type exchange struct{ out, in []Transfer }

// ConnectTree joins a generation as the member of the given rank, with a link to
// every other: it dials those of higher rank, and waits for the lower ones. Member i
// has the leaves backend.Share(leaves, shares, i). One member alone needs no links, and
// peers may then be nil.
func ConnectTree(ctx context.Context, peers dist.Peers, gen dist.Generation,
	members []wire.Member, rank, leaves int, o Options) (*Tree, error) {
	t := &Tree{leaves: leaves, add: o.Loops.complete().Add, masks: make([]uint64, len(members)), mine: make([]uint64, 1)}
	t.all.add = t.add
	schedule := ExchangeSchedule(len(members))
	t.nodes.out, t.nodes.in = schedule.of(rank, 0)
	t.sums.out, t.sums.in = schedule.of(rank, 1)
	shares, total := make([]int, len(members)), 0
	for i, m := range members {
		shares[i] = m.Share
		total += m.Share
	}
	if total < 1 {
		return nil, fmt.Errorf("collective: got shares %v, want one above 0", shares)
	}
	var dial, accept []int
	for i := range members {
		lo, hi := backend.Share(leaves, shares, i)
		var nodes []leafRange
		for lo, hi := range sumtree.Subtrees(lo, hi) {
			nodes = append(nodes, leafRange{lo, hi})
		}
		t.ranges = append(t.ranges, nodes)
		switch {
		case i < rank:
			accept = append(accept, i)
		case i > rank:
			dial = append(dial, i)
		}
	}
	if _, err := sumtree.New(leaves, nil); err != nil {
		return nil, err
	}
	var err error
	if t.group, err = connect(ctx, peers, gen, members, rank, dial, accept); err != nil {
		return nil, err
	}
	t.start(false)
	return t, nil
}

// Sum writes to out the sum of the vectors of all leaves, zeros if there is none.
// Nodes are those of this member's leaves, as sumtree.Tree.Nodes returns them; they
// do not change before Sum returns, and are of the length of out. Tail is summed too,
// as by SumExact.
//
// The result has the same bits for any number of members and any shares. Errors name
// a member: they are PeerErrors, or ErrClosed.
func (t *Tree) Sum(out []float32, nodes []sumtree.Node, tail []float32) error {
	if err := t.broken(); err != nil {
		return err
	}
	if err := t.check(nodes, len(out)); err != nil {
		return err
	}
	t.sendNodes(nodes, len(out))
	lo, hi := cut(len(out), t.size, t.rank)
	if err := t.foldSlice(out[lo:hi], nodes, lo, hi); err != nil {
		return err
	}
	for _, tr := range t.sums.out {
		t.push(t.peers[tr.To], bytesOf(out[lo:hi]))
	}
	for _, tr := range t.sums.in {
		lo, hi := cut(len(out), t.size, tr.Piece)
		if err := t.recv(t.peers[tr.From], bytesOf(out[lo:hi])); err != nil {
			return err
		}
	}
	if len(tail) > 0 {
		return t.SumExact(tail)
	}
	var token [1]float32
	return t.SumExact(token[:])
}

// check checks that nodes are this member's.
func (t *Tree) check(nodes []sumtree.Node, length int) error {
	want := t.ranges[t.rank]
	if len(nodes) != len(want) {
		return fmt.Errorf("collective: got %d nodes, want %d", len(nodes), len(want))
	}
	for i, n := range nodes {
		if n.Lo != want[i].lo || n.Hi != want[i].hi {
			return fmt.Errorf("collective: got the node of leaves %d to %d, want %d to %d",
				n.Lo, n.Hi-1, want[i].lo, want[i].hi-1)
		}
		if n.Sum != nil && len(n.Sum) != length {
			return fmt.Errorf("collective: leaves %d to %d: got %d elements, want %d", n.Lo, n.Hi-1, len(n.Sum), length)
		}
	}
	return nil
}

// sendNodes sends each member which nodes there are, and their elements of its slice.
func (t *Tree) sendNodes(nodes []sumtree.Node, length int) {
	t.mine[0] = 0
	for i, n := range nodes {
		if n.Sum != nil {
			t.mine[0] |= 1 << i
		}
	}
	for _, tr := range t.nodes.out {
		p := t.peers[tr.To]
		t.push(p, bytesOf(t.mine))
		lo, hi := cut(length, t.size, tr.Piece)
		for _, n := range nodes {
			if n.Sum != nil {
				t.push(p, bytesOf(n.Sum[lo:hi]))
			}
		}
	}
}

// foldSlice writes to out the sum of all members' nodes, of elements lo to hi.
func (t *Tree) foldSlice(out []float32, nodes []sumtree.Node, lo, hi int) error {
	if t.fold == nil || t.length != len(out) {
		t.fold, _ = sumtree.New(t.leaves, t.add) // leaves were checked
		t.in, t.length = make([]float32, len(out)), len(out)
	}
	t.fold.Reset()
	for _, n := range nodes {
		x := n.Sum
		if x != nil {
			x = x[lo:hi]
		}
		if err := t.fold.Push(n.Lo, n.Hi, x); err != nil {
			return err
		}
	}
	for _, tr := range t.nodes.in {
		if err := t.foldFrom(tr.From, t.ranges[tr.From]); err != nil {
			return err
		}
	}
	sum, ok := t.fold.Root()
	switch {
	case !ok:
		return fmt.Errorf("collective: members have %d of the nodes of %d leaves", len(t.fold.Nodes()), t.leaves)
	case sum == nil:
		clear(out)
	default:
		copy(out, sum)
	}
	return nil
}

// foldFrom receives the nodes of a member.
func (t *Tree) foldFrom(rank int, ranges []leafRange) error {
	p := t.peers[rank]
	if err := t.recv(p, bytesOf(t.masks[rank:rank+1])); err != nil {
		return err
	}
	mask := t.masks[rank]
	if bits.Len64(mask) > len(ranges) {
		return t.fail(&PeerError{p.id, fmt.Errorf("sent nodes %b of %d", mask, len(ranges))})
	}
	for i, r := range ranges {
		var x []float32
		if mask>>i&1 != 0 {
			x = t.in
			if err := t.recv(p, bytesOf(x)); err != nil {
				return err
			}
		}
		if err := t.fold.Push(r.lo, r.hi, x); err != nil {
			return err
		}
	}
	return nil
}

// SumExact is as Ring.SumExact. Each member sends all of v to each other: it is for
// short vectors.
func (t *Tree) SumExact(v []float32) error {
	if err := t.broken(); err != nil || t.size == 1 || len(v) == 0 {
		return err
	}
	all, k := t.all.begin(t.size, t.rank, v), len(v)
	for _, p := range t.peers {
		if p != nil {
			t.push(p, bytesOf(all[t.rank*k:(t.rank+1)*k]))
		}
	}
	for rank, p := range t.peers {
		if p == nil {
			continue
		}
		if err := t.recv(p, bytesOf(all[rank*k:(rank+1)*k])); err != nil {
			return err
		}
	}
	t.all.end(v, all)
	return nil
}
