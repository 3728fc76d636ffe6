package ref

import (
	"context"
	"fmt"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
)

func init() { backend.Register("ref", refBackend{}) }

// refBackend trains with the plain kernels, on one thread.
type refBackend struct{}

func (refBackend) Open(_ context.Context, job backend.Job) (backend.Session, error) {
	return host.Open(job, Executor{})
}

// An Executor runs programs in float32 for package host.
type Executor struct{}

// Compile prepares p.
func (Executor) Compile(p *ir.Program, s host.Slots) (host.Runner, error) {
	for i := range p.Instrs {
		if op := p.Instrs[i].Op; kernels32[op] == nil {
			return nil, fmt.Errorf("ref: %v has no row in the table of kernels", op)
		}
	}
	r := runner{p, Slots[float32]{F: s.F, I: s.I, sums: new([]float64)}, map[int]*host.Halves{}}
	for _, point := range meet.Points(p) {
		c, v := call[float32]{p, &p.Instrs[point.Instr], r.s}, point.Vector()
		r.meets[point.Instr] = &host.Halves{V: v, Sums: func() { c.meetSums(v) }, Rest: func() { c.meetRest(v) }}
	}
	return r, nil
}

// Close does nothing.
func (Executor) Close() {}

type runner struct {
	p *ir.Program
	s Slots[float32]
	// meets are the halves of instructions at which parts meet.
	meets map[int]*host.Halves
}

func (r runner) Run() {
	for i := range r.p.Instrs {
		r.Exec(i)
	}
}

func (r runner) Exec(i int) {
	h := r.meets[i]
	if h == nil {
		Exec(r.p, i, r.s)
		return
	}
	h.Sums()
	h.Rest()
}

// Meet returns the halves of instruction i.
func (r runner) Meet(i int) *host.Halves { return r.meets[i] }
