package ir

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func f(shape ...int) Value { return Value{Type: Float, Shape: shape} }
func i(shape ...int) Value { return Value{Type: Int, Shape: shape} }

var win3 = Window{KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1}

func TestInfer(t *testing.T) {
	same := Window{KH: 3, KW: 3, SH: 2, SW: 1, DH: 1, DW: 1, PT: 0, PB: 1, PL: 1, PR: 1}
	for _, c := range []struct {
		op   Op
		a    Attrs
		in   []Value
		want string
	}{
		{MatMul, Attrs{}, []Value{f(2, 3), f(3, 4)}, "f[2,4]"},
		{MatMul, Attrs{TransA: true, TransB: true}, []Value{f(3, 2), f(4, 3)}, "f[2,4]"},
		{MatMul, Attrs{Bias: true, Act: ReLU}, []Value{f(2, 3), f(3, 4), f(4)}, "f[2,4]"},
		{MatMul, Attrs{GradAct: true, Act: ReLU}, []Value{f(2, 3), f(3, 4), f(2, 4)}, "f[2,4]"},
		{Conv2D, Attrs{Win: same, Groups: 2}, []Value{f(5, 8, 9, 4), f(3, 3, 2, 6)}, "f[5,4,9,6]"},
		{Conv2DDX, Attrs{Win: same, Groups: 2, Dims: [4]int{5, 8, 9, 4}},
			[]Value{f(3, 3, 2, 6), f(5, 4, 9, 6)}, "f[5,8,9,4]"},
		{Conv2DDW, Attrs{Win: same, Groups: 2}, []Value{f(5, 8, 9, 4), f(5, 4, 9, 6)}, "f[3,3,2,6]"},
		{MaxPool, Attrs{Win: same}, []Value{f(5, 8, 9, 4)}, "f[5,4,9,4] i[5,4,9,4]"},
		{Concat, Attrs{Axis: 1}, []Value{f(2, 3, 4), f(2, 5, 4), f(2, 1, 4)}, "f[2,9,4]"},
		{Slice, Attrs{Axis: 1, Start: 2, Count: 3}, []Value{f(2, 5)}, "f[2,3]"},
		{Embedding, Attrs{}, []Value{f(10, 3), i(4, 2)}, "f[4,2,3]"},
		{EmbeddingGrad, Attrs{Dims: [4]int{10, 3}}, []Value{i(4, 2), f(4, 2, 3)}, "f[10,3]"},
		{LayerNorm, Attrs{Eps: 1e-3}, []Value{f(2, 3, 4), f(4), f(4)}, "f[2,3,4] f[6] f[6]"},
		{SoftmaxXent, Attrs{}, []Value{f(6, 4), i(6)}, "f[1] f[6,4]"},
		{Metric, Attrs{Metric: Confusion, Threshold: 0.5}, []Value{f(6, 1), i(6)}, "f[2,2]"},
		{Adam, Attrs{Beta1: 0.9, Beta2: 0.99, Eps: 1e-7, AMSGrad: true},
			[]Value{f(1), i(1), f(3), f(2, 2)},
			"f[3] f[2,2] f[3] f[2,2] f[3] f[2,2] f[3] f[2,2]"},
	} {
		out, err := Infer(c.op, c.a, c.in)
		if err != nil {
			t.Errorf("Infer(%v) = %v", c.op, err)
			continue
		}
		var got []string
		for _, v := range out {
			got = append(got, v.Type.String()+ShapeText(v.Shape))
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("Infer(%v) = %s, want %s", c.op, got, c.want)
		}
	}
}

func TestInferErrors(t *testing.T) {
	for _, c := range []struct {
		op   Op
		a    Attrs
		in   []Value
		want string
	}{
		{Invalid, Attrs{}, nil, "op 0 is none"},
		{Op(200), Attrs{}, nil, "op 200 is none"},
		{MatMul, Attrs{}, []Value{f(128, 784), f(512, 512)},
			"matmul: inner dims 784 and 512 differ (a [128,784], b [512,512])"},
		{MatMul, Attrs{}, []Value{f(2, 3)}, "matmul: got 1 inputs, want b too"},
		{MatMul, Attrs{}, []Value{f(2, 3), f(3, 4), f(4)}, "matmul: got 3 inputs, want 2"},
		{MatMul, Attrs{}, []Value{f(2, 3), f(3)}, "matmul: b has shape [3], want rank 2"},
		{MatMul, Attrs{}, []Value{f(2, 3), i(3, 4)}, "matmul: b is int, want float"},
		{MatMul, Attrs{Bias: true}, []Value{f(2, 3), f(3, 4), f(5)},
			"matmul: bias has shape [5], want [4]"},
		{MatMul, Attrs{Rate: 0.5}, []Value{f(2, 3), f(3, 4)},
			"matmul: attribute rate is 0.5, but the op does not read it"},
		{MatMul, Attrs{}, []Value{f(2, 0), f(0, 4)}, "matmul: input 0: shape [2,0], want dims >= 1"},
		{MatMul, Attrs{}, []Value{f(1<<20, 1), f(1, 1<<20)},
			"matmul: output: shape [1048576,1048576], want at most 2147483647 elements"},
		{Conv2D, Attrs{Win: win3, Groups: 3}, []Value{f(1, 5, 5, 4), f(3, 3, 2, 6)},
			"conv2d: 4 input channels do not divide into 3 groups (x [1,5,5,4])"},
		{Conv2D, Attrs{Win: win3, Groups: 1}, []Value{f(1, 2, 5, 4), f(3, 3, 4, 6)},
			"conv2d: window: height 3 is larger than the padded input's 2"},
		{MaxPool, Attrs{Win: Window{KH: 2, KW: 2, SH: 0, SW: 1, DH: 1, DW: 1}}, []Value{f(1, 4, 4, 1)},
			"max_pool: window: stride along height is 0, want 1 to 32768"},
		{Dropout, Attrs{Rate: 1}, []Value{f(4), i(1)}, "dropout: rate is 1, want >= 0 and < 1"},
		{Concat, Attrs{Axis: 2}, []Value{f(4, 4), f(4, 4)}, "concat: axis is 2, want 0 to 1"},
		{Concat, Attrs{Axis: 1}, []Value{f(4, 4), f(5, 4)},
			"concat: shapes [4,4] and [5,4] differ outside axis 1"},
		{SoftmaxXent, Attrs{}, []Value{f(6, 4), i(5)}, "softmax_xent: target has shape [5], want [6]"},
		{PointLoss, Attrs{Loss: Huber}, []Value{f(6), f(6)}, "point_loss: delta is 0, want > 0 and < +Inf"},
	} {
		_, err := Infer(c.op, c.a, c.in)
		if err == nil || err.Error() != c.want {
			t.Errorf("Infer(%v, %+v):\n got %v\nwant %s", c.op, c.a, err, c.want)
		}
	}
}

// TestFields checks that the text form and Verify know every attribute: a value
// that is not zero has a text, and that text has the value.
func TestFields(t *testing.T) {
	typ := reflect.TypeFor[Attrs]()
	if typ.NumField() != numFields {
		t.Errorf("Attrs has %d fields, the table %d", typ.NumField(), int(numFields))
	}
	for n := range typ.NumField() {
		var a, back Attrs
		v := reflect.ValueOf(&a).Elem().Field(n)
		switch v.Kind() {
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Float64:
			v.SetFloat(0.1)
		case reflect.Int:
			v.SetInt(-3)
		case reflect.Uint8:
			v.SetUint(2)
		case reflect.Uint64:
			v.SetUint(1<<64 - 1)
		default:
			a.Win = Window{KH: 3, KW: 2, SH: 1, SW: 2, DH: 4, DW: 1, PT: 1, PR: 2}
			if v.Kind() == reflect.Array {
				a = Attrs{Dims: [4]int{3, 4}}
			}
		}
		field, text, found := unread(&a, 0)
		if !found {
			t.Errorf("%s has no text", typ.Field(n).Name)
			continue
		}
		if text == field.name {
			text = ""
		}
		if err := field.parse(&back, text); err != nil || back != a {
			t.Errorf("%s: %q parses as %+v, %v, want %+v", typ.Field(n).Name, text, back, err, a)
		}
	}
}

// TestTable checks that every op has a complete row, and every enum its names.
func TestTable(t *testing.T) {
	var names []string
	for op := Op(1); int(op) < NumOps; op++ {
		row := ops[op]
		if row.name == "" || row.infer == nil {
			t.Errorf("op %d has no complete row", op)
		}
		if slices.Contains(names, row.name) {
			t.Errorf("op name %s is used twice", row.name)
		}
		names = append(names, row.name)
	}
	for what, c := range map[string][2]int{
		"act": {len(actNames), int(numActs)}, "loss": {len(lossNames), int(numLosses)},
		"metric": {len(metricNames), int(numMetrics)},
		"kind":   {len(kindNames), int(View) + 1}, "role": {len(roleNames), int(OptState) + 1},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %d names, want %d", what, c[0], c[1])
		}
	}
}
