package pool

import (
	"unsafe"

	"github.com/gespann/gespann/internal/hugepage"
)

// slack is the number of floats that can be read after the end of a scratch
// buffer, and align the alignment of its start, in bytes.
const (
	slack = 64
	align = 64
)

// Reserve makes Shared at least shared floats long, and every Local at least
// local. Plans call it once when they are made; it must not be called during
// Run, and invalidates earlier results of Shared and Local.
func (p *Pool) Reserve(shared, local int) {
	if len(p.shared) < shared {
		p.shared = alloc(shared)
	}
	for i := range p.local {
		if len(p.local[i]) < local {
			p.local[i] = alloc(local)
		}
	}
}

// Shared returns memory for all workers. It holds garbage, and keeps its content
// only while its user is running: whoever uses the pool next overwrites it.
// It starts at a multiple of 64 bytes, with 64 readable floats after its end.
func (p *Pool) Shared() []float32 { return p.shared }

// Local returns memory for one worker, with the properties of Shared.
func (p *Pool) Local(worker int) []float32 { return p.local[worker] }

// alloc returns n aligned floats with slack.
func alloc(n int) []float32 {
	buf := make([]float32, n+slack+align/4)
	hugepage.Advise(buf)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(buf))) % align / 4)
	return buf[skip : skip+n : skip+n+slack]
}
