package plan

import (
	"fmt"
	"math"
	"slices"

	"github.com/gespann/gespann/backend/ir"
)

// structure plans the ops that compose.
func (b *builder) structure() {
	switch b.ins.Op {
	case ir.Map:
		b.mapped()
	case ir.Reduce:
		b.reduce()
	case ir.Permute:
		y := b.outShape(0)
		from, perm := ir.Strides(b.shape(0)), b.ins.Attrs.Perm
		var w ir.Walk
		for i := len(y) - 1; i >= 0; i-- {
			w.Add(y[i], from[perm.Axis(i)])
		}
		size, step := walkArgs(w)
		b.each("permute", ir.Size(y), b.out(0), b.in(0), i64(ir.Size(y)), size, step)
	case ir.BatchMatMul:
		b.batchMatMul()
	}
}

// maxDims is as in structure.cu.
const maxDims = 8

// walkArgs are a walk as struct Dims and struct Strides in structure.cu.
func walkArgs(w ir.Walk) (size, step Arg) {
	return ints(sizeInts(w.Dims)...), ints(stepInts(w.Steps)...)
}

func sizeInts(size []int) []int32 {
	v := []int32{int32(len(size))}
	for i := range maxDims {
		n := 1
		if i < len(size) {
			n = size[i]
		}
		v = append(v, divisor(n)...)
	}
	return v
}

func stepInts(step []int) []int32 {
	v := make([]int32, maxDims)
	for i, s := range step {
		v[i] = int32(s)
	}
	return v
}

// Bounds of an expression, as in structure.cu.
const (
	mapCalls     = 192
	mapNumbers   = 64
	mapRegisters = 24
)

// checkStructure reports what the kernels of this file have no room for.
func (b *builder) checkStructure() error {
	switch b.ins.Op {
	case ir.Map:
		f, err := b.ins.Attrs.Expr.Parse()
		if err != nil {
			return err
		}
		_, n := f.Registers()
		if len(f.Calls) > mapCalls || n > mapRegisters {
			return fmt.Errorf("the expression has %d calls, and %d results at a time, want at most %d and %d",
				len(f.Calls), n, mapCalls, mapRegisters)
		}
		if c := newCode(f); len(c.numbers) > mapNumbers {
			return fmt.Errorf("the expression has %d numbers, want at most %d", len(c.numbers), mapNumbers)
		}
	case ir.BatchMatMul:
		if n := last(b.outShape(0)); n > productTile*maxBlocks {
			return fmt.Errorf("a product has %d columns, want at most %d", n, productTile*maxBlocks)
		}
	}
	return nil
}

func last(shape []int) int { return shape[len(shape)-1] }

// mapped plans a map: the expression is data of the launch.
func (b *builder) mapped() {
	f, err := b.ins.Attrs.Expr.Parse()
	if err != nil {
		panic("cuda: invariant: " + err.Error()) // checkStructure has read it
	}
	y := b.outShape(0)
	used := f.Inputs()
	args := []Arg{b.out(0)}
	for i := range ir.MaxInputs {
		if i < len(b.ins.In) && used[i] {
			args = append(args, b.in(i))
		} else {
			args = append(args, null())
		}
	}
	size, inputs := b.broadcast(y)
	b.each("map", ir.Size(y), append(args, i64(ir.Size(y)), size, inputs, newCode(f).arg())...)
}

// broadcast returns the dims of y, and struct Inputs in structure.cu.
func (b *builder) broadcast(y []int) (size, inputs Arg) {
	spread, steps := int32(0), []int32{}
	var sizes []int
	for i := len(y) - 1; i >= 0; i-- {
		sizes = append(sizes, y[i])
	}
	for i := range ir.MaxInputs {
		step := make([]int, len(y)) // the last dim first
		if i < len(b.ins.In) && ir.Size(b.shape(i)) != ir.Size(y) {
			spread |= 1 << i
			shape := b.shape(i)
			for k, s := range ir.Strides(shape) {
				if shape[k] != 1 {
					step[len(shape)-1-k] = s
				}
			}
		}
		steps = append(steps, stepInts(step)...)
	}
	return ints(sizeInts(sizes)...), ints(append([]int32{spread}, steps...)...)
}

// A code is an expression as struct Formula in structure.cu.
type code struct {
	calls, to, numbers []int32
	registers          []int
	result             uint32
}

func newCode(f *ir.Formula) *code {
	c := new(code)
	c.registers, _ = f.Registers()
	c.to = make([]int32, mapCalls/4)
	for i, call := range f.Calls {
		word := uint32(call.Fn) << 24
		for k, a := range call.Args[:call.Fn.Arity()] {
			word |= c.operand(a) << (8 * k)
		}
		c.calls = append(c.calls, int32(word))
		c.to[i/4%len(c.to)] |= int32(c.registers[i]) << (8 * (i % 4))
	}
	c.result = c.operand(f.Result)
	return c
}

// operand returns the byte that stands for an operand.
func (c *code) operand(o ir.Operand) uint32 {
	switch o.Kind {
	case ir.OfInput:
		return 64 + uint32(o.Index)
	case ir.OfCall:
		return uint32(c.registers[o.Index])
	}
	bits := int32(math.Float32bits(float32(o.Value)))
	i := slices.Index(c.numbers, bits)
	if i < 0 {
		i, c.numbers = len(c.numbers), append(c.numbers, bits)
	}
	return 128 + uint32(min(i, mapNumbers))
}

func (c *code) arg() Arg {
	v := []int32{int32(len(c.calls)), int32(c.result)}
	v = append(append(v, c.calls...), make([]int32, mapCalls-len(c.calls))...)
	v = append(append(v, c.to...), c.numbers...)
	return ints(append(v, make([]int32, mapNumbers-len(c.numbers))...)...)
}

// reduce plans a reduction: of rows, of columns, or of any axes.
func (b *builder) reduce() {
	shape, axes := b.shape(0), b.ins.Attrs.Axes
	largest := flag(b.ins.Attrs.Reduction == ir.Maximum)
	var kept, gone ir.Walk
	steps := ir.Strides(shape)
	for i := len(shape) - 1; i >= 0; i-- {
		if axes.Has(i) {
			gone.Add(shape[i], steps[i])
		} else {
			kept.Add(shape[i], steps[i])
		}
	}
	n, m := kept.Size(), gone.Size()
	switch {
	case m == 1:
		b.copyRows(b.plan.Values[b.ins.Out[0]], b.plan.Values[b.ins.In[0]], 1, n, n, n)
	case len(gone.Dims) == 1 && gone.Steps[0] == 1 && len(kept.Dims) <= 1:
		b.rows("reduce", n, m, b.out(0), b.in(0), i64(n), i32(m), i32(largest))
	case len(gone.Dims) == 1 && len(kept.Dims) == 1 && kept.Steps[0] == 1 && largest == 0:
		b.columns("bias_grad", m, n, 1, 0, b.out(0), b.in(0), i64(m), i32(n))
	default:
		keptSize, keptStep := walkArgs(kept)
		goneSize, goneStep := walkArgs(gone)
		b.each("reduce_any", 4*n, b.out(0), b.in(0), i64(n), keptSize, keptStep, i64(m), goneSize, goneStep, i32(largest))
	}
}

const (
	productTile = 32        // as in structure.cu
	maxBlocks   = 1<<16 - 1 // along all dims of a grid but the first
)

// batchMatMul plans products of many matrices: a block for each tile of each.
func (b *builder) batchMatMul() {
	a, y := &b.ins.Attrs, b.outShape(0)
	lead := len(y) - 2
	count, m, n, k := ir.Size(y[:lead]), y[lead], y[lead+1], b.shape(0)[lead+1]
	if a.TransA {
		k = b.shape(0)[lead]
	}
	b.launch("batch_matmul", [3]uint32{uint32(ceil(m, productTile)), uint32(ceil(n, productTile)), uint32(min(count, maxBlocks))}, threads,
		b.out(0), b.in(0), b.in(1), i32(count), i32(m), i32(n), i32(k), i32(flag(a.TransA)), i32(flag(a.TransB)))
}
