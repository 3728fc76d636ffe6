package lower

import (
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/op"
)

// apply is op.Apply for graphs that must be right.
func apply(t *testing.T, kind ir.Op, which int, in ...*G.Node) *G.Node {
	t.Helper()
	a := ir.Attrs{}
	if kind == ir.BatchNorm {
		a.Eps = 0.5
	}
	n, err := op.Apply("l", kind, a, which, in...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// lowered returns the text of a program, which must verify.
func lowered(t *testing.T, g *G.ExprGraph, r Request) string {
	t.Helper()
	p, err := Lower(g, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := ir.Verify(p, r.Vars); err != nil {
		t.Error(err)
	}
	return p.String()
}

func output(n *G.Node, name string) Output {
	return Output{Node: n, Name: name, Kind: ir.Output, Var: -1}
}

func check(t *testing.T, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Nodes that are outputs of one instruction become one.
func TestSiblingsAreOneInstruction(t *testing.T) {
	g := G.NewGraph()
	x, gamma := op.Leaf(g, "x", ir.Float, 2, 3), op.Leaf(g, "gamma", ir.Float, 3)
	variance := apply(t, ir.BatchNorm, 2, x, gamma, gamma)
	y := apply(t, ir.BatchNorm, 0, x, gamma, gamma)
	r := Request{Name: "forward", Batch: 2, Vars: []ir.Var{{Name: "gamma", Shape: []int{3}}},
		Outputs: []Output{output(variance, "v"), output(y, "y")}}
	check(t, lowered(t, g, r), `
program forward batch 2
input %0 x f[2,3]
variable %1 gamma f[3] var 0
output %2 y f[2,3]
output %4 v f[3]

y, %3, v = batch_norm x, gamma, gamma eps=0.5 : f[3] ; l
`)
}

// Leaves, and values that are an output already, are copied; views are written
// under the shape that the instruction knows.
func TestOutputs(t *testing.T) {
	g := G.NewGraph()
	x := op.Leaf(g, "x", ir.Float, 2, 3)
	s := apply(t, ir.Softmax, 0, x)
	view, err := op.ApplyReshape("l", s, 6)
	if err != nil {
		t.Fatal(err)
	}
	sum := apply(t, ir.Add, 0, s, x)
	outputs := []Output{output(view, "v"), output(s, "s"), output(x, "copy"), output(sum, "sum")}
	check(t, lowered(t, g, Request{Name: "forward", Batch: 2, Outputs: outputs}), `
program forward batch 2
input %0 x f[2,3]
output %1 v f[6]
output %3 sum f[2,3]
output %4 s f[2,3]
output %5 copy f[2,3]

%2 = view v : f[2,3]
%2 = softmax x ; l
sum = add %2, x ; l
s = activation %2 ; l
copy = activation x
`)
}

// A value that two others are made of gets two gradients, which Gorgonia adds.
func TestSumOfGradients(t *testing.T) {
	g := G.NewGraph()
	w, target := op.Leaf(g, "w", ir.Float, 2, 2), op.Leaf(g, "t", ir.Float, 2, 2)
	y := apply(t, ir.MatMul, 0, w, w)
	loss, err := op.Apply("l", ir.PointLoss, ir.Attrs{Loss: ir.SquaredError}, 0, y, target)
	if err != nil {
		t.Fatal(err)
	}
	grads, err := G.Backpropagate(G.Nodes{loss}, G.Nodes{op.Leaf(g, "seed", ir.Float, 1)}, G.Nodes{w})
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Name: "gradient", Batch: 2, Vars: []ir.Var{{Name: "w", Shape: []int{2, 2}}},
		Outputs: []Output{{Node: grads[0], Name: "dw", Kind: ir.Grad}}}
	check(t, lowered(t, g, r), `
program gradient batch 2
variable %0 w f[2,2] var 0
input %2 t f[2,2]
input %3 seed f[1]
grad %7 dw f[2,2] var 0

%1 = matmul w, w : f[2,2] ; l
%4 = point_loss_grad %1, t, seed loss=squared_error : f[2,2] ; l
%5 = matmul %4, w trans_b : f[2,2] ; l
%6 = matmul w, %4 trans_a : f[2,2] ; l
dw = add %5, %6 ; l
`)
}

func TestForeignOpsAreRefused(t *testing.T) {
	g := G.NewGraph()
	x := op.Leaf(g, "x", ir.Float, 2, 3)
	y, err := G.Exp(x)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Lower(g, Request{Name: "forward", Batch: 2, Outputs: []Output{output(y, "y")}})
	if err == nil || !strings.Contains(err.Error(), "lower forward: cannot lower exp") {
		t.Errorf("Lower of Gorgonia's exp = %v, want an error", err)
	}
}
