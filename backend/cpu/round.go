package cpu

import (
	"fmt"
	"unsafe"

	"github.com/gespann/gespann/backend/cpu/gemm"
	"github.com/gespann/gespann/backend/cpu/pool"
	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// In precision bf16 the two factors of a matrix product or convolution are rounded to
// bfloat16, to nearest, ties to even. Sums and weights, and all else, stay as in fp32. The
// rounded factors are multiplied in one of two ways:
//
//   - as float32, by the kernels for fp32: a product of two of them is exact there, so that
//     no sum is less accurate than that of a processor, or a card, which multiplies bfloat16
//     itself. Numbers below the least normal one are kept.
//   - in pairs, by VDPBF16PS, where gemm.Pairs is faster; matrix products only: Winograd's
//     sums of factors need more than their bits, and save more than pairs would. Not in
//     deterministic training, whose workers may be of both kinds.
//
// On an Emerald Rapids, VDPBF16PS takes four times as long as a fused multiply-add, for
// twice the products: at its best it is half as fast.

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

// BF16 says how this machine multiplies in precision bf16.
func BF16() string {
	switch _, ok, faster := gemm.Pairs(); {
	case faster:
		return "by AVX512_BF16, in convolutions as fp32 of rounded factors"
	case ok:
		return "as fp32 of rounded factors, which is faster here than AVX512_BF16"
	}
	return "as fp32 of rounded factors, without AVX512_BF16"
}

// A rounder rounds the factors of one product at a time.
type rounder struct {
	pool     *pool.Pool
	pairs    *gemm.Kit    // of matrix products, where they are of pairs; else nil
	memory   [2][]float32 // for the largest factors
	from, to [2][]float32 // of the current product
	factors  *[2]factor
	do       func(worker, chunk int)
}

// wantsPairs reports whether a job multiplies pairs, where they are the faster way or not.
func wantsPairs(kit gemm.Kit, shards int, faster bool) bool {
	return faster && shards == 0 && kit == (gemm.Kit{})
}

func newRounder(p *pool.Pool) *rounder {
	r := &rounder{pool: p}
	r.do = r.chunk
	return r
}

// A factor is how one is rounded: in chunks, to so many elements of 4 bytes.
type factor struct {
	size, chunks int
	chunk        func(to, from []float32, i int)
}

// rounded rounds n elements.
func rounded(n int) factor {
	return factor{n, ceilDiv(n, grain), func(to, from []float32, i int) {
		lo, hi := i*grain, min((i+1)*grain, n)
		vec.RoundBF16(to[lo:hi], from[lo:hi])
	}}
}

// along rounds a matrix to pairs of adjacent elements of a row, the last with 0 where
// there is only one.
func along(rows, cols int) factor {
	if cols%2 == 0 {
		rows, cols = 1, rows*cols
	}
	pairs := ceilDiv(cols, 2)
	if rows == 1 {
		per := grain / 2
		return factor{pairs, ceilDiv(pairs, per), func(to, from []float32, i int) {
			lo, hi := i*per, min((i+1)*per, pairs)
			last := min(2*hi, cols)
			h := halves(to[lo:hi])
			vec.ToBF16(h[:last-2*lo], from[2*lo:last])
			clear(h[last-2*lo:])
		}}
	}
	per := rowsPer(grain, cols)
	return factor{rows * pairs, ceilDiv(rows, per), func(to, from []float32, i int) {
		for r := i * per; r < min((i+1)*per, rows); r++ {
			h := halves(to[r*pairs:][:pairs])
			vec.ToBF16(h[:cols], from[r*cols:])
			h[cols] = 0
		}
	}}
}

// across rounds a matrix to pairs of rows, the last with zeros where there is only one.
func across(rows, cols int) factor {
	pairs := ceilDiv(rows, 2)
	zeros := make([]float32, rows%2*cols)
	per := rowsPer(grain/2, cols)
	return factor{pairs * cols, ceilDiv(pairs, per), func(to, from []float32, i int) {
		for p := i * per; p < min((i+1)*per, pairs); p++ {
			hi := zeros
			if 2*p+1 < rows {
				hi = from[(2*p+1)*cols:]
			}
			vec.PairBF16(words(to[p*cols:][:cols]), from[2*p*cols:], hi)
		}
	}}
}

// halves and words return the same memory.
func halves(f []float32) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(f))), 2*len(f))
}

func words(f []float32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(f))), len(f))
}

// reserve makes room for factors.
func (r *rounder) reserve(factors *[2]factor) {
	for k, f := range factors {
		if f.size > len(r.memory[k]) {
			r.memory[k] = host.Alloc(f.size)
		}
	}
}

// round returns a and b rounded, in memory that is used again for the next product. It
// allocates nothing.
func (r *rounder) round(factors *[2]factor, a, b []float32) (ra, rb []float32) {
	ra, rb = r.memory[0][:factors[0].size], r.memory[1][:factors[1].size]
	r.factors, r.from, r.to = factors, [2][]float32{a, b}, [2][]float32{ra, rb}
	chunks := factors[0].chunks + factors[1].chunks
	if len(a)+len(b) >= serial {
		r.pool.Run(chunks, r.do)
	} else {
		for i := range chunks {
			r.chunk(0, i)
		}
	}
	r.factors, r.from, r.to = nil, [2][]float32{}, [2][]float32{}
	return ra, rb
}

// chunk rounds a part of one factor.
func (r *rounder) chunk(_, chunk int) {
	k, first := 0, r.factors[0].chunks
	if chunk >= first {
		k, chunk = 1, chunk-first
	}
	r.factors[k].chunk(r.to[k], r.from[k], chunk)
}

// matrices returns the kit for a matrix product, and how deep it is there, of depth k.
func (c *call) matrices(k int) (kit gemm.Kit, depth int) {
	if c.round == nil || c.round.pairs == nil {
		return c.kit, k
	}
	return *c.round.pairs, ceilDiv(k, 2)
}

// product returns the step that calls run with the two factors, the first inputs of the
// call, rounded if its precision asks for it.
func (c *call) product(run func(a, b []float32)) step {
	a, b := c.in(0), c.in(1)
	if !c.rounds() {
		return func() { run(a, b) }
	}
	r, factors := c.round, &[2]factor{rounded(len(a)), rounded(len(b))}
	if c.ins.Op == ir.MatMul && r.pairs != nil {
		*factors = [2]factor{along(c.shape(0)[0], c.shape(0)[1]), across(c.shape(1)[0], c.shape(1)[1])}
		if c.ins.Attrs.TransA {
			factors[0] = across(c.shape(0)[0], c.shape(0)[1])
		}
		if c.ins.Attrs.TransB {
			factors[1] = along(c.shape(1)[0], c.shape(1)[1])
		}
		c.told.tell("factors rounded to pairs of bf16, along k")
	} else {
		c.told.tell("factors rounded to bf16")
	}
	r.reserve(factors)
	return func() { run(r.round(factors, a, b)) }
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
