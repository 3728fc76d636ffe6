package lower

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/ref"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/model/op"
)

func TestMain(m *testing.M) {
	op.SetEvaluator(func(p *ir.Program, floats [][]float64, ints [][]int32) error {
		ref.Run(p, ref.Slots[float64]{F: floats, I: ints})
		return nil
	})
	os.Exit(m.Run())
}

// attention builds causal attention of primitives: q, k and v are [batch, time, heads,
// size].
func attention(t *testing.T, q, k, v, mask *G.Node) *G.Node {
	t.Helper()
	apply := func(kind ir.Op, a ir.Attrs, in ...*G.Node) *G.Node {
		n, err := op.Apply("attention", kind, a, 0, in...)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	heads := func(x *G.Node) *G.Node { return apply(ir.Permute, ir.Attrs{Perm: "0213"}, x) }
	f := new(ir.Formula)
	scaled := f.Call(ir.FnMul, ir.InputOf(0), ir.Number(1/math.Sqrt(float64(q.Shape()[3]))))
	f.Result = f.Call(ir.FnSelect, ir.InputOf(1), scaled, ir.Number(-1e30))
	scores := apply(ir.BatchMatMul, ir.Attrs{TransB: true}, heads(q), heads(k))
	weights := apply(ir.Softmax, ir.Attrs{}, apply(ir.Map, ir.Attrs{Expr: f.Expr()}, scores, mask))
	return heads(apply(ir.BatchMatMul, ir.Attrs{}, weights, heads(v)))
}

// TestAttention compares attention by hand with PyTorch's, in value and gradient: in
// Gorgonia's TapeMachine, and as the program that is made of it, with and without fusion.
func TestAttention(t *testing.T) {
	text, err := os.ReadFile("testdata/attention.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Shape                      []int
		Q, K, V, DY, Y, DQ, DK, DV []float64
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	g := G.NewGraph()
	values := map[string][]float64{"q": want.Q, "k": want.K, "v": want.V, "dy": want.DY}
	leaf := func(name string, shape ...int) *G.Node {
		n := op.Leaf(g, name, ir.Float, shape...)
		if err := G.Let(n, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(values[name]))); err != nil {
			t.Fatal(err)
		}
		return n
	}
	time := want.Shape[1]
	for i := range time * time { // 1 where the key is not later than the query
		values["mask"] = append(values["mask"], float64(min(1, max(0, i/time-i%time+1))))
	}
	q, k, v := leaf("q", want.Shape...), leaf("k", want.Shape...), leaf("v", want.Shape...)
	y := attention(t, q, k, v, leaf("mask", time, time))
	grads, err := G.Backpropagate(G.Nodes{y}, G.Nodes{leaf("dy", want.Shape...)}, G.Nodes{q, k, v})
	if err != nil {
		t.Fatal(err)
	}
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	nodes := append(G.Nodes{y}, grads...)
	names := []string{"y", "dq", "dk", "dv"}
	wants := [][]float64{want.Y, want.DQ, want.DK, want.DV}
	tol := numtest.Tol{Abs: 1e-14, Rel: 1e-13, Why: "both in float64"}
	for i, n := range nodes {
		numtest.Close(t, n.Value().Data().([]float64), wants[i], tol)
	}
	for _, unfused := range []bool{true, false} {
		r := Request{Name: "gradient", Batch: want.Shape[0], Unfused: unfused}
		for i, n := range nodes {
			r.Outputs = append(r.Outputs, Output{Node: n, Name: names[i], Kind: ir.Output, Var: -1})
		}
		p, err := Lower(g, r)
		if err != nil {
			t.Fatal(err)
		}
		if err := ir.Verify(p, nil); err != nil {
			t.Fatal(err)
		}
		slots := ref.NewSlots[float64](p)
		for i := range p.Values {
			copy(slots.F[i], values[p.Values[i].Name])
		}
		ref.Run(p, slots)
		found := 0
		for i := range p.Values {
			for k, name := range names {
				if p.Values[i].Name == name {
					found++
					numtest.Close(t, slots.F[i], wants[k], tol)
				}
			}
		}
		if found != len(names) {
			t.Errorf("found %d outputs, want %d", found, len(names))
		}
	}
}
