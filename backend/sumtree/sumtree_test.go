package sumtree

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// leaf is a vector whose sums depend on their order: numbers of all sizes.
func leaf(r *rand.Rand, length int) []float32 {
	x := make([]float32, length)
	for i := range x {
		x[i] = float32(r.NormFloat64() * math.Exp(6*r.NormFloat64()))
	}
	return x
}

// sum is the definition.
func sum(leaves [][]float32) []float32 {
	if len(leaves) == 1 {
		return leaves[0]
	}
	a, b := sum(leaves[:len(leaves)/2]), sum(leaves[len(leaves)/2:])
	if a == nil || b == nil {
		return append(a, b...) // at most one
	}
	out := make([]float32, len(a))
	for i := range out {
		out[i] = a[i] + b[i]
	}
	return out
}

func sameBits(a, b []float32) bool {
	return (a == nil) == (b == nil) && slices.EqualFunc(a, b, func(x, y float32) bool {
		return math.Float32bits(x) == math.Float32bits(y)
	})
}

// newTree returns a tree, and fails the test when it cannot.
func newTree(t testing.TB, leaves int) *Tree {
	t.Helper()
	tree, err := New(leaves, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func push(t testing.TB, tree *Tree, lo, hi int, x []float32) {
	t.Helper()
	if err := tree.Push(lo, hi, x); err != nil {
		t.Fatal(err)
	}
}

// TestPartitions checks that any number of workers with any ranges of the leaves,
// some of which are empty, get the bits of the definition: from the first to the
// last or in any order, with trees that are used again.
func TestPartitions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		n, length := 1<<r.IntN(7), 1+r.IntN(40)
		leaves := make([][]float32, n)
		for i := range leaves {
			if r.IntN(4) > 0 {
				leaves[i] = leaf(r, length)
			}
		}
		want := sum(leaves)
		cuts := []int{0, n}
		for range r.IntN(6) {
			cuts = append(cuts, r.IntN(n+1))
		}
		slices.Sort(cuts)
		all, mixed := newTree(t, n), newTree(t, n)
		var nodes []Node
		for i, lo := range cuts[:len(cuts)-1] {
			for _, x := range workerNodes(t, r, leaves, lo, cuts[i+1]) {
				push(t, all, x.Lo, x.Hi, x.Sum)
				nodes = append(nodes, x)
			}
		}
		r.Shuffle(len(nodes), func(i, k int) { nodes[i], nodes[k] = nodes[k], nodes[i] })
		for _, x := range nodes {
			push(t, mixed, x.Lo, x.Hi, x.Sum)
		}
		for _, tree := range []*Tree{all, mixed} {
			if got, ok := tree.Root(); !ok || !sameBits(got, want) {
				t.Fatalf("%d leaves cut at %v: got %v, %v, want %v", n, cuts, got, ok, want)
			}
		}
	}
}

// workerNodes returns the nodes of the worker that has the leaves lo to hi.
func workerNodes(t *testing.T, r *rand.Rand, leaves [][]float32, lo, hi int) []Node {
	t.Helper()
	tree := newTree(t, len(leaves))
	if r.IntN(2) == 0 { // used before
		length := 0
		for _, x := range leaves {
			length = max(length, len(x))
		}
		if length > 0 {
			push(t, tree, 0, len(leaves), leaf(r, length))
		}
		tree.Reset()
	}
	x := make([]float32, 0, 64)
	for i := lo; i < hi; i++ {
		if leaves[i] == nil {
			push(t, tree, i, i+1, nil)
			continue
		}
		x = append(x[:0], leaves[i]...) // the same memory for each, as gradients have
		push(t, tree, i, i+1, x)
	}
	var ranges []Node
	for lo, hi := range Subtrees(lo, hi) {
		ranges = append(ranges, Node{Lo: lo, Hi: hi})
	}
	if !slices.EqualFunc(tree.Nodes(), ranges, func(a, b Node) bool { return a.Lo == b.Lo && a.Hi == b.Hi }) {
		t.Fatalf("leaves %d to %d of %d: nodes %v, want %v", lo, hi, len(leaves), tree.Nodes(), ranges)
	}
	return tree.Nodes()
}

func TestSubtrees(t *testing.T) {
	for _, c := range []struct {
		lo, hi int
		want   [][2]int
	}{
		{0, 0, nil}, {5, 5, nil}, {0, 8, [][2]int{{0, 8}}}, {3, 4, [][2]int{{3, 4}}},
		{1, 8, [][2]int{{1, 2}, {2, 4}, {4, 8}}}, {0, 7, [][2]int{{0, 4}, {4, 6}, {6, 7}}},
		{3, 13, [][2]int{{3, 4}, {4, 8}, {8, 12}, {12, 13}}},
	} {
		var got [][2]int
		for lo, hi := range Subtrees(c.lo, c.hi) {
			got = append(got, [2]int{lo, hi})
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("Subtrees(%d, %d) = %v, want %v", c.lo, c.hi, got, c.want)
		}
	}
	for range Subtrees(1, 100) {
		break
	}
}

// TestMemory checks that leaves in order need one vector per level, and that a tree
// in use allocates nothing.
func TestMemory(t *testing.T) {
	const n = 64
	tree, x := newTree(t, n), make([]float32, 100)
	step := func() {
		tree.Reset()
		for i := range n {
			push(t, tree, i, i+1, x)
			if len(tree.nodes) > 6 {
				t.Fatalf("%d nodes after leaf %d, want at most 6", len(tree.nodes), i)
			}
		}
	}
	step()
	if got := len(tree.free) + len(tree.nodes); got > 7 {
		t.Errorf("%d vectors, want at most 7", got)
	}
	if got := testing.AllocsPerRun(5, step); got != 0 {
		t.Errorf("a step allocates %v times, want 0", got)
	}
}

func TestErrors(t *testing.T) {
	for _, n := range []int{-1, 0, 3, 12} {
		if _, err := New(n, nil); err == nil {
			t.Errorf("New(%d), want an error", n)
		}
	}
	tree := newTree(t, 8)
	push(t, tree, 2, 4, []float32{1, 2})
	for _, c := range []struct {
		lo, hi int
		x      []float32
		want   string
	}{
		{-1, 0, nil, "sumtree: leaves -1 to -1 are no subtree of 8 leaves"},
		{8, 9, nil, "sumtree: leaves 8 to 8 are no subtree of 8 leaves"},
		{4, 4, nil, "sumtree: leaves 4 to 3 are no subtree of 8 leaves"},
		{4, 7, nil, "sumtree: leaves 4 to 6 are no subtree of 8 leaves"},
		{5, 7, nil, "sumtree: leaves 5 to 6 are no subtree of 8 leaves"},
		{2, 3, nil, "sumtree: some of the leaves 2 to 2 are there already"},
		{3, 4, nil, "sumtree: some of the leaves 3 to 3 are there already"},
		{0, 4, nil, "sumtree: some of the leaves 0 to 3 are there already"},
		{4, 6, []float32{1}, "sumtree: leaves 4 to 5: got 1 elements, want 2"},
	} {
		if err := tree.Push(c.lo, c.hi, c.x); err == nil || err.Error() != c.want {
			t.Errorf("Push(%d, %d, %v) = %v, want %s", c.lo, c.hi, c.x, err, c.want)
		}
	}
	if _, ok := tree.Root(); ok {
		t.Error("Root is there, but not all leaves are")
	}
}

func TestAdd(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 40 {
		a, b := leaf(r, n), leaf(r, n)
		want := make([]float32, n)
		for i := range want {
			want[i] = a[i] + b[i]
		}
		if Add(a, b); !sameBits(a, want) {
			t.Errorf("Add of %d elements = %v, want %v", n, a, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("Add of different lengths, want a panic")
		}
	}()
	Add(make([]float32, 9), make([]float32, 8))
}
