package host

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
)

var layoutVars = []ir.Var{
	{Name: "a", Shape: []int{20}}, {Name: "m", Shape: []int{20}, Role: ir.OptState},
	{Name: "b", Shape: []int{16}}, {Name: "unused", Shape: []int{3}}, {Name: "s", Shape: []int{5}, Role: ir.State},
}

const layoutValues = `program gradient batch 1
input %0 x f[20]
input %1 y f[16]
input %2 z f[5]
grad %3 ga f[20] var 0
grad %4 gb f[16] var 2
grad %5 gs f[5] var 4
output %6 metric/one f[16]
output %8 metric/two f[20]
output %9 loss f[20]

%7 = view gb : f[4,4]
`

// sbaCode completes s, then b, which it reads once more, then a.
const sbaCode = `gb = softmax y
gs = softmax z
metric/one = softmax y
metric/two = softmax x
%10 = softmax %7 : f[4,4]
ga = softmax x
loss = softmax x
`

// absCode completes them in the opposite order.
const absCode = `ga = softmax x
metric/two = softmax x
gb = softmax y
%10 = softmax %7 : f[4,4]
gs = softmax z
metric/one = softmax y
loss = softmax x
`

func parse(t *testing.T, text string, vars []ir.Var) *ir.Program {
	t.Helper()
	p, err := ir.Parse(text)
	if err == nil {
		err = ir.Verify(p, vars)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLayout(t *testing.T) {
	p := parse(t, layoutValues+sbaCode, layoutVars)
	got := newLayout(p, layoutVars)
	want := &layout{
		order: []int{4, 2, 0, 3}, offset: []int{32, 0, 16, 64, 0}, size: 80,
		metrics: backend.Layout{Names: []string{"one", "two"}, Sizes: []int{16, 20}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := got.marks(p), []mark{{1, 16}, {4, 32}, {5, 80}}; !slices.Equal(got, want) {
		t.Errorf("marks are %v, want %v", got, want)
	}
	p = parse(t, layoutValues+absCode, layoutVars)
	if got, want := got.marks(p), []mark{{4, 80}}; !slices.Equal(got, want) {
		t.Errorf("marks of another order are %v, want %v", got, want)
	}
}

// TestManyMarks checks that many small gradients are reported together.
func TestManyMarks(t *testing.T) {
	const n = 1000
	var vars []ir.Var
	text := "program gradient batch 1\ninput %0 x f[16]\n"
	code := ""
	for i := range n {
		vars = append(vars, ir.Var{Name: fmt.Sprint("v", i), Shape: []int{16}})
		text += fmt.Sprintf("grad %%%d g%d f[16] var %d\n", i+1, i, i)
		code = fmt.Sprintf("g%d = softmax x\n", i) + code
	}
	p := parse(t, text+"\n"+code, vars)
	l := newLayout(p, vars)
	marks := l.marks(p)
	if len(marks) > maxMarks+1 || len(marks) < maxMarks/2 {
		t.Fatalf("%d marks, want at most %d, but not few", len(marks), maxMarks+1)
	}
	for _, m := range marks {
		// The first in the vector is the last variable.
		if m.end != 16*(m.instr+1) || m.end > n*16 {
			t.Errorf("after instruction %d, %d elements are ready, want %d", m.instr, m.end, 16*(m.instr+1))
		}
	}
	if last := marks[len(marks)-1]; last.end != l.size || l.size != 16*n {
		t.Errorf("the last mark is %v, want %d of %d", last, 16*n, l.size)
	}
}
