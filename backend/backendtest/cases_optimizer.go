package backendtest

import (
	"fmt"

	"github.com/gespann/gespann/backend/ir"
)

// lists are the shapes of variables that one instruction updates.
var lists = [][][]int{
	{{1}}, {{7}, {3, 5}, {1}}, {{33, 31}, {31}, {31, 10}, {10}}, {{130, 201}, {201}},
}

// optimizerCases returns the cases of optimisers and the ops around them: three
// steps each, from slots of zeros.
func optimizerCases() map[ir.Op][]opCase {
	cases := map[ir.Op][]opCase{}
	add := func(op ir.Op, a ir.Attrs, why string) {
		for _, list := range lists {
			c := opCase{attrs: a, runs: 3, tol: near(2e-6, 2e-6, why),
				in: []arg{constant(0.05), counter()}}
			if a.Scale {
				c.in = append(c.in, constant(0.3))
			}
			for _, shape := range list {
				c.in = append(c.in, normal(shape...))
			}
			c.name = optimizerName(a, list)
			cases[op] = append(cases[op], c)
		}
	}
	const why = "measured: a few roundings in each of three steps; margin 4"
	for _, common := range []ir.Attrs{
		{}, {WeightDecay: 0.1}, {ClipValue: 0.5}, {Scale: true}, {Scale: true, ClipValue: 0.2, WeightDecay: 0.01},
	} {
		a := common
		add(ir.SGD, a, why)
		a.Momentum = 0.9
		add(ir.SGD, a, why)
		a.Nesterov = true
		add(ir.SGD, a, why)

		a = common
		a.Beta1, a.Beta2, a.Eps = 0.9, 0.999, 1e-7
		add(ir.Adam, a, why)
		a.AMSGrad = true
		add(ir.Adam, a, why)

		a = common
		a.Beta2, a.Eps = 0.9, 1e-7
		add(ir.RMSProp, a, why)
		a.Momentum = 0.8
		add(ir.RMSProp, a, why)
		a.Centered = true
		add(ir.RMSProp, a, why)
		a.Momentum = 0
		add(ir.RMSProp, a, why)

		a = common
		a.Eps = 1e-7
		add(ir.Adagrad, a, why)
	}
	for _, list := range lists {
		var in []arg
		for _, shape := range list {
			in = append(in, normal(shape...))
		}
		name := fmt.Sprint(list)
		for _, limit := range []float64{0.5, 1e6} {
			cases[ir.ClipNorm] = append(cases[ir.ClipNorm], opCase{name: fmt.Sprint(name, limit), in: in,
				attrs: ir.Attrs{Max: limit}, tol: near(2e-5, 0, "measured: a sum of 26331 squares; margin 4")})
		}
		cases[ir.EMA] = append(cases[ir.EMA], opCase{name: name, in: in, runs: 3,
			attrs: ir.Attrs{Momentum: 0.99}, tol: near(1e-6, 1e-6, why)})
	}
	return cases
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
