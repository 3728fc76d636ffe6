package backendtest

import (
	"fmt"
	"math/rand/v2"

	"github.com/gespann/gespann/backend/ir"
)

// longTerms is 4·√h for the h = 512 of package ir, "Sums". If roundings err
// independently, h additions err by γ_h only in theory, and by more than γ of λ√h with
// a probability below 2·exp(−λ²/2).
//
// Source: Higham and Mary, A new approach to probabilistic rounding error analysis,
// SIAM J. Sci. Comput. 41 (2019).
const longTerms = 91

const whyLong = "γ of 4√h for sums in blocks, h as in package ir (Higham and Mary)"

// long is the tolerance of a sum of any number of products.
func long() tolerance {
	tol := sum(longTerms)
	tol.why = whyLong
	return tol
}

// longNear is long for results of a sum that are of its size: relative to each
// value and to the largest.
func longNear(rel, norm float64) tolerance {
	const u = 0x1p-24
	return near(rel*longTerms*u, norm*longTerms*u, whyLong+", times the sums in one value")
}

// levels are the means of long inputs: where every element is about so large, a
// sum one by one is soon too large to see the digits of the next.
var levels = []float64{1, 1000, 1e6}

// around is an input of numbers with that mean and deviation 1.
func around(level float64, shape ...int) arg {
	return arg{ir.Float, shape, func(r *rand.Rand, _ int) float64 { return level + r.NormFloat64() }}
}

// beside is an input of numbers that are off level as a mean is that was rounded.
func beside(level float64, shape ...int) arg {
	return arg{ir.Float, shape, func(r *rand.Rand, _ int) float64 { return level * (1 + 0x1p-23*float64(r.IntN(3)-1)) }}
}

// mostly is an input of integers from 0 to n-1, nine in ten of which are 1.
func mostly(n int, shape ...int) arg {
	return arg{ir.Int, shape, func(r *rand.Rand, _ int) float64 {
		if r.IntN(10) > 0 {
			return 1
		}
		return float64(r.IntN(n))
	}}
}

// longCases returns cases of every op that adds up, with as many terms as lose
// digits where they are taken one by one.
func longCases() map[ir.Op][]opCase {
	cases := map[ir.Op][]opCase{}
	for _, level := range levels {
		for _, family := range []map[ir.Op][]opCase{
			longColumns(level), longRows(level), longPools(level), longTotals(level),
		} {
			for op, list := range family {
				for _, c := range list {
					c.name, c.long = fmt.Sprintf("long/%v/%v", level, c.name), true
					cases[op] = append(cases[op], c)
				}
			}
		}
	}
	return cases
}

// longColumns are sums over the rows of a matrix.
func longColumns(level float64) map[ir.Op][]opCase {
	cases := map[ir.Op][]opCase{}
	for _, s := range [][]int{{1000000, 1}, {100003, 10}, {3001, 257}, {65539, 8}} {
		cases[ir.BiasGrad] = append(cases[ir.BiasGrad],
			opCase{name: text(s), in: []arg{around(level, s...)}, tol: long()})
	}
	for _, s := range [][2]int{{5003, 3}, {1031, 300}} {
		rows, cols := s[0], s[1]
		cases[ir.LayerNormGrad] = append(cases[ir.LayerNormGrad], opCase{name: fmt.Sprint(s, "/columns"),
			attrs: ir.Attrs{Eps: 1e-5}, omit: []int{0},
			in: []arg{around(level, rows, cols), normal(cols), beside(level, rows), positive(rows), positive(rows, cols)},
			// Σ dy·xhat cancels: its terms are as large as those of Σ dy.
			tol: longNear(1, 20)})
	}
	for _, s := range [][3]int{{3, 5, 200001}, {20, 2, 50003}, {7, 300, 2500}} {
		vocabulary, dim, n := s[0], s[1], s[2]
		cases[ir.EmbeddingGrad] = append(cases[ir.EmbeddingGrad], opCase{name: fmt.Sprint(s),
			attrs: ir.Attrs{Dims: [4]int{vocabulary, dim}}, in: []arg{mostly(vocabulary, n), around(level, n, dim)}, tol: long()})
	}
	return cases
}

// longRows are sums along the rows of a matrix.
func longRows(level float64) map[ir.Op][]opCase {
	cases := map[ir.Op][]opCase{}
	for _, s := range [][]int{{1, 1000000}, {2, 100000}, {31, 1000}, {3, 4097}} {
		rows, cols := s[0], s[1]
		name, x := text(s), around(level, s...)
		cases[ir.LayerNorm] = append(cases[ir.LayerNorm], opCase{name: name, attrs: ir.Attrs{Eps: 1e-5},
			in: []arg{x, normal(cols), normal(cols)}, tol: longNear(1, 1)})
		cases[ir.LayerNormGrad] = append(cases[ir.LayerNormGrad], opCase{name: name, attrs: ir.Attrs{Eps: 1e-5}, omit: []int{1, 2},
			in: []arg{x, normal(cols), beside(level, rows), positive(rows), normal(s...)}, tol: longNear(1, 1)})
		cases[ir.SoftmaxGrad] = append(cases[ir.SoftmaxGrad],
			opCase{name: name, in: []arg{positive(s...), x}, tol: longNear(0, 1)})
		if level > levels[0] {
			continue
		}
		cases[ir.Softmax] = append(cases[ir.Softmax],
			opCase{name: name, in: []arg{scaled(2, s...)}, tol: longNear(1, 0)})
		for _, target := range []arg{indices(cols, rows), positive(s...)} {
			name := fmt.Sprint(name, "/", target.t)
			cases[ir.SoftmaxXent] = append(cases[ir.SoftmaxXent],
				opCase{name: name, in: []arg{scaled(2, s...), target}, tol: longNear(1, 0)})
			cases[ir.SoftmaxXentGrad] = append(cases[ir.SoftmaxXentGrad],
				opCase{name: name, in: []arg{positive(s...), target, constant(0.25)}, tol: longNear(0, 1)})
		}
	}
	return cases
}

// longGeometries are poolings of large windows: of a whole image, and of parts that
// overlap.
var longGeometries = []geometry{
	{1, 512, 512, 1, 0, 1, window(512, 512, 1, 1, 1, 1)},
	{1, 1000, 1000, 1, 0, 1, window(1000, 1000, 1, 1, 1, 1)},
	{1, 224, 224, 9, 0, 1, window(224, 224, 1, 1, 1, 1)},
	{1, 129, 131, 2, 0, 1, window(100, 90, 1, 2, 1, 1, 3, 0, 2, 2)},
}

func longPools(level float64) map[ir.Op][]opCase {
	cases := map[ir.Op][]opCase{}
	for _, g := range longGeometries {
		oh, ow := g.win.Out(g.h, g.w)
		x, y := []int{g.b, g.h, g.w, g.c}, []int{g.b, oh, ow, g.c}
		cases[ir.AvgPool] = append(cases[ir.AvgPool],
			opCase{name: g.String(), attrs: ir.Attrs{Win: g.win}, in: []arg{around(level, x...)}, tol: long()})
		cases[ir.AvgPoolGrad] = append(cases[ir.AvgPoolGrad], opCase{name: g.String(),
			attrs: ir.Attrs{Win: g.win, Dims: [4]int(x)}, in: []arg{around(level, y...)}, tol: long()})
	}
	cases[ir.MaxPoolGrad] = []opCase{{name: "all at one place", attrs: ir.Attrs{Dims: [4]int{1, 3, 3, 1}},
		in: []arg{indices(1, 1, 100, 100, 1), around(level, 1, 100, 100, 1)}, tol: long()}}
	return cases
}

// longTotals are sums over all elements.
func longTotals(level float64) map[ir.Op][]opCase {
	cases := map[ir.Op][]opCase{}
	for _, s := range [][]int{{5003, 7}, {300, 1001}} {
		in := []arg{around(level, s...), bits(s...)}
		for _, a := range []ir.Attrs{{Loss: ir.SquaredError}, {Loss: ir.AbsError}, {Loss: ir.Huber, Delta: 1}} {
			cases[ir.PointLoss] = append(cases[ir.PointLoss],
				opCase{name: fmt.Sprint(s, a.Loss), attrs: a, in: in, tol: longNear(1, 0)})
		}
		for _, a := range []ir.Attrs{{Metric: ir.MAE}, {Metric: ir.BinaryAccuracy, Threshold: level}} {
			cases[ir.Metric] = append(cases[ir.Metric],
				opCase{name: fmt.Sprint(s, a.Metric), attrs: a, in: in, tol: longNear(1, 0)})
		}
	}
	if level == levels[0] {
		big := []int{1000, 1000}
		cases[ir.SoftmaxXent] = []opCase{{name: "rows", in: []arg{scaled(2, 5003, 3), indices(3, 5003)}, tol: longNear(1, 0)}}
		cases[ir.PointLoss] = append(cases[ir.PointLoss], opCase{name: text(big), attrs: ir.Attrs{Loss: ir.AbsError},
			in: []arg{around(1000, big...), bits(big...)}, tol: longNear(1, 0)})
		cases[ir.Metric] = append(cases[ir.Metric], opCase{name: text(big), attrs: ir.Attrs{Metric: ir.MAE},
			in: []arg{around(1000, big...), bits(big...)}, tol: longNear(1, 0)})
	}
	for _, list := range [][][]int{{{1000000}}, {{999, 1001}, {3}}} {
		in := []arg{}
		for _, shape := range list {
			in = append(in, around(level, shape...))
		}
		cases[ir.ClipNorm] = append(cases[ir.ClipNorm],
			opCase{name: fmt.Sprint(list), in: in, attrs: ir.Attrs{Max: 0.5}, tol: longNear(1, 0)})
	}
	return cases
}
