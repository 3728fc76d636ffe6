package ref

import (
	"context"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

func init() { backend.Register("ref", refBackend{}) }

// refBackend trains with the plain kernels, on one thread.
type refBackend struct{}

func (refBackend) Open(_ context.Context, job backend.Job) (backend.Session, error) {
	return host.Open(job, Executor{})
}

// An Executor runs programs in float32 for package host.
type Executor struct{}

// Compile prepares p; there is nothing to do.
func (Executor) Compile(p *ir.Program, s host.Slots) (host.Runner, error) {
	return runner{p, Slots[float32]{F: s.F, I: s.I}}, nil
}

// Close does nothing.
func (Executor) Close() {}

type runner struct {
	p *ir.Program
	s Slots[float32]
}

func (r runner) Run()       { Run(r.p, r.s) }
func (r runner) Exec(i int) { Exec(r.p, i, r.s) }
