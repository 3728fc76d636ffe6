package plan

import (
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/ir"
)

// TestTable checks that every op has a planner, and what becomes of one that has none.
func TestTable(t *testing.T) {
	for op := ir.Invalid + 1; int(op) < ir.NumOps; op++ {
		if planners[op] == nil {
			t.Errorf("%v has no row in the table of planners", op)
		}
	}
	p, err := ir.Parse("program p batch 2\ninput %0 x f[2,3]\noutput %1 y f[2,3]\ny = softmax x ; out\n")
	if err != nil {
		t.Fatal(err)
	}
	defer func(row func(b *builder)) { planners[ir.Softmax] = row }(planners[ir.Softmax])
	planners[ir.Softmax] = nil
	if _, err := Build(p, Options{}); err == nil || !strings.Contains(err.Error(), "instruction 0 (out): softmax has no row") {
		t.Errorf("an op without a row: got %v", err)
	}
}
