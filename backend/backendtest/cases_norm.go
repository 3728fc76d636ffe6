package backendtest

import (
	"fmt"
	"math/rand/v2"

	"github.com/gespann/gespann/backend/ir"
)

// shifted is an input with a mean far from 0, for normalisations.
func shifted(shape ...int) arg {
	return arg{ir.Float, shape, func(r *rand.Rand, _ int) float64 { return 3 + r.NormFloat64() }}
}

// normCases returns the cases of normalisations, softmax and embeddings.
func normCases() map[ir.Op][]opCase {
	cases := map[ir.Op][]opCase{}
	for _, shape := range shapes {
		addNormCases(cases, shape, ir.Attrs{Eps: 1e-3})
		addSoftmaxCases(cases, shape)
	}
	for _, act := range activations() {
		act.Eps = 1e-2
		addActNormCases(cases, []int{31, 33}, act)
	}
	for _, c := range [][]int{{1, 1, 1}, {10, 3, 7}, {5, 17, 64}, {1000, 64, 129}, {3, 16, 1, 5}, {7, 1, 4, 3}} {
		vocabulary, dim, ids := c[0], c[1], c[2:]
		dy := append(append([]int(nil), ids...), dim)
		a := ir.Attrs{Dims: [4]int{vocabulary, dim}}
		for _, gen := range []struct {
			name string
			ids  arg
		}{{"", indices(vocabulary, ids...)}, {"/wild", wild(vocabulary, ids...)}} {
			cases[ir.Embedding] = append(cases[ir.Embedding], opCase{name: fmt.Sprint(c) + gen.name,
				in: []arg{normal(vocabulary, dim), gen.ids}, tol: exactly})
			cases[ir.EmbeddingGrad] = append(cases[ir.EmbeddingGrad], opCase{name: fmt.Sprint(c) + gen.name,
				attrs: a, in: []arg{gen.ids, normal(dy...)}, tol: sum(ir.Size(ids))})
		}
	}
	return cases
}

const whyNorm = "measured: cancellation in x - mean, then a few roundings; margin 4"

func addNormCases(cases map[ir.Op][]opCase, shape []int, a ir.Attrs) {
	rows, c := ir.Rows(shape)
	name, tol := text(shape), near(1e-5, 1e-5, whyNorm)
	tol.abs = 2e-6 // mean and variance of one row: 0 from terms of size 3
	x, dy := shifted(shape...), normal(shape...)
	one := func() arg { return normal(c) }
	cases[ir.BatchNorm] = append(cases[ir.BatchNorm],
		opCase{name: name, attrs: a, in: []arg{x, one(), one()}, tol: tol})
	cases[ir.BatchNormInfer] = append(cases[ir.BatchNormInfer],
		opCase{name: name, attrs: a, in: []arg{x, one(), one(), shifted(c), positive(c)}, tol: tol})
	cases[ir.LayerNorm] = append(cases[ir.LayerNorm],
		opCase{name: name, attrs: a, in: []arg{x, one(), one()}, tol: tol})
	batch := []arg{x, one(), shifted(c), positive(c), dy}
	layer := []arg{x, one(), shifted(rows), positive(rows), dy}
	for _, omit := range [][]int{nil, {0}, {1, 2}, {2}} {
		name := fmt.Sprint(name, "/without", omit)
		cases[ir.BatchNormGrad] = append(cases[ir.BatchNormGrad],
			opCase{name: name, attrs: a, in: batch, omit: omit, tol: tol})
		cases[ir.LayerNormGrad] = append(cases[ir.LayerNormGrad],
			opCase{name: name, attrs: a, in: layer, omit: omit, tol: tol})
	}
}

func addActNormCases(cases map[ir.Op][]opCase, shape []int, act ir.Attrs) {
	c := shape[len(shape)-1]
	name := fmt.Sprint(text(shape), "/", act.Act, act.Alpha)
	tol := near(1e-5, 1e-5, whyNorm)
	in := []arg{shifted(shape...), normal(c), normal(c)}
	cases[ir.BatchNorm] = append(cases[ir.BatchNorm], opCase{name: name, attrs: act, in: in, tol: tol})
	cases[ir.BatchNormInfer] = append(cases[ir.BatchNormInfer],
		opCase{name: name, attrs: act, in: append(in, shifted(c), positive(c)), tol: tol})
}

func addSoftmaxCases(cases map[ir.Op][]opCase, shape []int) {
	tol := near(2e-5, 0, "measured: exp within 1e-6 for arguments to -40, sums of up to 4099; margin 4")
	cases[ir.Softmax] = append(cases[ir.Softmax],
		opCase{name: text(shape), in: []arg{scaled(5, shape...)}, tol: tol},
		opCase{name: text(shape) + "/large", in: []arg{scaled(1e4, shape...)}, tol: near(0, 2e-3,
			"logits of 1e4 are known to 5e-4 only")})
	cases[ir.SoftmaxGrad] = append(cases[ir.SoftmaxGrad],
		opCase{name: text(shape), in: []arg{positive(shape...), normal(shape...)},
			tol: near(0, 1e-5, "measured: sums of up to 4099 terms; margin 4")})
}
