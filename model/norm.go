package model

import (
	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/spec"
)

// buildBatchNormalization normalises by the batch's statistics in training, and
// by their running averages at inference.
func buildBatchNormalization(c *construction, in []*G.Node) *G.Node {
	p := c.params.(*spec.BatchNormalization)
	row := c.row(in[0])
	channels := row[len(row)-1]
	gamma := c.constant("gamma", ir.Param, 1, channels)
	beta := c.constant("beta", ir.Param, 0, channels)
	mean := c.constant(ir.StateMean, ir.State, 0, channels)
	variance := c.constant(ir.StateVariance, ir.State, 1, channels)
	a := ir.Attrs{Eps: p.Epsilon}
	if !c.training {
		return c.apply(ir.BatchNormInfer, a, in[0], gamma, beta, mean, variance)
	}
	for i, state := range []*G.Node{mean, variance} {
		c.stats = append(c.stats, statistic{
			name: state.Name(), momentum: p.Momentum,
			node: c.weigh(c.applyWhich(1+i, ir.BatchNorm, a, in[0], gamma, beta)),
		})
	}
	return c.apply(ir.BatchNorm, a, in[0], gamma, beta)
}

// weigh multiplies a statistic by the weight of the batch, as gradients are: the
// sum over accumulated batches is their mean. It is a product of [C,1] and [1,1].
func (c *construction) weigh(x *G.Node) *G.Node {
	channels := x.Shape()[0]
	weight := c.reshapeAll(c.leaf(ir.InSeed, ir.Float, 1), 1, 1)
	y := c.apply(ir.MatMul, ir.Attrs{}, c.reshapeAll(x, channels, 1), weight)
	return c.reshapeAll(y, channels)
}

// buildLayerNormalization normalises each row over its last axis.
func buildLayerNormalization(c *construction, in []*G.Node) *G.Node {
	p := c.params.(*spec.LayerNormalization)
	row := c.row(in[0])
	width := row[len(row)-1]
	gamma := c.constant("gamma", ir.Param, 1, width)
	beta := c.constant("beta", ir.Param, 0, width)
	return c.apply(ir.LayerNorm, ir.Attrs{Eps: p.Epsilon}, in[0], gamma, beta)
}
