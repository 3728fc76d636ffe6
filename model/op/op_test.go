package op_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/op"
)

// apply is op.Apply for graphs that must be right.
func apply(t *testing.T, kind ir.Op, a ir.Attrs, which int, in ...*G.Node) *G.Node {
	t.Helper()
	n, err := op.Apply("model[0] test", kind, a, which, in...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestApplyRejectsWhatInferRejects(t *testing.T) {
	g := G.NewGraph()
	a := op.Leaf(g, "a", ir.Float, 2, 3)
	v := op.Leaf(g, "v", ir.Float, 3)
	ids := op.Leaf(g, "ids", ir.Int, 2, 3)
	tests := []struct {
		name  string
		kind  ir.Op
		which int
		in    []*G.Node
		want  string
	}{
		{"rank", ir.MatMul, 0, []*G.Node{a, v}, "rank 2"},
		{"dims", ir.MatMul, 0, []*G.Node{a, a}, "inner dims 3 and 2 differ"},
		{"integers", ir.Softmax, 0, []*G.Node{ids}, "x is int, want float"},
		{"count", ir.Add, 0, []*G.Node{a}, "got 1 inputs, want b too"},
		{"output", ir.Softmax, 1, []*G.Node{a}, "softmax has 1 outputs, not an output 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := op.Apply("model[1] d", tt.kind, ir.Attrs{}, tt.which, tt.in...)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "model[1] d: ") {
				t.Errorf("Apply(%v) = %v, want an error with %q", tt.kind, err, tt.want)
			}
		})
	}
}

func TestEqualOpsMerge(t *testing.T) {
	g := G.NewGraph()
	x := op.Leaf(g, "x", ir.Float, 2, 3)
	relu := apply(t, ir.Activation, ir.Attrs{Act: ir.ReLU}, 0, x)
	if again := apply(t, ir.Activation, ir.Attrs{Act: ir.ReLU}, 0, x); again != relu {
		t.Error("equal ops on equal inputs are two nodes, want one")
	}
	if other := apply(t, ir.Activation, ir.Attrs{Act: ir.Tanh}, 0, x); other == relu {
		t.Error("relu and tanh are one node, want two")
	}
}

// Every attribute that is not in the hash would let Gorgonia merge two ops that
// differ in it.
func TestHashCoversEveryField(t *testing.T) {
	zero := op.Op{Kind: ir.MatMul}
	check := func(name string, o op.Op) {
		if o.Hashcode() == zero.Hashcode() {
			t.Errorf("hash does not depend on %s", name)
		}
	}
	check("Kind", op.Op{Kind: ir.Conv2D})
	check("Which", op.Op{Kind: ir.MatMul, Which: 1})
	check("Layer", op.Op{Kind: ir.MatMul, Layer: "x"})
	for i := range reflect.TypeFor[ir.Attrs]().NumField() {
		o := zero
		f := reflect.ValueOf(&o.Attrs).Elem().Field(i)
		setNonZero(f)
		check("Attrs."+reflect.TypeFor[ir.Attrs]().Field(i).Name, o)
	}
}

func setNonZero(f reflect.Value) {
	switch f.Kind() {
	case reflect.Bool:
		f.SetBool(true)
	case reflect.Int:
		f.SetInt(3)
	case reflect.Uint8, reflect.Uint64:
		f.SetUint(3)
	case reflect.Float64:
		f.SetFloat(1e-300)
	case reflect.String:
		f.SetString("x")
	case reflect.Struct:
		setNonZero(f.Field(f.NumField() - 1))
	case reflect.Array:
		setNonZero(f.Index(f.Len() - 1))
	default:
		panic("a kind of field that the test does not know: " + f.Kind().String())
	}
}

// Gorgonia finds nodes by a 32-bit hash, and does not compare their inputs. The
// names are two whose leaves have the same hash, found by trying.
func TestApplyDetectsCollision(t *testing.T) {
	g := G.NewGraph()
	a, b := op.Leaf(g, "p479599", ir.Float, 3, 3), op.Leaf(g, "p662382", ir.Float, 3, 3)
	if a == b || a.Hashcode() != b.Hashcode() {
		t.Fatalf("leaves %v and %v have hashes %x and %x: find two names that collide", a, b, a.Hashcode(), b.Hashcode())
	}
	if _, err := op.Apply("l", ir.Softmax, ir.Attrs{}, 0, a); err != nil {
		t.Fatal(err)
	}
	_, err := op.Apply("l", ir.Softmax, ir.Attrs{}, 0, b)
	if err == nil || !strings.Contains(err.Error(), "hash") {
		t.Errorf("Apply to a leaf with the hash of another = %v, want an error", err)
	}
}

func TestReshape(t *testing.T) {
	g := G.NewGraph()
	x := op.Leaf(g, "x", ir.Int, 2, 3)
	same, err := op.ApplyReshape("l", x, 2, 3)
	if err != nil || same != x {
		t.Errorf("reshape to the same shape = %v, %v, want the node itself", same, err)
	}
	y, err := op.ApplyReshape("l", x, 6, 1, 1, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if v := op.Value(y); v.Type != ir.Int || fmt.Sprint(v.Shape) != "[6 1 1 1 1]" {
		t.Errorf("reshape = %v%v, want i[6 1 1 1 1]", v.Type, v.Shape)
	}
	if _, err := op.ApplyReshape("l", x, 7); err == nil {
		t.Error("reshape of 6 elements to 7 is accepted")
	}
}

func TestSortIsExecutionOrder(t *testing.T) {
	g := G.NewGraph()
	x := op.Leaf(g, "x", ir.Float, 2, 3)
	a := apply(t, ir.Softmax, ir.Attrs{}, 0, x)
	b := apply(t, ir.Activation, ir.Attrs{Act: ir.ReLU}, 0, x)
	apply(t, ir.Activation, ir.Attrs{Act: ir.Tanh}, 0, x) // not asked for
	c := apply(t, ir.Add, ir.Attrs{}, 0, b, a)
	got, err := op.Sort(g, []*G.Node{c})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint([]*G.Node{x, a, b, c}) {
		t.Errorf("Sort = %v, want %v", got, []*G.Node{x, a, b, c})
	}
}

func TestWords(t *testing.T) {
	g := G.NewGraph()
	x := op.Leaf(g, "x", ir.Float, 2, 3)
	gamma := op.Leaf(g, "gamma", ir.Float, 3)
	n := apply(t, ir.BatchNorm, ir.Attrs{Eps: 1}, 2, x, gamma, gamma)
	if got, want := fmt.Sprint(n.Op()), "batch_norm.2 @ model[0] test"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	if got, want := op.Describe(n), "batch_norm.2"; got != want {
		t.Errorf("Describe = %q, want %q", got, want)
	}
	if got := op.Layer(n); got != "model[0] test" {
		t.Errorf("Layer = %q", got)
	}
	if got := op.Layer(x); got != "" {
		t.Errorf("Layer of a leaf = %q, want none", got)
	}
}
