package cuda

import (
	"strings"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
)

// twoProducts has a product that is worth a comparison, and a small one.
const twoProducts = `program forward batch 1024
input %0 x f[1024,1024]
variable %1 w f[1024,1024] var 0
variable %3 v f[1024,10] var 1
output %4 prediction f[1024,10]

%2 = matmul x, w : f[1024,1024] ; large
prediction = matmul %2, v ; small
`

// TestDescribe checks which products are said to be contested, for whom.
func TestDescribe(t *testing.T) {
	p, err := ir.Parse(twoProducts)
	if err != nil {
		t.Fatal(err)
	}
	const contested = "or cuBLASLt"
	for precision, want := range map[string]bool{"": false, "fp32": false, "tf32": true, "bf16": true} {
		text, err := describe(&Card{Name: "some card", Major: 9, Multiprocessors: 132},
			backend.Job{Precision: precision}, []*ir.Program{p})
		if err != nil {
			t.Fatal(err)
		}
		var large, small string
		for _, line := range strings.Split(text, "\n") {
			if strings.Contains(line, " large ") {
				large = line
			}
			if strings.Contains(line, " small ") {
				small = line
			}
		}
		if got := strings.Contains(large, contested); got != want || strings.Contains(small, contested) || small == "" {
			t.Errorf("precision %q: contested %v, want %v:\n%s", precision, got, want, text)
		}
		if !strings.Contains(text, "some card") || !strings.Contains(text, "sm_90, 132 multiprocessors") {
			t.Errorf("precision %q: no card in\n%s", precision, text)
		}
	}
	if _, err := describe(&Card{Name: "old", Major: 7, Minor: 5}, backend.Job{Precision: "bf16"}, nil); err == nil ||
		!strings.Contains(err.Error(), "has no bf16") {
		t.Errorf("bf16 on an old card: %v", err)
	}
}
