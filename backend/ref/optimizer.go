package ref

import (
	"math"

	"github.com/gespann/gespann/backend/ir"
)

// clipNorm computes scale = min(1, Max/‖(g1..gn)‖₂).
func (c call[T]) clipNorm() {
	sum := 0.0
	for k := range c.ins.In {
		for _, g := range c.in(k) {
			sum += float64(g) * float64(g)
		}
	}
	scale := 1.0
	if norm := math.Sqrt(sum); norm > c.ins.Attrs.Max {
		scale = c.ins.Attrs.Max / norm
	}
	c.out(0)[0] = T(scale)
}

// ema computes state = momentum·state + (1−momentum)·s.
func ema[T Float](state, s []T, momentum float64) {
	for i := range state {
		state[i] = T(momentum*float64(state[i]) + (1-momentum)*float64(s[i]))
	}
}

// optimise runs a rule on each of n parameters. Input 0 is rate, 1 step, then scale?,
// then n gradients; outputs are n parameters, then groups of n slots.
func (c call[T]) optimise(rule func(o optimiser, p, g []T, slots slots[T])) {
	a := &c.ins.Attrs
	first, scale := 2, 1.0
	if a.Scale {
		first, scale = 3, float64(c.in(2)[0])
	}
	n := len(c.ins.In) - first
	o := optimiser{a: a, rate: float64(c.in(0)[0]), scale: scale}
	if c.ins.Op == ir.Adam {
		o.correctBias(c.ints(1)[0])
	}
	for k := range n {
		rule(o, c.out(k), c.in(first+k), slots[T]{c, n, k})
	}
}

// slots are what an optimiser keeps of parameter k of n.
type slots[T Float] struct {
	c    call[T]
	n, k int
}

// group returns the slot of group i, from 1.
func (s slots[T]) group(i int) []T { return s.c.out(i*s.n + s.k) }

// An optimiser is what all elements of a step share.
type optimiser struct {
	a         *ir.Attrs
	rate      float64
	scale     float64 // of gradients
	corrected float64 // Adam: rate·sqrt(1−Beta2^t)/(1−Beta1^t)
}

func (o *optimiser) correctBias(step int32) {
	t := float64(step)
	o.corrected = o.rate * math.Sqrt(1-math.Pow(o.a.Beta2, t)) / (1 - math.Pow(o.a.Beta1, t))
}

// gradient returns clamp(scale·g, ±ClipValue).
func (o *optimiser) gradient(g float64) float64 {
	g *= o.scale
	if limit := o.a.ClipValue; limit > 0 {
		g = max(-limit, min(limit, g))
	}
	return g
}

// decay returns p shrunk by the weight decay.
func (o *optimiser) decay(p float64) float64 { return p - o.rate*o.a.WeightDecay*p }

// sgd computes m = Momentum·m − rate·g and p += m, or with Nesterov
// p += Momentum·m − rate·g. Without momentum there is no m.
func sgd[T Float](o optimiser, p, g []T, slots slots[T]) {
	var m []T
	if o.a.Momentum != 0 {
		m = slots.group(1)
	}
	for i := range p {
		step := -o.rate * o.gradient(float64(g[i]))
		if m != nil {
			velocity := o.a.Momentum*float64(m[i]) + step
			m[i] = T(velocity)
			if o.a.Nesterov {
				step += o.a.Momentum * velocity
			} else {
				step = velocity
			}
		}
		p[i] = T(o.decay(float64(p[i])) + step)
	}
}

// adam computes m += (g−m)(1−Beta1), v += (g²−v)(1−Beta2) and
//
//	p −= rate·sqrt(1−Beta2^t)/(1−Beta1^t)·m/(sqrt(v)+Eps)
//
// with the largest v so far instead of v when AMSGrad.
func adam[T Float](o optimiser, p, g []T, slots slots[T]) {
	m, v := slots.group(1), slots.group(2)
	largest := v
	if o.a.AMSGrad {
		largest = slots.group(3)
	}
	for i := range p {
		gi, mi, vi := o.gradient(float64(g[i])), float64(m[i]), float64(v[i])
		mi += (gi - mi) * (1 - o.a.Beta1)
		vi += (gi*gi - vi) * (1 - o.a.Beta2)
		m[i], v[i] = T(mi), T(vi)
		if o.a.AMSGrad {
			vi = max(vi, float64(largest[i]))
			largest[i] = T(vi)
		}
		p[i] = T(o.decay(float64(p[i])) - o.corrected*mi/(math.Sqrt(vi)+o.a.Eps))
	}
}

// rmsProp computes v = Beta2·v + (1−Beta2)g², avg = Beta2·avg + (1−Beta2)g and
//
//	d = rate·g/sqrt(max(v − avg², 0) + Eps)
//	p −= d, or m = Momentum·m + d, p −= m
//
// Without Centered avg is 0.
func rmsProp[T Float](o optimiser, p, g []T, slots slots[T]) {
	v := slots.group(1)
	var avg, m []T
	last := 1
	if o.a.Centered {
		last++
		avg = slots.group(last)
	}
	if o.a.Momentum != 0 {
		last++
		m = slots.group(last)
	}
	keep, take := o.a.Beta2, 1-o.a.Beta2
	for i := range p {
		gi := o.gradient(float64(g[i]))
		vi := keep*float64(v[i]) + take*gi*gi
		v[i] = T(vi)
		if avg != nil {
			mean := keep*float64(avg[i]) + take*gi
			avg[i] = T(mean)
			vi = max(vi-mean*mean, 0)
		}
		d := o.rate * gi / math.Sqrt(vi+o.a.Eps)
		if m != nil {
			d += o.a.Momentum * float64(m[i])
			m[i] = T(d)
		}
		p[i] = T(o.decay(float64(p[i])) - d)
	}
}

// adagrad computes a += g² and p −= rate·g/sqrt(a+Eps).
func adagrad[T Float](o optimiser, p, g []T, slots slots[T]) {
	sum := slots.group(1)
	for i := range p {
		gi := o.gradient(float64(g[i]))
		si := float64(sum[i]) + gi*gi
		sum[i] = T(si)
		p[i] = T(o.decay(float64(p[i])) - o.rate*gi/math.Sqrt(si+o.a.Eps))
	}
}
