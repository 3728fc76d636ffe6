package ref

import (
	"testing"

	"github.com/gespann/gespann/backend/ir"
)

// TestTable checks that every op has a kernel.
func TestTable(t *testing.T) {
	for op := ir.Invalid + 1; int(op) < ir.NumOps; op++ {
		if kernels32[op] == nil || kernels64[op] == nil {
			t.Errorf("%v has no row in the table of kernels", op)
		}
	}
}
