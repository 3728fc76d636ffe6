// Package ref runs programs plainly: loops that read like the formulas in
// package ir. It is the definition that other backends are tested against, in
// float64 the yardstick for gradients, and a backend for patient people.
//
// Sums are accumulated in float64 whatever the element type, and functions are
// evaluated in float64, so that in float32 too only the result is rounded.
//
// Letters as in package ir: B batch rows, R rows, C channels or classes, H W
// height and width, O output channels, G groups. Kernels take outputs, inputs,
// sizes, attributes, in this order; tensors are dense and row-major.
package ref

import "github.com/gespann/gespann/backend/ir"

// Float is the element types that programs can run in.
type Float interface{ float32 | float64 }

// Slots is the memory of a program's values, by slot: F for Float values, I for
// Int. Views share the memory of what they show.
type Slots[T Float] struct {
	F [][]T
	I [][]int32

	sums *[]float64 // scratch, kept from run to run; nil: made anew
}

// NewSlots allocates zeroed memory for every value of p.
func NewSlots[T Float](p *ir.Program) Slots[T] {
	s := Slots[T]{F: make([][]T, len(p.Values)), I: make([][]int32, len(p.Values)), sums: new([]float64)}
	for i := range p.Values {
		switch v := &p.Values[i]; {
		case v.Kind == ir.View:
		case v.Type == ir.Int:
			s.I[i] = make([]int32, v.Size())
		default:
			s.F[i] = make([]T, v.Size())
		}
	}
	s.ShareViews(p)
	return s
}

// ShareViews gives each view of p the memory of what it shows.
func (s Slots[T]) ShareViews(p *ir.Program) {
	for i := range p.Values {
		if v := &p.Values[i]; v.Kind == ir.View {
			s.F[i], s.I[i] = s.F[v.Of], s.I[v.Of]
		}
	}
}

// Run runs p, which must have passed ir.Verify, on s.
func Run[T Float](p *ir.Program, s Slots[T]) {
	for i := range p.Instrs {
		Exec(p, i, s)
	}
}

// Exec runs instruction i of p on s.
func Exec[T Float](p *ir.Program, i int, s Slots[T]) {
	c := call[T]{p, &p.Instrs[i], s}
	kernelsOf[T]()[c.ins.Op](c)
}

// A call is one instruction with its memory.
type call[T Float] struct {
	p   *ir.Program
	ins *ir.Instr
	s   Slots[T]
}

// in returns the Float input k.
func (c call[T]) in(k int) []T { return c.s.F[c.ins.In[k]] }

// ints returns the Int input k, nil when it is Float.
func (c call[T]) ints(k int) []int32 { return c.s.I[c.ins.In[k]] }

// out returns the Float output k, nil when it is not wanted.
func (c call[T]) out(k int) []T {
	if c.ins.Out[k] == ir.None {
		return nil
	}
	return c.s.F[c.ins.Out[k]]
}

// sums returns n zeros, where results are summed up whose terms do not come together.
func (c call[T]) sums(n int) []float64 {
	if c.s.sums == nil {
		return make([]float64, n)
	}
	if len(*c.s.sums) < n {
		*c.s.sums = make([]float64, n)
	}
	sums := (*c.s.sums)[:n]
	clear(sums)
	return sums
}

// store rounds sums to the element type.
func store[T Float](dst []T, sums []float64) {
	for i, v := range sums {
		dst[i] = T(v)
	}
}

// shape returns the shape of input k.
func (c call[T]) shape(k int) []int { return c.p.Values[c.ins.In[k]].Shape }

// outShape returns the shape of output k.
func (c call[T]) outShape(k int) []int { return c.p.Values[c.ins.Out[k]].Shape }

// epilogue returns the inputs after the first two: bias and ref.
func (c call[T]) epilogue() (e epilogue[T]) {
	k := 2
	if c.ins.Attrs.Bias {
		e.bias = c.in(k)
		k++
	}
	if c.ins.Attrs.GradAct {
		e.ref = c.in(k)
	}
	return e
}
