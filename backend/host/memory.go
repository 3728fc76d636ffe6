package host

import (
	"unsafe"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/hugepage"
)

// Slack is the number of elements behind each value's memory that may be read.
const Slack = 64

// Alloc returns n zeroed elements as Slots promises them: aligned to 64 bytes,
// with Slack more elements up to the capacity.
func Alloc(n int) []float32 {
	const alignBytes = ir.Align * 4
	buf := make([]float32, n+Slack+ir.Align-1)
	hugepage.Advise(buf)
	off := 0
	if r := uintptr(unsafe.Pointer(&buf[0])) % alignBytes; r != 0 {
		off = int(alignBytes-r) / 4
	}
	return buf[off : off+n : off+n+Slack]
}

// Ints returns the same memory as integers.
func Ints(f []float32) []int32 {
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(f))), cap(f))[:len(f)]
}

// plan lays out the arena for p.
func (s *session) plan(p *ir.Program) ir.Plan {
	if a, ok := s.ex.(Arranger); ok {
		return a.Arrange(p)
	}
	return ir.PlanMemory(p)
}

// slots lays out the memory of p: variables and gradients by their variable, the
// rest in the arena.
func (s *session) slots(p *ir.Program, plan ir.Plan, m *memory) Slots {
	slots := Slots{F: make([][]float32, len(p.Values)), I: make([][]int32, len(p.Values))}
	memory := func(v *ir.Value, slot int) []float32 {
		switch v.Kind {
		case ir.Variable:
			return s.values[v.Var]
		case ir.Grad:
			return m.grads[v.Var]
		default:
			off, n := plan.Offset[slot], v.Size()
			return m.arena[off : off+n : off+n+Slack]
		}
	}
	for i := range p.Values {
		owner := int(p.Root(ir.Slot(i)))
		if f := memory(&p.Values[owner], owner); p.Values[i].Type == ir.Int {
			slots.I[i] = Ints(f)
		} else {
			slots.F[i] = f
		}
	}
	return slots
}

// reserve makes the arena at least so large. Programs compiled before keep the
// arena they have.
func (m *memory) reserve(size int) {
	if len(m.arena) < size {
		m.arena = Alloc(size)
	}
}
