package backendtest

import (
	"fmt"

	"github.com/gespann/gespann/backend/ir"
)

// lists are the shapes of variables that one instruction updates.
var lists = [][][]int{
	{{1}}, {{7}, {3, 5}, {1}}, {{33, 31}, {31}, {31, 10}, {10}}, {{130, 201}, {201}},
}

const whySteps = "measured: a few roundings in each of three steps; margin 4"

// optimizerCases returns the cases of optimisers and the ops around them: three
// steps each, from slots of zeros.
func optimizerCases() map[ir.Op][]opCase {
	cases := map[ir.Op][]opCase{}
	for _, common := range []ir.Attrs{
		{}, {WeightDecay: 0.1}, {ClipValue: 0.5}, {Scale: true},
		{Scale: true, ClipValue: 0.2, WeightDecay: 0.01},
	} {
		add := func(op ir.Op, change func(a *ir.Attrs)) {
			a := common
			change(&a)
			for _, list := range lists {
				cases[op] = append(cases[op], optimizerCase(a, list))
			}
		}
		for _, momentum := range []float64{0, 0.9} {
			add(ir.SGD, func(a *ir.Attrs) { a.Momentum = momentum })
			for _, centered := range []bool{false, true} {
				add(ir.RMSProp, func(a *ir.Attrs) {
					a.Beta2, a.Eps, a.Momentum, a.Centered = 0.9, 1e-7, momentum, centered
				})
			}
		}
		add(ir.SGD, func(a *ir.Attrs) { a.Momentum, a.Nesterov = 0.9, true })
		for _, amsgrad := range []bool{false, true} {
			add(ir.Adam, func(a *ir.Attrs) {
				a.Beta1, a.Beta2, a.Eps, a.AMSGrad = 0.9, 0.999, 1e-7, amsgrad
			})
		}
		add(ir.Adagrad, func(a *ir.Attrs) { a.Eps = 1e-7 })
	}
	for _, list := range lists {
		addListCases(cases, list)
	}
	return cases
}

// optimizerCase is three steps over variables of those shapes.
func optimizerCase(a ir.Attrs, list [][]int) opCase {
	c := opCase{name: optimizerName(a, list), attrs: a, runs: 3, tol: near(2e-6, 2e-6, whySteps),
		in: []arg{constant(0.05), counter()}}
	if a.Scale {
		c.in = append(c.in, constant(0.3))
	}
	for _, shape := range list {
		c.in = append(c.in, normal(shape...))
	}
	return c
}

// addListCases adds the ops that take a list of gradients or statistics.
func addListCases(cases map[ir.Op][]opCase, list [][]int) {
	var in []arg
	for _, shape := range list {
		in = append(in, normal(shape...))
	}
	name := fmt.Sprint(list)
	tol := near(2e-5, 0, "measured: a sum of 26331 squares; margin 4")
	for _, limit := range []float64{0.5, 1e6} {
		cases[ir.ClipNorm] = append(cases[ir.ClipNorm],
			opCase{name: fmt.Sprint(name, limit), in: in, attrs: ir.Attrs{Max: limit}, tol: tol})
	}
	cases[ir.EMA] = append(cases[ir.EMA], opCase{name: name, in: in, runs: 3,
		attrs: ir.Attrs{Momentum: 0.99}, tol: near(1e-6, 1e-6, whySteps)})
}

func optimizerName(a ir.Attrs, list [][]int) string {
	name := fmt.Sprint(list)
	for _, part := range []struct {
		what string
		on   bool
	}{
		{"decay", a.WeightDecay != 0}, {"clip", a.ClipValue != 0}, {"scale", a.Scale},
		{"momentum", a.Momentum != 0}, {"nesterov", a.Nesterov}, {"amsgrad", a.AMSGrad},
		{"centered", a.Centered},
	} {
		if part.on {
			name += "/" + part.what
		}
	}
	return name
}
