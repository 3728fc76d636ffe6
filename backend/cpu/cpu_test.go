package cpu

import (
	"math"
	"testing"

	"github.com/gespann/gespann/backend/cpu/gemm"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/numtest"
)

// TestKernels finds ops without a row in the table.
func TestKernels(t *testing.T) {
	for op := ir.Invalid + 1; int(op) < ir.NumOps; op++ {
		if kernels[op] == nil {
			t.Errorf("%s has no kernel", op)
		}
	}
}

// TestThreads demands the same bits from any number of threads, and that the
// program it uses has every op.
func TestThreads(t *testing.T) {
	b := everything(t)
	seen := map[ir.Op]bool{}
	for _, ins := range b.p.Instrs {
		seen[ins.Op] = true
	}
	for op := ir.Invalid + 1; int(op) < ir.NumOps; op++ {
		if !seen[op] {
			t.Errorf("the program has no %s", op)
		}
	}
	for _, executor := range allExecutors() {
		want := b.memory(1)
		b.compileOn(want, executor(1)).Run()
		for _, threads := range []int{2, 3, 5} {
			got := b.memory(1)
			b.compileOn(got, executor(threads)).Run()
			b.same(got, want, threads)
		}
	}
}

// allExecutors returns constructors of executors in fp32 and bf16.
func allExecutors() map[string]func(threads int) *executor {
	all := lowExecutors()
	delete(all, "generic") // slow
	all["fp32"] = func(threads int) *executor { return newExecutor(threads, gemm.Kit{}, false) }
	return all
}

// same compares the outputs of all instructions bit by bit.
func (b *builder) same(got, want host.Slots, threads int) {
	b.t.Helper()
	for _, ins := range b.p.Instrs {
		for k, out := range ins.Out {
			for i := range want.F[out] {
				g, w := got.F[out][i], want.F[out][i]
				if math.Float32bits(g) != math.Float32bits(w) {
					b.t.Errorf("%s output %d [%d] = %v with %d threads, %v with 1",
						ins.Op, k, i, g, threads, w)
					break
				}
			}
		}
	}
}

func TestAllocs(t *testing.T) {
	b := everything(t)
	s := b.memory(1)
	executors := []*executor{newExecutor(1, gemm.Kit{}, false)}
	for _, executor := range allExecutors() {
		executors = append(executors, executor(2))
	}
	for _, ex := range executors {
		threads := ex.pool.Threads()
		r := b.compileOn(s, ex)
		for i, ins := range b.p.Instrs {
			r.Exec(i)
			if got := testing.AllocsPerRun(2, func() { r.Exec(i) }); got != 0 {
				t.Errorf("%s allocates %v times with %d threads, want 0", ins.Op, got, threads)
			}
		}
	}
}

// TestAdd compares sums of vectors with a plain loop, at sizes with and without a
// second thread.
func TestAdd(t *testing.T) {
	for _, threads := range []int{1, 3} {
		ex := New(threads)
		t.Cleanup(ex.Close)
		for _, n := range []int{0, 1, 17, grain, serial - 1, serial, 5*serial + 3} {
			got, x := host.Alloc(n), host.Alloc(n)
			want := make([]float32, n)
			for i := range x {
				got[i], x[i] = float32(i)*0.1, 1/float32(i+1)
				want[i] = got[i] + x[i]
			}
			add := ex.(host.Adder)
			add.Add(got, x)
			numtest.Close(t, got, want, numtest.Tol{Why: "one rounding"})
			if allocs := testing.AllocsPerRun(2, func() { add.Add(got, x) }); allocs != 0 {
				t.Errorf("Add of %d elements allocates %v times, want 0", n, allocs)
			}
		}
	}
}

// TestNaNProducts puts a NaN into products with a fused activation.
func TestNaNProducts(t *testing.T) {
	for act := ir.NoAct; act <= ir.SiLU; act++ {
		a := ir.Attrs{Act: act, Bias: true}
		if act == ir.LeakyReLU || act == ir.ELU {
			a.Alpha = 0.3
		}
		b := &builder{t: t}
		x := b.float(7, 20)
		y := []ir.Slot{b.one(ir.MatMul, a, x, b.float(20, 33), b.float(33))}
		a.Win, a.Groups = square, 1
		image := b.view(x, 1, 4, 5, 7)
		y = append(y, b.one(ir.Conv2D, a, image, b.float(3, 3, 7, 33), b.float(33)))
		s := b.memory(1)
		s.F[x][57] = float32(math.NaN()) // row 2 of the matrix; pixel (1,3) of the image
		for _, executor := range allExecutors() {
			b.compileOn(s, executor(1)).Run()
			for j := range 33 {
				if v := s.F[y[0]][2*33+j]; v == v {
					t.Errorf("matmul with %v of a NaN = %v, want NaN", act, v)
				}
				if v := s.F[y[1]][2*33+j]; v == v {
					t.Errorf("conv2d with %v of a NaN = %v, want NaN", act, v)
				}
			}
		}
	}
}

// TestNaN puts a NaN into an activation and follows it to the loss: no op on the
// way may lose it.
func TestNaN(t *testing.T) {
	nan := float32(math.NaN())
	for act := ir.NoAct; act <= ir.SiLU; act++ {
		b := &builder{t: t}
		x := b.float(4, 6, 6, 8)
		a := ir.Attrs{Act: act}
		if act == ir.LeakyReLU || act == ir.ELU {
			a.Alpha = 0.3
		}
		y := b.one(ir.Activation, a, x)
		y = b.op(ir.MaxPool, ir.Attrs{Win: halving}, y)[0]
		y = b.op(ir.MaxPool, ir.Attrs{Win: lapping}, y)[0]
		y = b.op(ir.BatchNorm, ir.Attrs{Eps: 1e-3, Act: ir.ReLU}, y, b.float(8), b.float(8))[0]
		y = b.op(ir.LayerNorm, ir.Attrs{Eps: 1e-3}, y, b.float(8), b.float(8))[0]
		n := b.p.Values[y].Size() / 8
		y = b.view(y, n, 8)
		a.Bias = true
		y = b.one(ir.MatMul, a, y, b.float(8, 10), b.float(10))
		prob := b.one(ir.Softmax, ir.Attrs{}, y)
		losses := []ir.Slot{
			b.one(ir.SoftmaxXent, ir.Attrs{}, y, b.value(ir.Int, n)),
			b.one(ir.PointLoss, ir.Attrs{Loss: ir.SquaredError}, y, b.float(n, 10)),
			b.one(ir.PointLoss, ir.Attrs{Loss: ir.SigmoidXent}, y, b.float(n, 10)),
			b.one(ir.PointLoss, ir.Attrs{Loss: ir.SquaredError}, prob, b.float(n, 10)),
		}
		for at := range 8 {
			s := b.memory(1)
			s.F[x][at*137] = nan
			b.compile(s, 1).Run()
			for i, l := range losses {
				if got := s.F[l][0]; got == got {
					t.Errorf("%v, NaN at %d: loss %d is %v, want NaN", act, at*137, i, got)
				}
			}
		}
	}
}
