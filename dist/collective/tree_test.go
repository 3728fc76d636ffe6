package collective

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/sumtree"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

func trees(t testing.TB, all []wire.Member, leaves int) []*Tree {
	t.Helper()
	return connectAll(t, all, func(p dist.Peers, g dist.Generation, rank int) (*Tree, error) {
		return ConnectTree(context.Background(), p, g, all, rank, leaves, Options{})
	})
}

// someLeaves returns vectors of all sizes of numbers, some of which are nil.
func someLeaves(r *rand.Rand, n, length int) [][]float32 {
	leaves := make([][]float32, n)
	for i := range leaves {
		if r.IntN(5) == 0 {
			continue
		}
		leaves[i] = make([]float32, length)
		for k := range leaves[i] {
			leaves[i][k] = float32(r.NormFloat64() * math.Exp(6*r.NormFloat64()))
		}
	}
	return leaves
}

// folded returns a tree with the leaves lo ≤ i < hi.
func folded(t testing.TB, leaves [][]float32, lo, hi int) *sumtree.Tree {
	t.Helper()
	tree, err := sumtree.New(len(leaves), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := lo; i < hi; i++ {
		if err := tree.Push(i, i+1, leaves[i]); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

// TestTreeSum checks that groups of 1 to 8 members with any shares get the bits
// that one machine gets, in steps one after the other.
func TestTreeSum(t *testing.T) {
	checkGoroutines(t)
	r := rand.New(rand.NewPCG(2, 2))
	for n := 1; n <= 8; n++ {
		for range 4 {
			shares := make([]int, n)
			shares[r.IntN(n)] = 1
			for i := range shares {
				shares[i] += r.IntN(4)
			}
			count := 1 << r.IntN(6)
			groups := trees(t, members(shares...), count)
			for _, length := range []int{1, 0, 40, 1000} {
				checkTree(t, r, groups, shares, someLeaves(r, count, length), length)
			}
			for _, g := range groups {
				_ = g.Close()
			}
		}
	}
}

func checkTree(t *testing.T, r *rand.Rand, groups []*Tree, shares []int, leaves [][]float32, length int) {
	t.Helper()
	want, _ := folded(t, leaves, 0, len(leaves)).Root()
	if want == nil {
		want = make([]float32, length)
	}
	n := len(groups)
	got, tails := make([][]float32, n), make([][]float32, n)
	wantTail := make([]float32, n)
	for rank := range n {
		got[rank] = make([]float32, length)
		tails[rank] = make([]float32, n)
		tails[rank][rank] = r.Float32()
		wantTail[rank] = tails[rank][rank]
	}
	must(t, together(n, func(rank int) error {
		lo, hi := backend.Share(len(leaves), shares, rank)
		tree := folded(t, leaves, lo, hi)
		err := groups[rank].Sum(got[rank], tree.Nodes(), tails[rank])
		for _, n := range tree.Nodes() {
			for i := range n.Sum { // now the step after it may begin
				n.Sum[i] = -1
			}
		}
		return err
	}))
	for rank := range n {
		if i, ok := sameBits(got[rank], want); !ok {
			t.Fatalf("shares %v, %d leaves: [%d] is %v at rank %d, want %v",
				shares, len(leaves), i, got[rank][i], rank, want[i])
		}
		if i, ok := sameBits(tails[rank], wantTail); !ok {
			t.Fatalf("shares %v: tail[%d] is %v at rank %d, want %v", shares, i, tails[rank][i], rank, wantTail[i])
		}
	}
}

func TestTreeErrors(t *testing.T) {
	for _, c := range []struct {
		shares []int
		leaves int
		want   string
	}{
		{[]int{0}, 8, "collective: got shares [0], want one above 0"},
		{[]int{1}, 6, "sumtree: got 6 leaves, want a power of two"},
	} {
		_, err := ConnectTree(t.Context(), nil, dist.Generation{}, members(c.shares...), 0, c.leaves, Options{})
		if err == nil || err.Error() != c.want {
			t.Errorf("shares %v, %d leaves: got %v, want %s", c.shares, c.leaves, err, c.want)
		}
	}
	g := trees(t, members(1), 2)[0]
	for _, c := range []struct {
		nodes []sumtree.Node
		want  string
	}{
		{nil, "collective: got 0 nodes, want 1"},
		{[]sumtree.Node{{Lo: 0, Hi: 1}}, "collective: got the node of leaves 0 to 0, want 0 to 1"},
		{[]sumtree.Node{{Lo: 0, Hi: 2, Sum: make([]float32, 3)}}, "collective: leaves 0 to 1: got 3 elements, want 4"},
	} {
		if err := g.Sum(make([]float32, 4), c.nodes, nil); err == nil || err.Error() != c.want {
			t.Errorf("%v: got %v, want %s", c.nodes, err, c.want)
		}
	}
}

// TestTreeStranger has a member that says it has nodes that it cannot have.
func TestTreeStranger(t *testing.T) {
	groups := trees(t, members(1, 1), 2)
	groups[1].peers[0].out.push(bytesOf([]uint64{6}))
	err := groups[0].Sum(make([]float32, 40), []sumtree.Node{{Lo: 0, Hi: 1}}, nil)
	if err == nil || !strings.Contains(err.Error(), "worker w1: sent nodes 110 of 1") {
		t.Errorf("got %v, want an error that names w1", err)
	}
}
