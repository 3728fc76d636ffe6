package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// TestMapScalarChanges runs a map again with another number in place of its scalar, which
// differs from the first by its sign only.
func TestMapScalarChanges(t *testing.T) {
	build := backendtest.NewBuilder(t, "map", 1, nil)
	one, x := build.Input("one", ir.Float, 3), build.Input("x", ir.Float, 1)
	build.Name(build.Do(ir.Map, ir.Attrs{Expr: "div(x0,x1)"}, one, x)[0], "y")
	p := build.Done()
	s := host.Slots{F: [][]float32{{1, 1, 1}, {0}, make([]float32, 3)}, I: make([][]int32, 3)}
	ex := New(1)
	defer ex.Close()
	r, err := ex.Compile(p, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []float64{0, math.Copysign(0, -1), 2, math.NaN(), 0} {
		s.F[1][0] = float32(v)
		r.Run()
		if got, want := s.F[2][2], float32(1/v); got != want && (got == got || want == want) {
			t.Errorf("1/%v: got %v, want %v", v, got, want)
		}
	}
}

// BenchmarkMap times chains of eight calls beside one copy of their tensors.
func BenchmarkMap(b *testing.B) {
	for _, c := range []struct {
		name string
		expr ir.Expr
		in   int
	}{
		{"copy", "x0", 1},
		{"cheap", "mul(x0,0.5);add(t0,1);max(t1,0);sub(t2,x0);mul(t3,t1);neg(t4);add(t5,x0);mul(t6,t6)", 1},
		{"two", "add(x0,x1);mul(t0,x1);sub(t1,x0);mul(t2,0.5);max(t3,x0);abs(t4);add(t5,1);mul(t6,t0)", 2},
		{"costly", "tanh(x0);mul(t0,x0);sigmoid(t1);exp(t2);add(t3,1);log(t4);sqrt(t5);erf(t6)", 1},
	} {
		for _, n := range []int{1 << 16, 1 << 22} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				build := backendtest.NewBuilder(b, "map", 1, nil)
				var in []ir.Slot
				for i := range c.in {
					in = append(in, build.Input(fmt.Sprint("x", i), ir.Float, n))
				}
				y := build.Do(ir.Map, ir.Attrs{Expr: c.expr}, in...)[0]
				build.Name(y, "y")
				p := build.Done()
				s := host.Slots{F: make([][]float32, len(p.Values)), I: make([][]int32, len(p.Values))}
				for i := range s.F {
					s.F[i] = make([]float32, n)
					for k := range s.F[i] {
						s.F[i][k] = rand.Float32()
					}
				}
				ex := New(0)
				defer ex.Close()
				r, err := ex.Compile(p, s)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(4 * n * (c.in + 1)))
				for b.Loop() {
					r.Run()
				}
			})
		}
	}
}
