package host_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// large is programs with variables that no machine has room for.
type large struct{ backend.Programs }

func (l large) Vars() []ir.Var {
	vars := l.Programs.Vars()
	for i := range 1000 {
		vars = append(vars, ir.Var{Name: fmt.Sprint("large", i), Shape: []int{1 << 15, 1 << 16}, Role: ir.OptState})
	}
	return vars
}

// TestTooLarge checks that what does not fit is refused before any of it is taken.
func TestTooLarge(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system does not tell how much memory there is")
	}
	job, ex := backendtest.Job(t, 16, 2), &executor{}
	job.Programs = large{job.Programs}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := host.Open(job, ex)
	runtime.ReadMemStats(&after)
	if err == nil {
		t.Fatal("there is room for 15 TiB")
	}
	for _, part := range []string{"out of memory: with batch size 16 the model needs 15.6 TiB (variables 7.8 TiB, ",
		"a copy to save them 7.8 TiB, gradients ", "activations ", " to give; no batch size would fit"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want it to contain %q", err, part)
		}
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 1<<30 {
		t.Errorf("%d bytes were taken before that was found", taken)
	}
	if ex.closed != 1 {
		t.Errorf("executor was closed %d times, want once", ex.closed)
	}
}
