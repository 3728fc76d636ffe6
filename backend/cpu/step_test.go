package cpu

import (
	"fmt"
	"testing"

	"github.com/gespann/gespann/backend/ir"
)

// perceptron is a training step of a 784-512-512-10 model: forward, backward and
// Adam, fused as lowering does it.
func perceptron(t testing.TB, rows int) *builder {
	b := &builder{t: t}
	dims := []int{784, 512, 512, 10}
	act := []ir.Act{ir.ReLU, ir.ReLU, ir.NoAct}
	labels, tick, seed := b.value(ir.Int, rows), b.value(ir.Int, 1), b.float(1)
	x := []ir.Slot{b.float(rows, 784)}
	var w, bias, y []ir.Slot
	for i := range act {
		w, bias = append(w, b.float(dims[i], dims[i+1])), append(bias, b.float(dims[i+1]))
		y = append(y, b.one(ir.MatMul, ir.Attrs{Bias: true, Act: act[i]}, x[i], w[i], bias[i]))
		next := y[i]
		if act[i] == ir.ReLU {
			next = b.one(ir.Dropout, ir.Attrs{Rate: 0.2, Seed: uint64(i)}, y[i], tick)
		}
		x = append(x, next)
	}
	prob := b.op(ir.SoftmaxXent, ir.Attrs{}, y[2], labels)[1]
	dy := b.one(ir.SoftmaxXentGrad, ir.Attrs{}, prob, labels, seed)
	grads := make([]ir.Slot, 6)
	for i := 2; i >= 0; i-- {
		grads[2*i] = b.one(ir.MatMul, ir.Attrs{TransA: true}, x[i], dy)
		grads[2*i+1] = b.one(ir.BiasGrad, ir.Attrs{}, dy)
		if i > 0 {
			d := b.one(ir.MatMul, ir.Attrs{TransB: true}, dy, w[i])
			d = b.one(ir.Dropout, ir.Attrs{Rate: 0.2, Seed: uint64(i - 1)}, d, tick)
			dy = b.one(ir.ActGrad, ir.Attrs{Act: ir.ReLU}, y[i-1], d)
		}
	}
	in := append([]ir.Slot{b.float(1), b.value(ir.Int, 1)}, grads...)
	b.op(ir.Adam, ir.Attrs{Beta1: 0.9, Beta2: 0.999, Eps: 1e-7}, in...)
	return b
}

// poolStep is what follows the second convolution of the MNIST example, there
// and back.
func poolStep(t testing.TB, rows int) *builder {
	b := &builder{t: t}
	x, tick := b.float(rows, 24, 24, 64), b.value(ir.Int, 1)
	y := b.op(ir.MaxPool, ir.Attrs{Win: halving}, x)
	d := b.one(ir.Dropout, ir.Attrs{Rate: 0.25}, y[0], tick)
	dx := b.one(ir.MaxPoolGrad, ir.Attrs{Dims: [4]int{rows, 24, 24, 64}}, y[1], d)
	dx = b.one(ir.ActGrad, ir.Attrs{Act: ir.ReLU}, x, dx)
	b.op(ir.BiasGrad, ir.Attrs{}, dx)
	b.op(ir.BiasGrad, ir.Attrs{}, b.float(rows, 26, 26, 32))
	n := b.op(ir.BatchNorm, ir.Attrs{Act: ir.ReLU, Eps: 1e-3}, x, b.float(64), b.float(64))
	b.op(ir.BatchNormGrad, ir.Attrs{Eps: 1e-3}, x, b.float(64), n[1], n[2], dx)
	for act := ir.ReLU; act <= ir.SiLU; act++ {
		b.op(ir.Activation, ir.Attrs{Act: act}, x)
	}
	return b
}

// BenchmarkStep times whole steps, in fp32 and in the ways of bf16.
func BenchmarkStep(b *testing.B) {
	for _, rows := range []int{32, 128} {
		for name, executor := range allExecutors() {
			b.Run(fmt.Sprint("perceptron/rows", rows, "/", name), func(b *testing.B) {
				p := perceptron(b, rows)
				r := p.compileOn(p.memory(1), executor(0))
				r.Run()
				b.ReportAllocs()
				for b.Loop() {
					r.Run()
				}
			})
		}
	}
}

// BenchmarkInstr times each instruction of the steps.
func BenchmarkInstr(b *testing.B) {
	for _, p := range []*builder{perceptron(b, 128), poolStep(b, 128)} {
		r := p.compile(p.memory(1), 0)
		for i, ins := range p.p.Instrs {
			name := fmt.Sprintf("%s%v%v", ins.Op, p.p.Values[ins.Out[0]].Shape, ins.Attrs.Act)
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					r.Exec(i)
				}
			})
		}
	}
}
