package meet

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/numtest"
)

// program has a batch normalisation and its gradient.
func program(rows, channels int) *ir.Program {
	x := ir.Value{Kind: ir.Input, Name: "x", Shape: []int{rows, channels}, Var: -1, Of: ir.None}
	return &ir.Program{Values: []ir.Value{x}, Instrs: []ir.Instr{
		{Op: ir.Activation, In: []ir.Slot{0}}, {Op: ir.BatchNorm, In: []ir.Slot{0}}, {Op: ir.BatchNormGrad, In: []ir.Slot{0}},
	}}
}

func TestPoints(t *testing.T) {
	p := program(4, 3)
	points := Points(p)
	if len(points) != 2 || points[0].Instr != 1 || points[1].Instr != 2 || points[1].Channels != 3 {
		t.Fatalf("got %+v, want instructions 1 and 2 with 3 channels", points)
	}
	if got := PointOf(p, &p.Instrs[2]); got != points[1] {
		t.Errorf("got %+v, want %+v", got, points[1])
	}
	if got, want := len(points[0].Vector()), Len(3); got != want || want != 8 {
		t.Errorf("got vectors of %d and %d, want 8", got, want)
	}
}

// vectors returns those of some rows x, dy of one channel, around center.
func vectors(points []Point, x, dy []float64, center float64) (moments, sums []float64) {
	moments, sums = points[0].Vector(), points[1].Vector()
	for _, v := range [][]float64{moments, sums} {
		SetCount(v, len(x))
	}
	for i := range x {
		moments[2] += x[i] / float64(len(x))
		sums[2] += dy[i]
		sums[3] += dy[i] * (x[i] - center)
	}
	for i := range x {
		moments[3] += (x[i] - moments[2]) * (x[i] - moments[2])
	}
	return moments, sums
}

// TestMerge checks that the vectors of parts, of any sizes, merge to that of all rows.
func TestMerge(t *testing.T) {
	points := Points(program(1, 1))
	r := rand.New(rand.NewPCG(1, 2))
	x, dy := make([]float64, 60), make([]float64, 60)
	for i := range x {
		x[i], dy[i] = 1e6+r.NormFloat64(), r.NormFloat64()
	}
	wantMoments, wantSums := vectors(points, x, dy, 1e6)
	for _, cuts := range [][]int{{0, 60}, {0, 1, 60}, {0, 0, 20, 20, 59, 60, 60}, {0, 15, 30, 45, 60}} {
		moments, sums := points[0].Vector(), points[1].Vector()
		for i := range cuts[1:] {
			m, s := vectors(points, x[cuts[i]:cuts[i+1]], dy[cuts[i]:cuts[i+1]], 1e6)
			for _, err := range []error{Merge(moments, m), Merge(sums, s)} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		const why = "60 terms in float64, with differences of 1e-6 of the size of x"
		numtest.Close(t, moments, wantMoments, numtest.Tol{Rel: 1e-9, Why: why})
		numtest.Close(t, sums, wantSums, numtest.Tol{Abs: 1e-9, Why: why})
	}
}

func TestMergeOthers(t *testing.T) {
	points := Points(program(1, 1))
	for _, other := range [][]float64{points[1].Vector(), nil, Points(program(1, 2))[0].Vector()} {
		if err := Merge(points[0].Vector(), other); err == nil || !strings.Contains(err.Error(), "another point") {
			t.Errorf("merging %v with %v: %v, want an error", points[0], other, err)
		}
	}
}
