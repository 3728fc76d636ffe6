package cpu

import (
	"math"

	"github.com/gespann/gespann/backend/cpu/vec"
)

// An optimiser is an instruction that updates n parameters: inputs are rate,
// step, scale? and n gradients, outputs n parameters and then groups of n slots.
type optimiser struct {
	c           *call
	first, n    int // input of the first gradient, number of parameters
	vec.Step        // of the current run
	rate, scale []float32
	step        []int32
	// What run was given.
	begin  func()
	update func(g []float32, slots [4][]float32)
}

func newOptimiser(c *call) *optimiser {
	o := &optimiser{c: c, first: 2, rate: c.in(0), step: c.ints(1)}
	if c.ins.Attrs.Scale {
		o.first, o.scale = 3, c.in(2)
	}
	o.n = len(c.ins.In) - o.first
	return o
}

// read takes the rate and the scale of this run.
func (o *optimiser) read() {
	at := &o.c.ins.Attrs
	o.Scale, o.Clip = 1, float32(math.Inf(1))
	if o.scale != nil {
		o.Scale = o.scale[0]
	}
	if at.ClipValue > 0 {
		o.Clip = float32(at.ClipValue)
	}
	o.Rate = o.rate[0]
	o.Decay = float32(1 - float64(o.Rate)*at.WeightDecay)
}

// A span is part of one variable.
type span struct{ k, lo, hi int }

// spans cuts variables of the given sizes into parts of at most a chunk.
func spans(n int, size func(k int) int) (all []span, total int) {
	for k := range n {
		for lo := 0; lo < size(k); lo += grain {
			all = append(all, span{k, lo, min(lo+grain, size(k))})
		}
		total += size(k)
	}
	return all, total
}

// run returns a step that calls update for parts of all parameters: g is the
// gradient's, slots[0] the parameter's, and slots[1:] those of the optimiser's
// other variables. update may read what begin has stored.
func (o *optimiser) run(begin func(), update func(g []float32, slots [4][]float32)) step {
	o.begin, o.update = begin, update
	o.c.optimiser = o
	pass := o.pass(func(int) bool { return true })
	return func() {
		begin()
		pass()
	}
}

// pass returns a step that updates the parameters that are wanted.
func (o *optimiser) pass(wanted func(k int) bool) step {
	all, total := spans(o.n, func(k int) int {
		if !wanted(k) {
			return 0
		}
		return len(o.c.out(k))
	})
	return o.c.parallel(len(all), total, func(_, i int) {
		s := all[i]
		o.part(s.k, s.lo, s.hi, o.c.in(o.first + s.k)[s.lo:s.hi])
	})
}

// part updates elements lo ≤ i < hi of parameter k, whose gradient is g.
func (o *optimiser) part(k, lo, hi int, g []float32) {
	var slots [4][]float32
	for j := 0; j*o.n+k < len(o.c.ins.Out); j++ {
		slots[j] = o.c.out(j*o.n + k)[lo:hi]
	}
	o.update(g, slots)
}

// sgd -- op SGD
func sgd(c *call) step {
	o, at := newOptimiser(c), &c.ins.Attrs
	momentum := float32(at.Momentum)
	return o.run(o.read, func(g []float32, v [4][]float32) {
		switch {
		case at.Nesterov:
			vec.Nesterov(v[0], v[1], g, o.Step, momentum)
		case at.Momentum != 0:
			vec.Momentum(v[0], v[1], g, o.Step, momentum)
		default:
			vec.SGD(v[0], g, o.Step)
		}
	})
}

// adam -- op Adam
func adam(c *call) step {
	o, at := newOptimiser(c), &c.ins.Attrs
	c1, c2, eps := float32(1-at.Beta1), float32(1-at.Beta2), float32(at.Eps)
	begin := func() {
		o.read()
		t := float64(o.step[0])
		bias := math.Sqrt(1-math.Pow(at.Beta2, t)) / (1 - math.Pow(at.Beta1, t))
		o.Rate = float32(float64(o.Rate) * bias)
	}
	return o.run(begin, func(g []float32, v [4][]float32) {
		vec.Adam(v[0], v[1], v[2], v[3], g, o.Step, c1, c2, eps)
	})
}

// rmsProp -- op RMSProp
func rmsProp(c *call) step {
	o, at := newOptimiser(c), &c.ins.Attrs
	r := vec.RMS{Beta: float32(at.Beta2), Take: float32(1 - at.Beta2), Eps: float32(at.Eps),
		Momentum: float32(at.Momentum)}
	return o.run(o.read, func(g []float32, v [4][]float32) {
		avg, m := v[2], v[3]
		if !at.Centered {
			avg, m = nil, v[2]
		}
		vec.RMSProp(v[0], v[1], avg, m, g, o.Step, r)
	})
}

// adagrad -- op Adagrad
func adagrad(c *call) step {
	o, eps := newOptimiser(c), float32(c.ins.Attrs.Eps)
	return o.run(o.read, func(g []float32, v [4][]float32) {
		vec.Adagrad(v[0], v[1], g, o.Step, eps)
	})
}

// ema -- op EMA: state = Momentum·state + (1−Momentum)·s
func ema(c *call) step {
	keep := c.ins.Attrs.Momentum
	all, total := spans(len(c.ins.In), func(k int) int { return len(c.in(k)) })
	return c.parallel(len(all), total, func(_, i int) {
		s := all[i]
		vec.Blend(c.out(s.k)[s.lo:s.hi], c.in(s.k)[s.lo:s.hi], float32(keep), float32(1-keep))
	})
}

// clipNorm -- op ClipNorm: scale = min(1, Max/‖(g1..gn)‖₂)
// sums     f64, so that squares cannot overflow: in 4 lanes within a chunk, then
// chunks in order
func clipNorm(c *call) step {
	scale, limit := c.out(0), c.ins.Attrs.Max
	all, total := spans(len(c.ins.In), func(k int) int { return len(c.in(k)) })
	part := make([]float64, len(all))
	pass := c.parallel(len(all), total, func(_, i int) {
		s := all[i]
		part[i] = vec.SumSquares(c.in(s.k)[s.lo:s.hi])
	})
	return func() {
		pass()
		sum := 0.0
		for _, v := range part {
			sum += v
		}
		scale[0] = 1
		if norm := math.Sqrt(sum); norm > limit {
			scale[0] = float32(limit / norm)
		}
	}
}
