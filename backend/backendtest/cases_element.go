package backendtest

import (
	"fmt"
	"math/rand/v2"

	"github.com/gespann/gespann/backend/ir"
)

// elementCases returns the cases of ops on single elements and of copies.
func elementCases() map[ir.Op][]opCase {
	cases := map[ir.Op][]opCase{}
	for _, shape := range shapes {
		name, c := text(shape), shape[len(shape)-1]
		cases[ir.BiasAdd] = append(cases[ir.BiasAdd],
			opCase{name: name, in: []arg{normal(shape...), normal(c)}, tol: exactly})
		cases[ir.Add] = append(cases[ir.Add],
			opCase{name: name, in: []arg{normal(shape...), normal(shape...)}, tol: exactly})
		cases[ir.Accumulate] = append(cases[ir.Accumulate],
			opCase{name: name, in: []arg{normal(shape...)}, runs: 2, tol: exactly})
		for _, act := range append(activations(), ir.Attrs{}) {
			addActCases(cases, shape, act)
		}
		for i, rate := range []float64{0, 0.1, 0.5, 0.999} {
			cases[ir.Dropout] = append(cases[ir.Dropout], opCase{
				name:  fmt.Sprintf("%s/%v", name, rate),
				attrs: ir.Attrs{Rate: rate, Seed: 0xfedcba9876543210 >> (i * 16)},
				in:    []arg{normal(shape...), number(i * 7e8)}, tol: exactly})
		}
	}
	cases[ir.Logit] = logitCases()
	cases[ir.Dropout] = append(cases[ir.Dropout], opCase{name: "negative tick",
		attrs: ir.Attrs{Rate: 0.3, Seed: 3}, in: []arg{normal(33), number(-5)}, tol: exactly})
	cases[ir.Concat] = concatCases()
	cases[ir.Slice] = sliceCases()
	return cases
}

func addActCases(cases map[ir.Op][]opCase, shape []int, act ir.Attrs) {
	name := fmt.Sprintf("%s/%v%v", text(shape), act.Act, act.Alpha)
	why := "measured: a few units in the last place of 1"
	tol := tolerance{rel: 1e-7, abs: 1e-7, why: why}
	cases[ir.Activation] = append(cases[ir.Activation],
		opCase{name: name, attrs: act, in: []arg{scaled(4, shape...)}, tol: tol},
		opCase{name: name + "/grid", attrs: act, in: []arg{grid(shape...)}, tol: tol})
	if act.Act != ir.NoAct {
		cases[ir.Add] = append(cases[ir.Add],
			opCase{name: name, attrs: act, in: []arg{normal(shape...), normal(shape...)}, tol: sum(2)})
	}
	grad := tolerance{rel: 2e-6, abs: 5e-6, why: "measured: act' within 1e-6, times dy of at most 5"}
	cases[ir.ActGrad] = append(cases[ir.ActGrad],
		opCase{name: name, attrs: act, in: []arg{actRef(act, shape...), normal(shape...)}, tol: grad})
}

// actRef is an input such as act(x), or x where the gradient takes that.
func actRef(a ir.Attrs, shape ...int) arg {
	return arg{ir.Float, shape, func(r *rand.Rand, _ int) float64 {
		x := r.NormFloat64()
		switch a.Act {
		case ir.ReLU, ir.Softplus:
			return max(x, 0)
		case ir.LeakyReLU:
			return max(x, a.Alpha*x)
		case ir.ELU:
			return max(x, -a.Alpha*r.Float64())
		case ir.Sigmoid:
			return r.Float64()
		case ir.Tanh:
			return 2*r.Float64() - 1
		default:
			return 3 * x
		}
	}}
}

// logitCases have probabilities, and what lies at the bounds and beyond.
func logitCases() []opCase {
	tol := tolerance{rel: 1e-6, abs: 1e-6, why: "1−p errs by 2⁻²⁵ where p is small; each log by an ulp of its value"}
	var cases []opCase
	for _, shape := range shapes {
		for alpha := range 2 {
			cases = append(cases,
				opCase{name: fmt.Sprint(text(shape), "/", alpha), attrs: ir.Attrs{Alpha: float64(alpha)},
					in: []arg{positive(shape...)}, tol: tol},
				opCase{name: fmt.Sprint(text(shape), "/", alpha, "/bounds"), attrs: ir.Attrs{Alpha: float64(alpha)},
					in: []arg{grid(shape...)}, tol: tol})
		}
	}
	return cases
}

func concatCases() []opCase {
	var cases []opCase
	for _, c := range []struct {
		axis   int
		shapes [][]int
	}{
		{0, [][]int{{1}}}, {0, [][]int{{3}, {1}, {17}}}, {1, [][]int{{5, 3}, {5, 31}}},
		{0, [][]int{{5, 3}, {2, 3}}}, {2, [][]int{{2, 3, 4}, {2, 3, 1}, {2, 3, 16}}},
		{1, [][]int{{2, 1, 4}, {2, 3, 4}}}, {3, [][]int{{2, 5, 5, 16}, {2, 5, 5, 7}}},
		{1, [][]int{{64, 500}, {64, 333}}},
	} {
		in := make([]arg, len(c.shapes))
		for i, shape := range c.shapes {
			in[i] = normal(shape...)
		}
		cases = append(cases, opCase{name: fmt.Sprint(c.axis, c.shapes), in: in,
			attrs: ir.Attrs{Axis: c.axis}, tol: exactly})
	}
	return cases
}

func sliceCases() []opCase {
	var cases []opCase
	for _, c := range []struct {
		shape              []int
		axis, start, count int
	}{
		{[]int{1}, 0, 0, 1}, {[]int{17}, 0, 3, 5}, {[]int{5, 34}, 1, 31, 3}, {[]int{5, 34}, 1, 0, 31},
		{[]int{5, 3}, 0, 4, 1}, {[]int{2, 3, 21}, 2, 4, 16}, {[]int{2, 7, 4}, 1, 2, 3},
		{[]int{64, 833}, 1, 500, 333},
	} {
		cases = append(cases, opCase{name: fmt.Sprint(c), in: []arg{normal(c.shape...)},
			attrs: ir.Attrs{Axis: c.axis, Start: c.start, Count: c.count}, tol: exactly})
	}
	return cases
}
