package cpu

import (
	"github.com/gespann/gespann/backend/cpu/gemm"
	"github.com/gespann/gespann/backend/cpu/pool"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// A call is one instruction with its memory, at compile time.
type call struct {
	pool *pool.Pool
	p    *ir.Program
	ins  *ir.Instr
	s    host.Slots
	kit  gemm.Kit // of products and convolutions
	told *notes   // of a plan for people: see plan.go; else nil

	round *rounder // of factors in precision bf16; nil in fp32

	optimiser *optimiser   // of an instruction that is one
	meets     *host.Halves // of an instruction at which parts meet
}

// in returns the Float input k, nil when it is Int.
func (c *call) in(k int) []float32 { return c.s.F[c.ins.In[k]] }

// ints returns the Int input k, nil when it is Float.
func (c *call) ints(k int) []int32 { return c.s.I[c.ins.In[k]] }

// out returns the Float output k, nil when it is not wanted.
func (c *call) out(k int) []float32 {
	if c.ins.Out[k] == ir.None {
		return nil
	}
	return c.s.F[c.ins.Out[k]]
}

// intsOut returns the Int output k.
func (c *call) intsOut(k int) []int32 { return c.s.I[c.ins.Out[k]] }

// shape returns the shape of input k.
func (c *call) shape(k int) []int { return c.p.Values[c.ins.In[k]].Shape }

// outShape returns the shape of output k.
func (c *call) outShape(k int) []int { return c.p.Values[c.ins.Out[k]].Shape }

const (
	// grain is the number of elements of a chunk: a few microseconds of work,
	// and small enough for the first-level cache.
	grain = 8 << 10
	// serial is the number of elements below which waking other threads costs
	// more than they save.
	serial = 32 << 10
)

// parallel returns a step that calls f for all chunks, on all threads when the
// step handles enough elements.
func (c *call) parallel(chunks, elements int, f func(worker, chunk int)) step {
	alone := chunks == 1 || elements < serial
	c.told.cut(chunks, elements, alone)
	if alone {
		return func() {
			for i := range chunks {
				f(0, i)
			}
		}
	}
	p := c.pool
	return func() { p.Run(chunks, f) }
}

// each returns a step that calls f for consecutive parts lo ≤ i < hi of n
// elements.
func (c *call) each(n int, f func(lo, hi int)) step { return c.rows(n, 1, f) }

// rows returns a step that calls f for consecutive parts of so many rows of cols
// elements.
func (c *call) rows(rows, cols int, f func(lo, hi int)) step {
	per := rowsPer(grain, cols)
	return c.parallel(ceilDiv(rows, per), rows*cols, func(_, i int) {
		f(i*per, min((i+1)*per, rows))
	})
}

// rowsPer is the number of rows in a chunk of so many elements, at least 1.
func rowsPer(elements, cols int) int { return max(1, elements/cols) }

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// sequence returns a step that runs others in order.
func sequence(steps ...step) step {
	return func() {
		for _, s := range steps {
			s()
		}
	}
}
