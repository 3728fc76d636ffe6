// Package meet says at which instructions the parts of a gradient run need one
// another, and what they tell there: batch normalisation is over all rows of the run,
// whoever computes which of them.
//
// At such a point each part has a vector of float64,
//
//	v = (n, point, a[C], b[C])
//
// of n values in each of C channels:
//
//	of BatchNorm      a = mean, b = Σ (x − mean)²
//	of BatchNormGrad  a = Σ dy, b = Σ dy·(x − mean), mean that of the whole run
//
// Merge makes one vector of two. Of all vectors, merged in some order, each part makes
// what the instruction needs, and goes on. A part without rows has n = 0, and changes
// nothing.
//
// Source: Chan, Golub and LeVeque, Algorithms for computing the sample variance, Am.
// Stat. 37 (1983), for merging.
package meet

import (
	"fmt"

	"github.com/gespann/gespann/backend/ir"
)

// A Point is an instruction at which the parts of a gradient run meet.
type Point struct {
	Instr    int
	Channels int
	index    int // among the points of the program
	sums     bool
}

// Meets reports whether parts meet at an op.
func Meets(op ir.Op) bool { return op == ir.BatchNorm || op == ir.BatchNormGrad }

// Points returns where the parts of a gradient program meet, in order. Programs of one
// model have the same points, whatever their number of rows.
func Points(p *ir.Program) []Point {
	var all []Point
	for i := range p.Instrs {
		ins := &p.Instrs[i]
		if Meets(ins.Op) {
			_, channels := ir.Rows(p.Values[ins.In[0]].Shape)
			all = append(all, Point{i, channels, len(all), ins.Op == ir.BatchNormGrad})
		}
	}
	return all
}

// PointOf returns the point that an instruction of p is.
func PointOf(p *ir.Program, ins *ir.Instr) Point {
	for _, point := range Points(p) {
		if &p.Instrs[point.Instr] == ins {
			return point
		}
	}
	panic("meet: invariant: parts do not meet at " + ins.Op.String())
}

// Vector returns the vector of a part without rows.
func (p Point) Vector() []float64 {
	v := make([]float64, Len(p.Channels))
	p.mark(v)
	return v
}

// head is the number of elements of a vector before those of the channels.
const head = 2

// Len returns the length of a vector of so many channels.
func Len(channels int) int { return head + 2*channels }

// mark writes to v which point it is for.
func (p Point) mark(v []float64) {
	v[1] = float64(2 * p.index)
	if p.sums {
		v[1]++
	}
}

// Count returns the number of values of a channel.
func Count(v []float64) float64 { return v[0] }

// SetCount writes it.
func SetCount(v []float64, n int) { v[0] = float64(n) }

// Channels returns the a and the b of a vector.
func Channels(v []float64) (a, b []float64) {
	c := (len(v) - head) / 2
	return v[head : head+c], v[head+c:]
}

// Merge makes sum the vector of its rows and those of x. Of mean and squares,
//
//	δ = mean(x) − mean(sum)
//	mean = mean(sum) + δ·n(x)/n,  b = b(sum) + b(x) + δ²·n(sum)·n(x)/n
//
// Sums are added. It returns an error when the two are not for the same point.
func Merge(sum, x []float64) error {
	if len(sum) != len(x) || len(sum) < head || sum[1] != x[1] {
		return fmt.Errorf("meet: a part is at another point: got %d elements for %v, want %d for %v",
			len(x), at(x), len(sum), at(sum))
	}
	switch {
	case x[0] == 0:
		return nil
	case sum[0] == 0:
		copy(sum, x)
		return nil
	}
	n := sum[0] + x[0]
	a, b := Channels(sum)
	xa, xb := Channels(x)
	if int(sum[1])%2 == 1 {
		for i := range a {
			a[i], b[i] = a[i]+xa[i], b[i]+xb[i]
		}
	} else {
		share, both := x[0]/n, sum[0]*(x[0]/n)
		for i := range a {
			d := xa[i] - a[i]
			a[i] += float64(d * share)
			b[i] += xb[i] + float64(float64(d*d)*both)
		}
	}
	sum[0] = n
	return nil
}

// Shards of a run are merged along a balanced binary tree, as their gradients are (package
// sumtree), so that the bits do not depend on who has which. The vector of a node is in the
// place of its first shard.

// Fold merges, of the vectors of all shards of a run, a power of two, those lo ≤ i < hi to
// those of the largest subtrees within.
func Fold(v [][]float64, lo, hi int) error {
	return fold(v, func(from, to int) bool { return lo <= from && to <= hi })
}

// Join merges all to the first vector, when Fold has been applied to each of the ranges
// between cuts: cuts[0] = 0 ≤ cuts[1] ≤ … ≤ len(v).
func Join(v [][]float64, cuts []int) error {
	return fold(v, func(from, to int) bool {
		for i := range len(cuts) - 1 {
			if cuts[i] <= from && to <= cuts[i+1] {
				return false
			}
		}
		return true
	})
}

// fold merges the children of nodes that are wanted, from the leaves up.
func fold(v [][]float64, wanted func(from, to int) bool) error {
	for size := 1; size < len(v); size *= 2 {
		for i := 0; i+2*size <= len(v); i += 2 * size {
			if !wanted(i, i+2*size) {
				continue
			}
			if err := Merge(v[i], v[i+size]); err != nil {
				return err
			}
		}
	}
	return nil
}

// at returns the point of a vector, for messages.
func at(v []float64) any {
	if len(v) < head {
		return "none"
	}
	return v[1]
}
