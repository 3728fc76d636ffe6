package backendtest

import (
	"fmt"
	"testing"

	"github.com/gespann/gespann/backend/ir"
)

// linearCases returns the cases of matrix products and row sums.
func linearCases() map[ir.Op][]opCase {
	var matMul, biasGrad []opCase
	sizes := [][3]int{ // m, n, k
		{1, 1, 1}, {1, 10, 512}, {13, 17, 19}, {127, 65, 33}, {2, 31, 257}, {33, 1, 5}, {5, 64, 1},
		{16, 32, 300}, {70, 130, 110},
	}
	for _, s := range sizes {
		for trans := range 4 {
			base := ir.Attrs{TransA: trans&1 != 0, TransB: trans&2 != 0}
			matMul = append(matMul, matMulCase(s, base))
			withBias := base
			withBias.Bias = true
			matMul = append(matMul, matMulCase(s, withBias))
			if trans == 0 && s[1] > 1 && s[1] < 60 {
				matMul = append(matMul, matMulEpilogues(s, base)...)
			}
		}
	}
	matMul = append(matMul,
		matMulCase([3]int{67, 201, 300}, ir.Attrs{TransB: true, GradAct: true, Act: ir.ReLU}),
		matMulCase([3]int{201, 300, 67}, ir.Attrs{TransA: true}))
	if !testing.Short() {
		// The first layer of the MNIST net.
		matMul = append(matMul, matMulCase([3]int{128, 512, 784}, ir.Attrs{Bias: true, Act: ir.ReLU}))
	}
	for _, shape := range shapes {
		rows, _ := ir.Rows(shape)
		biasGrad = append(biasGrad,
			opCase{name: text(shape), in: []arg{normal(shape...)}, tol: sum(rows)})
	}
	return map[ir.Op][]opCase{ir.MatMul: matMul, ir.BiasGrad: biasGrad}
}

// matMulEpilogues returns cases with every activation, in both directions.
func matMulEpilogues(s [3]int, base ir.Attrs) []opCase {
	var cases []opCase
	for _, act := range activations() {
		a := base
		a.Act, a.Alpha = act.Act, act.Alpha
		cases = append(cases, matMulCase(s, a))
		a.Bias = true
		cases = append(cases, matMulCase(s, a))
		a.Bias, a.GradAct = false, true
		cases = append(cases, matMulCase(s, a))
	}
	return cases
}

func matMulCase(s [3]int, a ir.Attrs) opCase {
	m, n, k := s[0], s[1], s[2]
	x, y := []int{m, k}, []int{k, n}
	name := fmt.Sprintf("%dx%dx%d", m, n, k)
	if a.TransA {
		x = []int{k, m}
		name += "/aT"
	}
	if a.TransB {
		y = []int{n, k}
		name += "/bT"
	}
	c := opCase{attrs: a, in: []arg{normal(x...), weights(k, y...)}, tol: sum(k)}
	c.name = name + c.epilogue(n, m, n)
	return c
}

// epilogue adds the inputs of an epilogue and returns its name.
func (c *opCase) epilogue(channels int, out ...int) (name string) {
	if c.attrs.Bias {
		c.in = append(c.in, normal(channels))
		name += "/bias"
	}
	if c.attrs.Act != ir.NoAct && !c.attrs.GradAct {
		name += "/" + c.attrs.Act.String()
		if c.attrs.Alpha != 0 {
			name += fmt.Sprint(c.attrs.Alpha)
		}
	}
	if c.attrs.GradAct {
		c.in = append(c.in, actRef(c.attrs, out...))
		name += "/grad_" + c.attrs.Act.String() + fmt.Sprint(c.attrs.Alpha)
	}
	return name
}
