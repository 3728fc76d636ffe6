// Package sumtree adds vectors in one fixed order, whoever has them: that of a
// balanced binary tree.
//
// The leaves 0 ≤ i < n, n a power of two, are the vectors. A node is the sum of
// an aligned range of leaves,
//
//	sum[lo,hi) = sum[lo,mid) + sum[mid,hi),  mid = (lo+hi)/2
//
// and so the sum of all has the same bits whether one machine adds all leaves or
// several fold theirs to nodes first. A leaf without a vector counts as nothing,
// not as zeros: its sibling is their sum.
package sumtree

import (
	"fmt"
	"iter"
	"math/bits"
	"slices"
)

// A Node is the sum of the leaves Lo ≤ i < Hi: their number is a power of two, and
// Lo a multiple of it. Sum is nil when none of them has a vector.
type Node struct {
	Lo, Hi int
	Sum    []float32
}

// A Tree folds siblings as soon as both are there. When leaves come in order it
// keeps at most one vector for each level of the tree.
type Tree struct {
	leaves int
	length int         // of the vectors; -1: none so far
	nodes  []Node      // in order; no two are siblings
	free   [][]float32 // vectors to use again
	add    func(sum, x []float32)
}

// New returns a tree without nodes over so many leaves, a power of two. It adds
// with the given function, which does sum[i] += x[i]; nil stands for Add.
func New(leaves int, add func(sum, x []float32)) (*Tree, error) {
	if leaves < 1 || leaves&(leaves-1) != 0 {
		return nil, fmt.Errorf("sumtree: got %d leaves, want a power of two", leaves)
	}
	if add == nil {
		add = Add
	}
	return &Tree{leaves: leaves, length: -1, add: add}, nil
}

// Push adds the sum x of the leaves lo ≤ i < hi, nil if none of them has a vector.
// Leaves and nodes may come in any order, each leaf once. The tree does not keep
// x.
func (t *Tree) Push(lo, hi int, x []float32) error {
	size := hi - lo
	if lo < 0 || hi > t.leaves || size < 1 || size&(size-1) != 0 || lo%size != 0 {
		return fmt.Errorf("sumtree: leaves %d to %d are no subtree of %d leaves", lo, hi-1, t.leaves)
	}
	i, _ := slices.BinarySearchFunc(t.nodes, lo, func(n Node, lo int) int { return n.Lo - lo })
	if i > 0 && t.nodes[i-1].Hi > lo || i < len(t.nodes) && t.nodes[i].Lo < hi {
		return fmt.Errorf("sumtree: some of the leaves %d to %d are there already", lo, hi-1)
	}
	if x != nil && t.length < 0 {
		t.length = len(x)
	}
	if x != nil && len(x) != t.length {
		return fmt.Errorf("sumtree: leaves %d to %d: got %d elements, want %d", lo, hi-1, len(x), t.length)
	}
	t.insert(i, Node{lo, hi, x})
	return nil
}

// insert folds a node with its sibling, their sum with its own sibling and so on,
// and puts what remains before node i. The vector of n is not the tree's.
func (t *Tree) insert(i int, n Node) {
	own := false
	for {
		k, ok := t.sibling(i, n)
		if !ok {
			break
		}
		s := t.nodes[k]
		t.nodes = slices.Delete(t.nodes, k, k+1)
		i = k
		n.Lo, n.Hi = min(n.Lo, s.Lo), max(n.Hi, s.Hi)
		switch {
		case s.Sum == nil:
			continue
		case n.Sum != nil:
			t.add(s.Sum, n.Sum)
			if own {
				t.free = append(t.free, n.Sum)
			}
		}
		n.Sum, own = s.Sum, true
	}
	if n.Sum != nil && !own {
		n.Sum = t.copyOf(n.Sum)
	}
	t.nodes = slices.Insert(t.nodes, i, n)
}

// sibling returns the index of the sibling of a node that belongs before node i.
func (t *Tree) sibling(i int, n Node) (k int, ok bool) {
	size := n.Hi - n.Lo
	if n.Lo&size == 0 {
		return i, i < len(t.nodes) && t.nodes[i].Lo == n.Hi && t.nodes[i].Hi == n.Hi+size
	}
	return i - 1, i > 0 && t.nodes[i-1].Hi == n.Lo && t.nodes[i-1].Lo == n.Lo-size
}

// copyOf copies x to a vector of the tree.
func (t *Tree) copyOf(x []float32) []float32 {
	var v []float32
	if k := len(t.free) - 1; k >= 0 {
		v, t.free = t.free[k], t.free[:k]
	} else {
		v = make([]float32, len(x))
	}
	copy(v, x)
	return v
}

// Nodes returns what there is, in order: after pushing the leaves of a range, its
// Subtrees. They belong to the tree, which changes them with the next Push or
// Reset.
func (t *Tree) Nodes() []Node { return t.nodes }

// Root returns the sum of all leaves, nil if none has a vector, and whether all
// leaves are there. It belongs to the tree, as Nodes do.
func (t *Tree) Root() (sum []float32, ok bool) {
	if len(t.nodes) != 1 || t.nodes[0].Hi-t.nodes[0].Lo != t.leaves {
		return nil, false
	}
	return t.nodes[0].Sum, true
}

// Reset removes all nodes and keeps their memory, for vectors of the same length.
func (t *Tree) Reset() {
	for i, n := range t.nodes {
		if n.Sum != nil {
			t.free = append(t.free, n.Sum)
		}
		t.nodes[i].Sum = nil
	}
	t.nodes = t.nodes[:0]
}

// Subtrees returns the largest subtrees that make up the leaves lo ≤ i < hi, in
// order: at most two of each size.
func Subtrees(lo, hi int) iter.Seq2[int, int] {
	return func(yield func(lo, hi int) bool) {
		for at := lo; at < hi; {
			size := 1 << (bits.Len(uint(hi-at)) - 1)
			if at > 0 {
				size = min(size, at&-at)
			}
			if !yield(at, at+size) {
				return
			}
			at += size
		}
	}
}

// Add does sum[i] += x[i]. The lengths must be equal.
func Add(sum, x []float32) {
	if len(sum) != len(x) {
		panic(fmt.Sprintf("sumtree: invariant: adding %d elements to %d", len(x), len(sum)))
	}
	for ; len(sum) >= 8 && len(x) >= 8; sum, x = sum[8:], x[8:] {
		// Eight at a time and without checks of bounds: as fast as memory.
		s, v := (*[8]float32)(sum), (*[8]float32)(x)
		s[0] += v[0]
		s[1] += v[1]
		s[2] += v[2]
		s[3] += v[3]
		s[4] += v[4]
		s[5] += v[5]
		s[6] += v[6]
		s[7] += v[7]
	}
	for i, v := range x {
		sum[i] += v
	}
}
