package cpu

import (
	"slices"
	"unsafe"

	"github.com/gespann/gespann/backend/cpu/gemm"
	"github.com/gespann/gespann/backend/ir"
)

// A convolution and the max pooling behind it are one step where gemm can do both at
// once and nothing else reads what is between them, which then is not written: neither
// op knows, and instructions that are run one by one are as they were.

// fuse returns the steps of a run, of the given calls with the given steps.
func fuse(calls []*call, steps []step) []step {
	var all []step
	for i := 0; i < len(steps); i++ {
		next := steps[i]
		if i+1 < len(steps) && pooled(calls[i], calls[i+1]) {
			if both := convPool(calls[i], calls[i+1]); both != nil {
				next = both
				i++
			}
		}
		all = append(all, next)
	}
	return all
}

// Arrange returns the layout in which the result of a pooled convolution has other memory
// than what the convolution reads.
func (e *executor) Arrange(p *ir.Program) ir.Plan {
	merged := *p
	merged.Instrs = slices.Clone(p.Instrs)
	for i := range len(p.Instrs) - 1 {
		conv, pool := &merged.Instrs[i], &merged.Instrs[i+1]
		if pooled(&call{pool: e.pool, p: p, ins: conv, kit: e.kit}, &call{pool: e.pool, p: p, ins: pool}) {
			conv.Out = slices.Concat(pool.Out, conv.Out)
			*pool = ir.Instr{}
		}
	}
	return ir.PlanMemory(&merged)
}

// pooled reports whether two calls may be one step. It does not look at memory.
func pooled(conv, pool *call) bool {
	if conv.ins.Op != ir.Conv2D || pool.ins.Op != ir.MaxPool || pool.ins.In[0] != conv.ins.Out[0] {
		return false
	}
	windows := newImages(pool.shape(0), pool.outShape(0), pool.ins.Attrs.Win)
	act := conv.ins.Attrs.Act
	return windows.halves() && (act == ir.NoAct || act == ir.ReLU) &&
		readers(conv.p, conv.ins.Out[0]) == 1 && conv.conv2D().Pools()
}

// conv2D plans the convolution of a call.
func (c *call) conv2D() *gemm.Conv2D {
	return c.kit.NewConv2D(c.pool, c.convShape(c.shape(0), c.outShape(0)))
}

// convPool returns the step of two calls that may be one, or nil where the memory of the
// maxima is also that of something the convolution reads.
func convPool(conv, pool *call) step {
	plan := conv.conv2D()
	x, w, e := conv.in(0), conv.in(1), conv.epilogue()
	y, arg := pool.out(0), pool.intsOut(1)
	for _, in := range [][]float32{x, w, e.Bias} {
		if overlap(y, in) || overlap(arg, in) {
			return nil
		}
	}
	if readers(pool.p, pool.ins.Out[1]) == 0 {
		arg = nil
	}
	conv.told.instead(plan.DescribePooled)
	pool.told.instead(func() string { return "with the convolution before it" })
	return conv.product(func(x, w []float32) { plan.ForwardPooled(y, arg, x, w, e) })
}

// readers returns how many inputs of instructions show s, and one more if it outlives
// the run.
func readers(p *ir.Program, s ir.Slot) int {
	n := 0
	if p.Values[s].Kind != ir.Temp {
		n++
	}
	for _, ins := range p.Instrs {
		for _, in := range ins.In {
			if p.Root(in) == s {
				n++
			}
		}
	}
	return n
}

// overlap reports whether two slices, of elements of 4 bytes, have memory in common.
func overlap[A, B int32 | float32](a []A, b []B) bool {
	from, to := uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return from < to+4*uintptr(len(b)) && to < from+4*uintptr(len(a))
}
