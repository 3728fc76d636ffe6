package backendtest

import (
	"math"
	"testing"

	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// nanOps are the ops between inputs and loss. If one of them swallowed a NaN, a
// broken run could go on with a loss that looks well.
var nanOps = []ir.Op{
	ir.MatMul, ir.Conv2D, ir.BiasAdd, ir.Activation, ir.Softmax, ir.Logit, ir.Add, ir.Concat, ir.MaxPool,
	ir.AvgPool, ir.BatchNorm, ir.BatchNormInfer, ir.LayerNorm, ir.SoftmaxXent, ir.PointLoss,
}

// testNaN gives those ops inputs of nothing but NaN, and of some NaN, one input
// at a time, and checks that outputs are NaN where the definition's are. Further
// ones may be NaN too when only some inputs are, as where padding meets a NaN in
// a kernel. Gradients may differ: where act' is 0, the product with a NaN may be 0.
func testNaN(t *testing.T, ex host.Executor) {
	cases := opCases()
	for _, op := range nanOps {
		for _, c := range cases[op] {
			c.op = op
			if !c.isLong() && !c.attrs.GradAct {
				c.checkNaN(t, ex, 1)
				c.checkNaN(t, ex, 5)
			}
		}
	}
}

// checkNaN makes every so many elements of an input NaN, from the last one on.
func (c *opCase) checkNaN(t *testing.T, ex host.Executor, every int) {
	t.Helper()
	p := c.program(t)
	m := newMemory(p)
	runner, err := ex.Compile(p, m.Slots)
	if err != nil {
		t.Fatal(err)
	}
	for k := range c.in {
		if m.F[k] == nil {
			continue
		}
		s := c.sample(p)
		for i := len(s.in[0][k]) - 1; i >= 0; i -= every {
			s.in[0][k][i] = math.NaN()
		}
		want, _ := reference[float64](p, s)
		m.setInputs(s.in[0])
		m.poison()
		runner.Run()
		for i, v := range m.F[p.Instrs[0].Out[0]] {
			got, want := math.IsNaN(float64(v)), math.IsNaN(want[0][i])
			if got != want && (want || every == 1 || c.op == ir.MaxPool) {
				t.Errorf("%v/%s: input %d is NaN, output [%d] is %v, want NaN: %t", c.op, c.name, k, i, v, want)
				break
			}
		}
	}
}
