package backendtest

import (
	"fmt"
	"math/rand/v2"

	"github.com/gespann/gespann/backend/ir"
)

// structureCases returns the cases of ops that compose: maps, reductions, permutations,
// products of many matrices.
func structureCases() map[ir.Op][]opCase {
	return map[ir.Op][]opCase{
		ir.Map: mapCases(), ir.Reduce: reduceCases(), ir.Permute: permuteCases(), ir.BatchMatMul: batchMatMulCases(),
	}
}

func mapCases() []opCase {
	var cases []opCase
	add := func(name string, e ir.Expr, tol tolerance, in ...arg) {
		cases = append(cases, opCase{name: name, attrs: ir.Attrs{Expr: e}, in: in, tol: tol})
	}
	for _, fn := range []ir.Fn{ir.FnAdd, ir.FnSub, ir.FnMul, ir.FnDiv, ir.FnMax, ir.FnMin, ir.FnGT, ir.FnGE, ir.FnEQ} {
		for _, shape := range shapes {
			e := ir.Expr(fn.String() + "(x0,x1)")
			add(fmt.Sprint(fn, text(shape)), e, exactly, normal(shape...), normal(shape...))
			if fn != ir.FnDiv {
				add(fmt.Sprint(fn, text(shape), "/whole"), e, exactly, whole(shape...), whole(shape...))
			}
		}
	}
	for _, shape := range shapes {
		add("select"+text(shape), "select(x0,x1,x2)", exactly, whole(shape...), normal(shape...), normal(shape...))
		add("neg"+text(shape), "neg(x0)", exactly, grid(shape...))
		add("abs"+text(shape), "abs(x0)", exactly, grid(shape...))
		add("copy"+text(shape), "x0", exactly, grid(shape...))
		add("sqrt"+text(shape), "sqrt(x0)", exactly, positive(shape...))
		few := tolerance{rel: 3e-7, abs: 1e-7, why: "a few units in the last place, or of 1"}
		add("log"+text(shape), "log(x0)", few, positive(shape...))
		for _, fn := range []ir.Fn{ir.FnTanh, ir.FnSigmoid, ir.FnErf} {
			add(fmt.Sprint(fn, text(shape)), ir.Expr(fn.String()+"(x0)"), tolerance{rel: 3e-7, abs: 3e-7, why: few.why}, grid(shape...))
		}
		add("exp"+text(shape), "exp(x0)", few, normal(shape...))
	}
	add("number", "mul(x0,0.25)", exactly, normal(1100))
	add("only a number", "2.5", exactly, normal(3, 5))
	each := near(1e-6, 1e-6, "each call rounds, the definition once")
	for _, in := range [][][]int{
		{{2, 3}, {3}}, {{2, 3}, {1}}, {{3}, {2, 3}}, {{2, 1}, {1, 3}}, {{1}, {1}}, {{4, 1, 5}, {4, 6, 1}, {5}},
		{{2, 7, 9, 16}, {2, 1, 1, 16}}, {{2, 7, 9, 16}, {16}, {2, 7, 9, 1}}, {{3, 1, 40}, {1, 50, 1}, {2, 1, 1, 1}}, {{33, 100}, {33, 1}, {100}},
	} {
		var args []arg
		for _, shape := range in {
			args = append(args, normal(shape...))
		}
		e := ir.Expr("mul(x0,x1);sub(t0,x0)")
		if len(in) == 3 {
			e = "sub(x0,x2);mul(t0,x1);mul(t1,t0)"
		}
		add(fmt.Sprint("broadcast", in), e, each, args...)
	}
	// More than one chunk, and registers that are used again.
	add("long", "add(x0,x1);mul(t0,x2);sub(t1,t0);mul(t2,t1);add(t3,0.5);mul(t4,t2);neg(t5);max(t6,x0)", each,
		normal(5, 1000), normal(1000), normal(5, 1))
	return cases
}

// whole are numbers from −2 to 2, so that some are equal and some are 0.
func whole(shape ...int) arg {
	return arg{ir.Float, shape, func(r *rand.Rand, _ int) float64 { return float64(r.IntN(5) - 2) }}
}

func reduceCases() []opCase {
	var cases []opCase
	for _, c := range []struct {
		shape []int
		axes  ir.Axes
	}{
		{[]int{1}, 1}, {[]int{17}, 1}, {[]int{5000}, 1}, {[]int{3, 5}, 1}, {[]int{3, 5}, 2}, {[]int{3, 5}, 3},
		{[]int{7, 33}, 1}, {[]int{300, 40}, 1}, {[]int{40, 300}, 2}, {[]int{2, 3, 4, 5}, ir.AxesOf(1, 2)},
		{[]int{2, 3, 4, 5}, ir.AxesOf(0, 3)}, {[]int{2, 3, 4, 5}, ir.AxesOf(0, 2)}, {[]int{2, 1, 4, 1}, ir.AxesOf(1, 3)},
		{[]int{2, 1, 4, 1}, ir.AxesOf(1, 2)}, {[]int{8, 14, 14, 32}, ir.AxesOf(1, 2)}, {[]int{16, 64, 10}, ir.AxesOf(0)},
	} {
		for _, r := range []ir.Reduction{ir.Sum, ir.Maximum} {
			tol := exactly
			if r == ir.Sum {
				tol = sum(terms(c.shape, c.axes))
			}
			cases = append(cases, opCase{name: fmt.Sprint(r, c.shape, c.axes), in: []arg{normal(c.shape...)},
				attrs: ir.Attrs{Axes: c.axes, Reduction: r}, tol: tol})
		}
	}
	return cases
}

// terms returns how many elements make one.
func terms(shape []int, axes ir.Axes) int {
	n := 1
	for i, d := range shape {
		if axes.Has(i) {
			n *= d
		}
	}
	return n
}

func permuteCases() []opCase {
	var cases []opCase
	for _, c := range []struct {
		shape []int
		perm  ir.Perm
	}{
		{[]int{5}, "0"}, {[]int{3, 5}, "10"}, {[]int{3, 5}, "01"}, {[]int{2, 3, 4}, "021"}, {[]int{2, 3, 4}, "102"},
		{[]int{2, 3, 4}, "210"}, {[]int{2, 3, 4, 5}, "0213"}, {[]int{2, 1, 4, 5}, "3120"}, {[]int{8, 16, 4, 32}, "0213"},
		{[]int{8, 4, 16, 32}, "0132"}, {[]int{2, 3, 2, 3, 2}, "42031"}, {[]int{1, 1, 1}, "201"}, {[]int{100, 333}, "10"},
	} {
		cases = append(cases, opCase{name: fmt.Sprint(c.shape, c.perm), in: []arg{normal(c.shape...)},
			attrs: ir.Attrs{Perm: c.perm}, tol: exactly})
	}
	return cases
}

func batchMatMulCases() []opCase {
	var cases []opCase
	for _, c := range []struct {
		lead    []int
		m, n, k int
	}{
		{[]int{1}, 1, 1, 1}, {[]int{3}, 4, 5, 6}, {[]int{2, 3}, 17, 9, 33}, {[]int{1}, 40, 50, 60}, {[]int{4, 2}, 16, 16, 8}, {[]int{12}, 64, 32, 64},
	} {
		for trans := range 4 {
			at := ir.Attrs{TransA: trans&1 != 0, TransB: trans&2 != 0}
			a, b := []int{c.m, c.k}, []int{c.k, c.n}
			if at.TransA {
				a = []int{c.k, c.m}
			}
			if at.TransB {
				b = []int{c.n, c.k}
			}
			cases = append(cases, opCase{name: fmt.Sprint(c, trans), attrs: at, tol: sum(c.k),
				in: []arg{normal(append(c.lead[:len(c.lead):len(c.lead)], a...)...), normal(append(c.lead[:len(c.lead):len(c.lead)], b...)...)}})
		}
	}
	return cases
}
