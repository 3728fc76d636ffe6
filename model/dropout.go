package model

import (
	"hash/fnv"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/spec"
)

// buildDropout: a mask in training, nothing at inference.
func buildDropout(c *construction, in []*G.Node) *G.Node {
	p := c.params.(*spec.Dropout)
	if !c.training || p.Rate == 0 {
		return in[0]
	}
	tick := c.leaf(ir.InTick, ir.Int, 1)
	seed := nameSeed(c.seed+p.Seed, c.name)
	return c.apply(ir.Dropout, ir.Attrs{Rate: p.Rate, Seed: seed}, in[0], tick)
}

// nameSeed mixes a seed with a name, so that each layer and variable has random
// numbers of its own that do not depend on the others.
func nameSeed(seed uint64, name string) uint64 {
	h := fnv.New64a()
	for i := range 8 {
		h.Write([]byte{byte(seed >> (8 * i))})
	}
	h.Write([]byte(name))
	return h.Sum64()
}
