package kernels_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/ref"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/kernels/emulator"
)

// TestLongColumns sums columns on a device so small that a thread has thousands of
// rows: by themselves, and beside a product, where a plan would make one launch of both
// if the columns were shorter.
func TestLongColumns(t *testing.T) {
	for _, s := range [][3]int{{300007, 3, 0}, {60013, 40, 0}, {200003, 8, 3}} {
		rows, cols, m := s[0], s[1], s[2]
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			b := backendtest.NewBuilder(t, "columns", 1, nil)
			dy := b.Input("dy", ir.Float, rows, cols)
			db := b.Do(ir.BiasGrad, ir.Attrs{}, dy)[0]
			b.Name(db, "db")
			if m > 0 {
				b.Name(b.Do(ir.MatMul, ir.Attrs{TransA: true}, b.Input("x", ir.Float, rows, m), dy)[0], "dw")
			}
			p := b.Done()
			ex := &emulator.Executor{Device: start(t), Options: plan.Options{Multiprocessors: 1},
				Fail: func(err error) { t.Error(err) }}
			defer ex.Close()
			got := host.Slots{F: make([][]float32, len(p.Values)), I: make([][]int32, len(p.Values))}
			want, r := ref.NewSlots[float64](p), rand.New(rand.NewPCG(1, 2))
			for i := range p.Values {
				got.F[i] = host.Alloc(p.Values[i].Size())
				for k := range got.F[i] {
					got.F[i][k] = float32(1e6 + r.NormFloat64())
					want.F[i][k] = float64(got.F[i][k])
				}
			}
			runner, err := ex.Compile(p, got)
			if err != nil {
				t.Fatal(err)
			}
			runner.Run()
			ref.Run(p, want)
			numtest.Close(t, got.F[db], want.F[db], numtest.Tol{Rel: 8e-7, Why: "measured: 2e-7; margin 4"})
		})
	}
}
