package backendtest

import (
	"math"
	"testing"

	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// guard is the number of elements around each value that nobody may write.
const guard = host.Slack

// guardBits is what is there: a NaN, and an integer that is no index.
const guardBits = 0x7fc0dead

// A memory is a program's values with guard bands around each.
type memory struct {
	p     *ir.Program
	block []float32
	at    []int // by slot, where the value begins in block
	host.Slots
}

// newMemory allocates values and fills everything with guardBits.
func newMemory(p *ir.Program) *memory {
	m := &memory{p: p, at: make([]int, len(p.Values))}
	size := guard
	for i := range p.Values {
		m.at[i] = size
		size += (p.Values[i].Size()+ir.Align-1)/ir.Align*ir.Align + guard
	}
	m.block = host.Alloc(size)
	for i := range m.block {
		m.block[i] = math.Float32frombits(guardBits)
	}
	m.F, m.I = make([][]float32, len(p.Values)), make([][]int32, len(p.Values))
	for i := range p.Values {
		v := &p.Values[i]
		if v.Kind == ir.View {
			m.at[i] = m.at[v.Of]
		}
		f := m.block[m.at[i]:][:v.Size():v.Size()]
		if v.Type == ir.Int {
			m.I[i] = host.Ints(f)
		} else {
			m.F[i] = f
		}
	}
	return m
}

// check reports writes outside the values.
func (m *memory) check(t *testing.T) {
	t.Helper()
	inside := make([]bool, len(m.block))
	for i := range m.p.Values {
		for k := range m.p.Values[i].Size() {
			inside[m.at[i]+k] = true
		}
	}
	for i, v := range m.block {
		if !inside[i] && math.Float32bits(v) != guardBits {
			t.Errorf("wrote outside of values, at element %d (values begin at %v)", i, m.at)
			return
		}
	}
}
