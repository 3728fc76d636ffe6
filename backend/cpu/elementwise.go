package cpu

import (
	"math"

	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/ir"
)

// biasAdd -- op BiasAdd: y[r,c] = x[r,c] + b[c]
func biasAdd(c *call) step {
	y, x, b := c.out(0), c.in(0), c.in(1)
	rows, cols := ir.Rows(c.shape(0))
	bias := make([]float32, fold(cols)*cols)
	lines := c.wideRows(rows, cols, func(from, to int) { vec.Add(y[from:to], x[from:], bias) })
	return func() {
		repeat(bias, b[:cols])
		lines()
	}
}

// biasGrad -- op BiasGrad: db[c] = Σ_r dy[r,c]
// sums     f32, as columnSums
func biasGrad(c *call) step {
	rows, cols := ir.Rows(c.shape(0))
	dy := c.in(0)
	return c.columnSums(rows, cols, []*columnSum{{out: c.out(0),
		add: func(sum []float32, at, n int) { addRows(sum, dy[at:], n) }}})
}

// activation -- op Activation: y = act(x)
func activation(c *call) step {
	y, x := c.out(0), c.in(0)
	act, alpha := c.ins.Attrs.Act, float32(c.ins.Attrs.Alpha)
	return c.each(len(y), func(lo, hi int) { vec.Act(act, alpha, y[lo:hi], x[lo:hi]) })
}

// actGrad -- op ActGrad: dx = dy·act'(ref)
func actGrad(c *call) step {
	dx, ref, dy := c.out(0), c.in(0), c.in(1)
	act, alpha := c.ins.Attrs.Act, float32(c.ins.Attrs.Alpha)
	return c.each(len(dx), func(lo, hi int) {
		vec.ActGrad(act, alpha, dx[lo:hi], ref[lo:hi], dy[lo:hi])
	})
}

// logit -- op Logit: x = log max(p, 2⁻¹²⁶) − Alpha·log max(1−p, 2⁻²⁴)
func logit(c *call) step {
	x, p := c.out(0), c.in(0)
	alpha := c.ins.Attrs.Alpha
	return c.each(len(x), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			v := float64(p[i])
			x[i] = float32(math.Log(max(v, 0x1p-126)) - float64(alpha*math.Log(max(1-v, 0x1p-24))))
		}
	})
}

// dropout -- op Dropout: y[i] = x[i]/(1−Rate) if Keep(Seed,tick,i), else 0
func dropout(c *call) step {
	y, x, tick := c.out(0), c.in(0), c.ints(1)
	seed, rate := c.ins.Attrs.Seed, c.ins.Attrs.Rate
	scale, threshold := float32(1/(1-rate)), ir.KeepThreshold(rate)
	return c.each(len(y), func(lo, hi int) {
		key := ir.KeepKey(seed, tick[0])
		vec.Dropout(y[lo:hi], x[lo:hi], scale, key, threshold, uint32(lo))
	})
}

// add -- op Add: y = act(a + b)
func add(c *call) step {
	y, a, b := c.out(0), c.in(0), c.in(1)
	act, alpha := c.ins.Attrs.Act, float32(c.ins.Attrs.Alpha)
	return c.each(len(y), func(lo, hi int) {
		vec.Add(y[lo:hi], a[lo:hi], b[lo:hi])
		if act != ir.NoAct {
			vec.Act(act, alpha, y[lo:hi], y[lo:hi])
		}
	})
}

// accumulate -- op Accumulate: acc += g
func accumulate(c *call) step {
	acc, g := c.out(0), c.in(0)
	return c.each(len(acc), func(lo, hi int) { vec.Add(acc[lo:hi], acc[lo:hi], g[lo:hi]) })
}
