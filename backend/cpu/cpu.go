// Package cpu runs programs fast on the processor, without cgo.
//
// Compile turns each instruction into a step: a closure over the slices and
// sizes it needs, with its scratch memory, so that running allocates nothing.
// The table in table.go says which function compiles which op. Products and
// convolutions are in gemm, elementwise loops in vec, the goroutines in pool.
//
// A step splits its work into chunks whose sizes depend only on shapes, and
// sums of chunks are added in order; so results are the same bits for any
// number of threads. Steps with little work run on the caller alone.
package cpu

import (
	"context"
	"fmt"
	"runtime"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cpu/gemm"
	"github.com/gespann/gespann/backend/cpu/pool"
	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

func init() { backend.Register("cpu", cpu{}) }

type cpu struct{}

// Open starts the threads of a session.
func (cpu) Open(_ context.Context, job backend.Job) (backend.Session, error) {
	low, err := lowPrecision(job.Precision)
	if err != nil {
		return nil, err
	}
	return host.Open(job, executorFor(job, gemm.Kit{}, low))
}

// Kernels names the kernels that products and convolutions use on this machine:
// avx512, avx2 or generic.
func Kernels() string { return gemm.Kernels() }

// New returns an executor with so many threads; 0 means one per processor that
// Go may use.
func New(threads int) host.Executor { return newExecutor(threads, gemm.Kit{}, false) }

// executorFor is newExecutor for a job.
func executorFor(job backend.Job, kit gemm.Kit, bf16 bool) *executor {
	e := newExecutor(job.Threads, kit, bf16)
	if pairs, _, faster := gemm.Pairs(); bf16 && wantsPairs(kit, job.Shards, faster) {
		e.round.pairs = &pairs
	}
	return e
}

// newExecutor returns an executor for a kit, in precision bf16 or fp32.
func newExecutor(threads int, kit gemm.Kit, bf16 bool) *executor {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	e := &executor{pool: pool.New(threads), kit: kit}
	if bf16 {
		e.round = newRounder(e.pool)
	}
	e.addChunk = func(_, i int) {
		lo, hi := i*grain, min((i+1)*grain, len(e.sum))
		vec.Add(e.sum[lo:hi], e.sum[lo:hi], e.x[lo:hi])
	}
	e.gatherChunk = func(_, i int) { e.batch.chunk(i) }
	return e
}

type executor struct {
	pool     *pool.Pool
	kit      gemm.Kit  // of products and convolutions
	round    *rounder  // of their factors, in precision bf16; else nil
	sum, x   []float32 // that are being added
	addChunk func(worker, chunk int)

	batch       gathering
	gatherChunk func(worker, chunk int)
}

// Add does sum[i] += x[i].
func (e *executor) Add(sum, x []float32) {
	e.sum, e.x = sum, x
	chunks := ceilDiv(len(sum), grain)
	if len(sum) >= serial {
		e.pool.Run(chunks, e.addChunk)
	} else {
		for i := range chunks {
			e.addChunk(0, i)
		}
	}
	e.sum, e.x = nil, nil
}

// Close stops the threads.
func (e *executor) Close() { e.pool.Close() }

// Compile prepares p, which must have passed ir.Verify.
func (e *executor) Compile(p *ir.Program, s host.Slots) (host.Runner, error) {
	return e.compile(p, s, make([]*notes, len(p.Instrs)))
}

// compile is Compile; told has the notes of each instruction.
func (e *executor) compile(p *ir.Program, s host.Slots, told []*notes) (host.Runner, error) {
	calls, steps := make([]*call, len(p.Instrs)), make([]step, len(p.Instrs))
	for i := range p.Instrs {
		ins := &p.Instrs[i]
		compile := kernels[ins.Op]
		if compile == nil {
			return nil, fmt.Errorf("cpu: %s (%s): no kernel", ins.Op, ins.Layer)
		}
		calls[i] = &call{pool: e.pool, p: p, ins: ins, s: s, kit: e.kit, told: told[i], round: e.round}
		steps[i] = compile(calls[i])
	}
	return &runner{calls, steps, fuse(calls, steps)}, nil
}

// A step runs one instruction.
type step func()

// A runner has the step of each instruction, and those of a run: see fuse.
type runner struct {
	calls     []*call
	each, run []step
}

// Run runs all steps.
func (r *runner) Run() {
	for _, step := range r.run {
		step()
	}
}

// Exec runs instruction i.
func (r *runner) Exec(i int) { r.each[i]() }

// Meet returns the halves of instruction i.
func (r *runner) Meet(i int) *host.Halves { return r.calls[i].meets }
