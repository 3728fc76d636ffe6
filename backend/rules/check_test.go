package rules_test

import (
	"testing"

	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/internal/data"
)

// TestTargetsOfCrossEntropies checks that targets which give a cross-entropy no
// least value reach no kernel, and that other losses take them.
func TestTargetsOfCrossEntropies(t *testing.T) {
	const rows, size = 3, 2
	program := func(op ir.Op, loss ir.Loss) *ir.Program {
		b := backendtest.NewBuilder(t, "forward", rows, nil)
		x, y := b.Input(ir.InX, ir.Float, rows, size), b.Input(ir.InY, ir.Float, rows, size)
		b.Name(b.Do(op, ir.Attrs{Loss: loss}, x, y)[0], ir.OutLoss)
		return b.Done()
	}
	floats := func(v ...float32) data.Table { return data.Table{Shape: []int{size}, F32: v} }
	for name, c := range map[string]struct {
		p    *ir.Program
		y    data.Table
		want string
	}{
		"binary": {program(ir.PointLoss, ir.SigmoidXent), floats(0, 1, 0.5, 1, 0, 1), ""},
		"binary, above": {program(ir.PointLoss, ir.SigmoidXent), floats(0, 1, 0.5, 1.5, 0, 1),
			"targets: row 1: column 1: got 1.5, want 0 to 1 for a cross-entropy"},
		"categorical": {program(ir.SoftmaxXent, ir.NoLoss), floats(0, 1, 0.5, 0.5, 0, 1), ""},
		"categorical, below": {program(ir.SoftmaxXent, ir.NoLoss), floats(0, 1, 0.5, 0.5, -1e-9, 1),
			"targets: row 2: column 0: got -1e-09, want 0 to 1 for a cross-entropy"},
		"bytes": {program(ir.PointLoss, ir.SigmoidXent), data.Table{Shape: []int{size}, U8: []byte{0, 1, 1, 255, 0, 1}},
			"targets: row 0: column 0: got integers from 0 to 255, want 0 to 1 for a cross-entropy"},
		"squares": {program(ir.PointLoss, ir.SquaredError), floats(-7, 1e9, 0, 0, 0, 0), ""},
	} {
		got := ""
		if err := rules.CheckInput(c.p, ir.InY, &c.y, rows); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
