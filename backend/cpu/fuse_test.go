package cpu

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// pooledConv adds a convolution of 3 by 3 taps with an activation, and a max pooling.
func pooledConv(b *builder, act ir.Act, win ir.Window) (x, conv ir.Slot, pool []ir.Slot) {
	x = b.float(4, 12, 15, 32)
	conv = b.one(ir.Conv2D, ir.Attrs{Win: square, Groups: 1, Act: act, Bias: true}, x,
		b.float(3, 3, 32, 48), b.float(48))
	b.p.Values[conv].Kind = ir.Temp
	pool = b.op(ir.MaxPool, ir.Attrs{Win: win}, conv)
	return x, conv, pool
}

// TestFuse runs convolutions with a pooling at once and one by one: the results must have
// the same bits, and it must be one step where nothing else reads what is between.
func TestFuse(t *testing.T) {
	cases := []struct {
		name  string
		steps int // of a run
		build func(b *builder)
	}{
		{"plain", 1, func(b *builder) { pooledConv(b, ir.NoAct, halving) }},
		{"gradient", 2, func(b *builder) {
			_, _, pool := pooledConv(b, ir.ReLU, halving)
			b.op(ir.MaxPoolGrad, ir.Attrs{Dims: [4]int{4, 10, 13, 48}}, pool[1], pool[0])
		}},
		{"view of the maxima", 2, func(b *builder) {
			_, _, pool := pooledConv(b, ir.ReLU, halving)
			b.op(ir.Softmax, ir.Attrs{}, b.view(pool[0], 4, 5*6*48))
		}},
		{"overlapping windows", 2, func(b *builder) { pooledConv(b, ir.ReLU, lapping) }},
		{"other activation", 2, func(b *builder) { pooledConv(b, ir.Tanh, halving) }},
		{"another reader", 3, func(b *builder) {
			_, conv, _ := pooledConv(b, ir.ReLU, halving)
			b.op(ir.BiasGrad, ir.Attrs{}, conv)
		}},
		{"another reader, of a view", 3, func(b *builder) {
			_, conv, _ := pooledConv(b, ir.ReLU, halving)
			b.op(ir.BiasGrad, ir.Attrs{}, b.view(conv, 4*10*13, 48))
		}},
		{"output", 2, func(b *builder) {
			_, conv, _ := pooledConv(b, ir.ReLU, halving)
			b.p.Values[conv].Kind = ir.Output
		}},
		{"pooling of something else", 2, func(b *builder) {
			b.one(ir.Conv2D, ir.Attrs{Win: square, Groups: 1}, b.float(4, 12, 15, 32), b.float(3, 3, 32, 48))
			b.op(ir.MaxPool, ir.Attrs{Win: halving}, b.float(4, 10, 13, 48))
		}},
	}
	for _, tc := range cases {
		for _, threads := range []int{1, 3} {
			t.Run(fmt.Sprint(tc.name, "/", threads), func(t *testing.T) {
				b := &builder{t: t}
				tc.build(b)
				testFused(b, threads, tc.steps)
			})
		}
	}
}

// testFused compares a run with instructions that are run one by one, in all floats
// but those that a run leaves out.
func testFused(b *builder, threads, steps int) {
	want := b.memory(1)
	single := b.compile(want, 1)
	for i := range b.p.Instrs {
		single.Exec(i)
	}
	got := b.memory(1)
	r := b.compile(got, threads)
	if n := len(r.(*runner).run); n != steps {
		b.t.Errorf("a run takes %d steps, want %d", n, steps)
	}
	r.Run()
	if allocs := testing.AllocsPerRun(2, r.Run); allocs != 0 {
		b.t.Errorf("a run allocates %v times, want 0", allocs)
	}
	for i, ins := range b.p.Instrs {
		if ins.Op == ir.Conv2D && steps < len(b.p.Instrs) {
			b.p.Instrs[i].Out = nil
		}
	}
	b.same(got, want, threads)
}

// TestArrange lays a pooled convolution out: in ir.PlanMemory's layout its maxima lie where
// its input does, and it stays two steps; in that of the executor it is one.
func TestArrange(t *testing.T) {
	b := &builder{t: t}
	x, _, pool := pooledConv(b, ir.ReLU, halving)
	b.p.Values[x].Kind = ir.Temp
	image := b.float(4, 12, 15, 32)
	b.p.Instrs = slices.Insert(b.p.Instrs, 0, ir.Instr{Op: ir.Activation, In: []ir.Slot{image},
		Out: []ir.Slot{x}})
	ex := New(1).(*executor)
	t.Cleanup(ex.Close)
	var want []float32
	for i, plan := range []ir.Plan{ir.PlanMemory(&b.p), ex.Arrange(&b.p)} {
		s := b.memory(1)
		arena := host.Alloc(plan.Size)
		for v, offset := range plan.Offset {
			if offset >= 0 && v != int(image) {
				lay(&s, b, arena, v, offset)
			}
		}
		r := b.compile(s, 1)
		if n, steps := len(r.(*runner).run), 3-i; n != steps {
			t.Errorf("layout %d: a run takes %d steps, want %d", i, n, steps)
		}
		r.Run()
		if got := s.F[pool[0]]; i == 0 {
			want = got
		} else if !slices.Equal(got, want) {
			t.Error("the maxima depend on the layout")
		}
	}
}

// lay moves value v to an offset of the arena.
func lay(s *host.Slots, b *builder, arena []float32, v, offset int) {
	n := b.p.Values[v].Size()
	memory := arena[offset : offset+n : offset+n+host.Slack]
	if b.p.Values[v].Type == ir.Int {
		s.I[v] = host.Ints(memory)
	} else {
		s.F[v] = memory
	}
}
