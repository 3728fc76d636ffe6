package backendtest

import (
	"math"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// OpsBF16 is Ops for an executor in precision bf16. The definition of a product is that
// of its two factors rounded, and the result must be as near to it as in float32: what is
// rounded besides, or not at all, fails.
func OpsBF16(t *testing.T, newExecutor func(t *testing.T) host.Executor) {
	ops(t, newExecutor, (*opCase).rounded)
}

// rounded returns the sample with rounded factors, if the case is a product that has
// them. As on a card, convolutions whose groups have fewer than 8 channels have not.
func (c *opCase) rounded(s sample) sample {
	switch c.op {
	case ir.MatMul:
	case ir.Conv2D, ir.Conv2DDX, ir.Conv2DDW:
		if c.attrs.Groups > 1 && c.channelsOfGroup() < 8 {
			return s
		}
	default:
		return s
	}
	out := s
	out.in = nil
	for _, in := range s.in {
		in = slices.Clone(in)
		for k := range 2 {
			in[k] = slices.Clone(in[k])
			for i, v := range in[k] {
				in[k][i] = toBF16(v)
			}
		}
		out.in = append(out.in, in)
	}
	return out
}

// channelsOfGroup is the least number of channels of a group of a convolution, in or out.
// Weights are [KH,KW,C/Groups,O], and the last dimension of images is C or O.
func (c *opCase) channelsOfGroup() int {
	last := func(k int) int { return c.in[k].shape[len(c.in[k].shape)-1] }
	switch c.op {
	case ir.Conv2D: // x, w
		return min(last(0), last(1)) / c.attrs.Groups
	case ir.Conv2DDX: // w, dy
		return min(c.in[0].shape[2], last(0)/c.attrs.Groups)
	}
	return min(last(0), last(1)) / c.attrs.Groups // x, dy
}

// toBF16 rounds v to 8 significant bits, ties to even.
func toBF16(v float64) float64 {
	const bits = 8
	f, e := math.Frexp(v)
	return math.Ldexp(math.RoundToEven(math.Ldexp(f, bits)), e-bits)
}
