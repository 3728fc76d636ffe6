package ir

import (
	"fmt"
	"math"
	"slices"
)

func inferSoftmaxXent(c *check, _ *Attrs) []Value {
	x := c.take("logits", Float, anyRank)
	c.target(x)
	return floats([]int{1}, x)
}

func inferSoftmaxXentGrad(c *check, _ *Attrs) []Value {
	prob := c.take("prob", Float, anyRank)
	c.target(prob)
	c.shaped("dloss", Float, 1)
	return floats(prob)
}

func inferPointLoss(c *check, a *Attrs) []Value {
	x := c.take("x", Float, anyRank)
	c.shaped("target", Float, x...)
	c.loss(a)
	return floats([]int{1})
}

func inferPointLossGrad(c *check, a *Attrs) []Value {
	x := c.take("x", Float, anyRank)
	c.shaped("target", Float, x...)
	c.shaped("dloss", Float, 1)
	c.loss(a)
	return floats(x)
}

func (c *check) loss(a *Attrs) {
	c.want(a.Loss > NoLoss && a.Loss < numLosses, "loss %d is none", a.Loss)
	if a.Loss == Huber {
		c.float("delta", a.Delta, 0, math.Inf(1), true)
	} else {
		c.want(a.Delta == 0, "delta is %v, but %v has none", a.Delta, a.Loss)
	}
}

func inferMetric(c *check, a *Attrs) []Value {
	x := c.take("out", Float, anyRank)
	c.want(len(x) >= 2, "out has shape %s, want rank >= 2", ShapeText(x))
	thresholded := a.Metric == BinaryAccuracy || a.Metric == Confusion
	c.want(a.Threshold == 0 || thresholded, "threshold is %v, but %v has none", a.Threshold, a.Metric)
	c.want(isFinite(a.Threshold), "threshold is %v, want a number", a.Threshold)
	if a.Metric == TopK {
		c.want(a.K >= 1, "k is %d, want >= 1", a.K)
	} else {
		c.want(a.K == 0, "k is %d, but %v has none", a.K, a.Metric)
	}
	switch a.Metric {
	case Accuracy, TopK:
		c.target(x)
	case BinaryAccuracy, MAE:
		c.shaped("target", Float, x...)
	case Confusion:
		c.target(x)
		classes := max(last(x), 2)
		return floats([]int{classes, classes})
	default:
		c.want(false, "metric %d is none", a.Metric)
	}
	return floats([]int{1})
}

func inferClipNorm(c *check, a *Attrs) []Value {
	c.grads("g")
	c.float("max", a.Max, 0, math.Inf(1), true)
	return floats([]int{1})
}

// grads takes all inputs that are left, at least one.
func (c *check) grads(name string) [][]int {
	var shapes [][]int
	for i := 1; i == 1 || c.more(); i++ {
		shapes = append(shapes, c.take(fmt.Sprintf("%s%d", name, i), Float, anyRank))
	}
	return shapes
}

// optimizer takes rate, step, scale? and gradients, and returns the shapes of
// copies outputs per gradient: p1..pn, m1..mn and so on.
func (c *check) optimizer(a *Attrs, copies int) []Value {
	c.shaped("rate", Float, 1)
	c.shaped("step", Int, 1)
	if a.Scale {
		c.shaped("scale", Float, 1)
	}
	c.float("weight_decay", a.WeightDecay, 0, math.Inf(1), false)
	c.float("clip_value", a.ClipValue, 0, math.Inf(1), false)
	return floats(slices.Repeat(c.grads("g"), copies)...)
}

func inferSGD(c *check, a *Attrs) []Value {
	c.float("momentum", a.Momentum, 0, 1, false)
	c.want(!a.Nesterov || a.Momentum != 0, "nesterov is set, but momentum is 0")
	return c.optimizer(a, 1+count(a.Momentum != 0))
}

func inferAdam(c *check, a *Attrs) []Value {
	c.float("beta1", a.Beta1, 0, 1, false)
	c.float("beta2", a.Beta2, 0, 1, false)
	c.eps(a)
	return c.optimizer(a, 3+count(a.AMSGrad))
}

func inferRMSProp(c *check, a *Attrs) []Value {
	c.float("beta2", a.Beta2, 0, 1, false)
	c.float("momentum", a.Momentum, 0, 1, false)
	c.eps(a)
	return c.optimizer(a, 2+count(a.Centered)+count(a.Momentum != 0))
}

func inferAdagrad(c *check, a *Attrs) []Value {
	c.eps(a)
	return c.optimizer(a, 2)
}

func inferEMA(c *check, a *Attrs) []Value {
	c.float("momentum", a.Momentum, 0, 1, false)
	return floats(c.grads("s")...)
}

// count returns 1 for true.
func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
