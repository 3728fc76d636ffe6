package plan

import (
	"fmt"
	"math"
	"strings"

	"github.com/gespann/gespann/backend/ir"
)

// threads is the block size of all kernels but the tiled products.
const threads = 256

// Build plans the launches of p, which must have passed ir.Verify.
func Build(p *ir.Program, o Options) (*Plan, error) {
	if o.SM == 0 {
		o.SM = 75
	}
	if o.Multiprocessors == 0 {
		o.Multiprocessors = 132
	}
	if o.Precision > BF16 {
		return nil, fmt.Errorf("plan: precision is %d, want 0 to %d", o.Precision, BF16)
	}
	if o.SM < 75 {
		return nil, fmt.Errorf("plan: compute capability is %d.%d, want 7.5 or more", o.SM/10, o.SM%10)
	}
	if o.Precision != FP32 && o.SM < 80 {
		return nil, fmt.Errorf("plan: precision %v needs compute capability 8.0 or more, got %d.%d",
			o.Precision, o.SM/10, o.SM%10)
	}
	b := &builder{p: p, plan: &Plan{Program: p, Options: o}, asides: asides(p)}
	b.place()
	b.findSums()
	for i := range p.Instrs {
		b.at(i)
		if planners[b.ins.Op] == nil {
			return nil, fmt.Errorf("plan: instruction %d (%s): %v has no row in the table of planners", i, b.ins.Layer, b.ins.Op)
		}
		if err := b.checkSizes(); err != nil {
			return nil, fmt.Errorf("plan: instruction %d (%s): %v: %w", i, b.ins.Layer, b.ins.Op, err)
		}
	}
	for i := 0; i < len(p.Instrs); {
		if n := b.fuse(i); n > 0 {
			i += n
			continue
		}
		b.at(i)
		b.instr()
		i++
	}
	return b.plan, nil
}

// A builder plans one instruction after the other.
type builder struct {
	p    *ir.Program
	plan *Plan
	i    int
	ins  *ir.Instr
	// asides are the instructions that may run beside others; aside says whether
	// the current one does.
	asides []bool
	aside  bool
}

// place says where each value is.
func (b *builder) place() {
	layout := b.plan.Options.Layout
	if layout.Offset == nil {
		layout = ir.PlanMemory(b.p)
	}
	b.plan.ArenaBytes = int64(layout.Size) * 4
	b.plan.Values = make([]Ref, len(b.p.Values))
	for i := range b.p.Values {
		owner := b.p.Root(ir.Slot(i))
		switch v := &b.p.Values[owner]; v.Kind {
		case ir.Variable:
			b.plan.Values[i] = Ref{Buffer: Vars, Index: v.Var}
		case ir.Grad:
			b.plan.Values[i] = Ref{Buffer: Grads, Index: v.Var}
		default:
			b.plan.Values[i] = Ref{Buffer: Arena, Offset: int64(layout.Offset[owner]) * 4}
		}
	}
}

// checkSizes reports tensors that the kernels' indices cannot reach: they take
// each dim, and the rows of each matrix, as int32.
func (b *builder) checkSizes() error {
	for _, list := range [][]ir.Slot{b.ins.In, b.ins.Out} {
		for _, s := range list {
			if s == ir.None {
				continue
			}
			if rows, cols := ir.Rows(b.p.Values[s].Shape); rows > math.MaxInt32/2 || cols > math.MaxInt32/2 {
				return fmt.Errorf("shape is %v, want at most 2^30 rows and columns", b.p.Values[s].Shape)
			}
		}
	}
	if w := b.ins.Attrs.Win; w.KH > 0 && w.KH*w.KW > math.MaxInt32/2/max(b.ins.Attrs.Dims[3], 1) {
		return fmt.Errorf("window is %v, want at most 2^30 weights", w)
	}
	return b.checkStructure()
}

// instr plans the current instruction.
func (b *builder) instr() { planners[b.ins.Op](b) }

// launch appends a launch.
func (b *builder) launch(kernel string, grid [3]uint32, block int, args ...Arg) *Launch {
	b.plan.Launches = append(b.plan.Launches, Launch{Kernel: kernel, Grid: grid,
		Block: [3]uint32{uint32(block), 1, 1}, Args: args, Instr: b.i, Aside: b.aside})
	return &b.plan.Launches[len(b.plan.Launches)-1]
}

// each appends a launch with a thread for every four of n elements, in as many
// blocks as fit on the device at once; the kernel strides over the rest.
func (b *builder) each(kernel string, n int, args ...Arg) *Launch {
	return b.launch(kernel, b.eachGrid(n), threads, args...)
}

func (b *builder) eachGrid(n int) [3]uint32 {
	return grid(max(1, min(ceil(n, 4*threads), 8*b.plan.Options.Multiprocessors)))
}

// rows appends a launch of a kernel that has a variant with a warp for each row
// and one with a block.
func (b *builder) rows(kernel string, rows, cols int, args ...Arg) *Launch {
	if cols <= 1024 {
		return b.launch(kernel+"_warp", grid(ceil(rows, threads/32)), threads, args...)
	}
	return b.launch(kernel+"_block", grid(rows), threads, args...)
}

// columns appends a launch that reduces the rows of a matrix to numSums float32
// for each column: parts of the rows side by side, each written to Scratch, and
// the last part to end adds all up in order. Scratch from offset skip on, and
// Counters, are its last arguments.
func (b *builder) columns(kernel string, rows, cols, numSums int, skip int64, args ...Arg) *Launch {
	width := min(32, pow2(cols)) // columns of a block, as in reduce.cuh
	blocks := ceil(cols, width)
	parts := ceil(rows, 8*(threads/width)) // at least 8 rows for each thread
	parts = max(1, min(parts, 2*b.plan.Options.Multiprocessors/blocks, 1024))
	args = append(args, ptr(b.scratch(skip, int64(parts)*int64(cols)*int64(numSums)*4)), ptr(b.counters(blocks)))
	return b.launch(kernel, [3]uint32{uint32(blocks), uint32(parts), 1}, threads, args...)
}

// scratch returns bytes of scratch memory at an offset.
func (b *builder) scratch(at, bytes int64) Ref {
	if b.aside {
		b.plan.AsideBytes = max(b.plan.AsideBytes, at+bytes)
		return Ref{Buffer: AsideScratch, Offset: at}
	}
	b.plan.ScratchBytes = max(b.plan.ScratchBytes, at+bytes)
	return Ref{Buffer: Scratch, Offset: at}
}

// counters returns n counters.
func (b *builder) counters(n int) Ref {
	b.plan.CountersBytes = max(b.plan.CountersBytes, int64(n)*4)
	if b.aside {
		return Ref{Buffer: AsideCounters}
	}
	return Ref{Buffer: Counters}
}

// in and out return where inputs and outputs are, as arguments; an output that is
// not wanted is a null pointer.
func (b *builder) in(k int) Arg { return ptr(b.plan.Values[b.ins.In[k]]) }

func (b *builder) out(k int) Arg {
	if b.ins.Out[k] == ir.None {
		return null()
	}
	return ptr(b.plan.Values[b.ins.Out[k]])
}

func (b *builder) shape(k int) []int      { return b.p.Values[b.ins.In[k]].Shape }
func (b *builder) outShape(k int) []int   { return b.p.Values[b.ins.Out[k]].Shape }
func (b *builder) isInt(k int) bool       { return b.p.Values[b.ins.In[k]].Type == ir.Int }
func (b *builder) act() (kind, alpha Arg) { return i32(int(b.ins.Attrs.Act)), f32(b.ins.Attrs.Alpha) }

// Arguments.

func ptr(r Ref) Arg        { return Arg{Kind: Pointer, Ref: r} }
func null() Arg            { return Arg{Kind: Pointer} }
func i32(v int) Arg        { return Arg{Kind: Int32, Int: int64(v)} }
func i64(v int) Arg        { return Arg{Kind: Int64, Int: int64(v)} }
func u32(v uint32) Arg     { return Arg{Kind: Uint32, Int: int64(v)} }
func u64(v uint64) Arg     { return Arg{Kind: Uint64, Int: int64(v)} }
func f32(v float64) Arg    { return Arg{Kind: Float32, Float: float64(float32(v))} }
func f64(v float64) Arg    { return Arg{Kind: Float64, Float: v} }
func ints(v ...int32) Arg  { return Arg{Kind: Struct, Ints: v} }
func grid(n int) [3]uint32 { return [3]uint32{uint32(n), 1, 1} }

// ceil returns n/d rounded up.
func ceil(n, d int) int { return (n + d - 1) / d }

// pow2 returns the least power of 2 that is at least n.
func pow2(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

// flag returns 1 for true.
func flag(v bool) int {
	if v {
		return 1
	}
	return 0
}

// metricName returns the name of the metric that v holds.
func metricName(v *ir.Value) (string, bool) {
	name, ok := strings.CutPrefix(v.Name, ir.MetricPrefix)
	return name, ok && v.Kind == ir.Output && v.Type == ir.Float
}
