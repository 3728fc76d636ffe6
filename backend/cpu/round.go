package cpu

import (
	"fmt"

	"github.com/gespann/gespann/backend/cpu/pool"
	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// In precision bf16 the two factors of a matrix product or convolution are rounded to
// bfloat16, to nearest, ties to even; what is multiplied and added after that is float32,
// with the kernels of package gemm: a product of two rounded numbers is exact there, so
// that no sum is less accurate than that of a processor, or a card, which multiplies
// bfloat16 itself. Weights, sums and everything else stay as they are in fp32. Numbers
// below the least normal one are kept.
//
// The instruction for it, VDPBF16PS, is not used. On an Emerald Rapids it takes four times
// as long as a fused multiply-add for twice the products, so at best half the speed; and
// Winograd's algorithm, whose sums of factors need more bits, would be lost to it.

// narrowGroup is the number of channels of a group below which convolutions stay in fp32,
// as those of package cuda/plan do.
const narrowGroup = 8

// lowPrecision reports whether a job asks for bf16, if it is for a processor.
func lowPrecision(name string) (bool, error) {
	switch name {
	case "", "fp32":
		return false, nil
	case "bf16":
		return true, nil
	}
	return false, fmt.Errorf("precision %q: the CPU computes in fp32 or bf16", name)
}

// A rounder rounds the factors of one product at a time.
type rounder struct {
	pool     *pool.Pool
	memory   [2][]float32 // for the largest factors
	from, to [2][]float32 // of the current product
	chunks   int          // of the first factor
	do       func(worker, chunk int)
}

func newRounder(p *pool.Pool) *rounder {
	r := &rounder{pool: p}
	r.do = r.chunk
	return r
}

// reserve makes room for factors of so many elements.
func (r *rounder) reserve(sizes ...int) {
	for k, n := range sizes {
		if n > len(r.memory[k]) {
			r.memory[k] = host.Alloc(n)
		}
	}
}

// round returns a and b rounded, in memory that is used again for the next product. It
// allocates nothing.
func (r *rounder) round(a, b []float32) (ra, rb []float32) {
	ra, rb = r.memory[0][:len(a)], r.memory[1][:len(b)]
	r.from, r.to = [2][]float32{a, b}, [2][]float32{ra, rb}
	r.chunks = ceilDiv(len(a), grain)
	chunks := r.chunks + ceilDiv(len(b), grain)
	if len(a)+len(b) >= serial {
		r.pool.Run(chunks, r.do)
	} else {
		for i := range chunks {
			r.chunk(0, i)
		}
	}
	r.from, r.to = [2][]float32{}, [2][]float32{}
	return ra, rb
}

// chunk rounds some elements of one factor.
func (r *rounder) chunk(_, chunk int) {
	k := 0
	if chunk >= r.chunks {
		k, chunk = 1, chunk-r.chunks
	}
	lo, hi := chunk*grain, min((chunk+1)*grain, len(r.from[k]))
	vec.RoundBF16(r.to[k][lo:hi], r.from[k][lo:hi])
}

// product returns the step that calls run with the two factors, the first inputs of the
// call, rounded if its precision asks for it.
func (c *call) product(run func(a, b []float32)) step {
	a, b := c.in(0), c.in(1)
	if !c.rounds() {
		return func() { run(a, b) }
	}
	c.told.tell("factors rounded to bf16")
	r := c.round
	r.reserve(len(a), len(b))
	return func() { run(r.round(a, b)) }
}

// rounds reports whether the factors of the call are rounded.
func (c *call) rounds() bool {
	if c.round == nil {
		return false
	}
	groups := c.ins.Attrs.Groups
	x, y := c.shape(0), c.outShape(0)
	switch c.ins.Op {
	case ir.Conv2DDX:
		x, y = y, c.shape(1)
	case ir.Conv2DDW:
		y = c.shape(1)
	}
	return groups <= 1 || min(x[len(x)-1], y[len(y)-1])/groups >= narrowGroup
}
