package cpu

import (
	"fmt"
	"math"

	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/ir"
)

// mapGrain is the number of elements of a chunk of a map: those of a dozen operands
// stay in the first level cache.
const mapGrain = 1 << 10

// mapped -- op Map: y = Expr(x0, ..., xn), element by element
// pass     one, in chunks: each call of the expression is a loop over a chunk
func mapped(c *call) step {
	f, err := c.ins.Attrs.Expr.Parse()
	if err != nil {
		panic(fmt.Sprintf("cpu: invariant: %v", err)) // Verify has read it
	}
	m := newMapping(c, f)
	c.told.tell("%d calls on chunks of %d elements, %d kept at a time", len(m.calls), mapGrain, m.registers)
	n := len(m.y)
	scratch := make([][]float32, c.pool.Threads())
	for i := range scratch {
		scratch[i] = make([]float32, m.registers*mapGrain)
	}
	pass := c.parallel(ceilDiv(n, mapGrain), n*(1+len(m.calls)/4), func(worker, i int) {
		m.chunk(scratch[worker], i*mapGrain, min((i+1)*mapGrain, n))
	})
	return func() {
		m.fill()
		pass()
	}
}

// A mapping is an expression that is ready to run on chunks. Operands of its calls
// are the inputs themselves where these have the shape of the result, constants, and
// registers: chunks of scratch memory.
type mapping struct {
	y         []float32
	calls     []mapCall
	spread    []spread   // of inputs that are broadcast, in registers from 0 on
	constants []constant // operands that are one number
	registers int
}

// A mapCall is a call, whose result goes to a register, or to y.
type mapCall struct {
	fn   ir.Fn
	args [3]mapOperand
	to   mapOperand
}

// A mapOperand says where a chunk of numbers is: from an element of memory on that has
// one for each element of y, in memory of one chunk that all have, or in a register.
type mapOperand struct {
	whole    []float32
	same     []float32
	register int
}

func (o *mapOperand) chunk(registers []float32, lo, hi int) []float32 {
	switch {
	case o.whole != nil:
		return o.whole[lo:hi]
	case o.same != nil:
		return o.same[:hi-lo]
	}
	return registers[o.register*mapGrain:][:hi-lo]
}

// A constant is an operand that is one number: x[0], or where x is nil, value.
type constant struct {
	x     []float32
	value float32
	same  []float32
}

// fill writes the constants, which may have changed since the last run.
func (m *mapping) fill() {
	for _, k := range m.constants {
		v := k.value
		if k.x != nil {
			v = k.x[0]
		}
		if math.Float32bits(k.same[0]) != math.Float32bits(v) { // −0 is not 0 to a division
			for i := range k.same {
				k.same[i] = v
			}
		}
	}
}

// newMapping assigns memory to the operands of a formula.
func newMapping(c *call, f *ir.Formula) *mapping {
	m := &mapping{y: c.out(0)}
	shape := c.outShape(0)
	var inputs [ir.MaxInputs]mapOperand
	for i, used := range f.Inputs() {
		if used {
			inputs[i] = m.input(c.in(i), c.shape(i), shape)
		}
	}
	of, n := f.Registers()
	results := make([]mapOperand, len(f.Calls))
	find := func(o ir.Operand) mapOperand {
		switch o.Kind {
		case ir.OfInput:
			return inputs[o.Index]
		case ir.OfCall:
			return results[o.Index]
		}
		return m.constant(nil, float32(o.Value))
	}
	for i, call := range f.Calls {
		results[i] = mapOperand{register: m.registers + of[i]}
		if f.Result.Kind == ir.OfCall && f.Result.Index == i {
			results[i] = mapOperand{whole: m.y}
		}
		to := mapCall{fn: call.Fn, to: results[i]}
		for k, a := range call.Args[:call.Fn.Arity()] {
			to.args[k] = find(a)
		}
		m.calls = append(m.calls, to)
	}
	if f.Result.Kind != ir.OfCall {
		m.calls = append(m.calls, mapCall{fn: copyFn, args: [3]mapOperand{find(f.Result)}, to: mapOperand{whole: m.y}})
	}
	m.registers += n
	return m
}

// copyFn is none of ir's: the result is an input or a number.
const copyFn = ir.Fn(ir.NumFns)

// input returns the operand that an input is.
func (m *mapping) input(x []float32, from, to []int) mapOperand {
	switch {
	case len(x) == len(m.y):
		return mapOperand{whole: x}
	case len(x) == 1:
		return m.constant(x, 0)
	}
	m.spread = append(m.spread, newSpread(x, from, to))
	m.registers++
	return mapOperand{register: m.registers - 1}
}

func (m *mapping) constant(x []float32, value float32) mapOperand {
	same := make([]float32, mapGrain)
	for i := range same {
		same[i] = value
	}
	m.constants = append(m.constants, constant{x, value, same})
	return mapOperand{same: same}
}

// chunk computes the elements lo ≤ i < hi of y.
func (m *mapping) chunk(registers []float32, lo, hi int) {
	for r := range m.spread {
		m.spread[r].to(registers[r*mapGrain:][:hi-lo], lo)
	}
	for i := range m.calls {
		c := &m.calls[i]
		a := c.args[0].chunk(registers, lo, hi)
		var b, d []float32
		if c.fn != copyFn && c.fn.Arity() > 1 {
			b = c.args[1].chunk(registers, lo, hi)
		}
		if c.fn == ir.FnSelect {
			d = c.args[2].chunk(registers, lo, hi)
		}
		apply(c.fn, c.to.chunk(registers, lo, hi), a, b, d)
	}
}

// apply computes y = fn(a, b, d).
func apply(fn ir.Fn, y, a, b, d []float32) {
	switch fn {
	case ir.FnAdd:
		vec.Add(y, a, b)
	case ir.FnSub:
		vec.Sub(y, a, b)
	case ir.FnMul:
		vec.Mul(y, a, b)
	case ir.FnDiv:
		vec.Div(y, a, b)
	case ir.FnMax:
		vec.Larger(y, a, b)
	case ir.FnMin:
		vec.Smaller(y, a, b)
	case ir.FnGT:
		vec.Greater(y, a, b)
	case ir.FnGE:
		vec.AtLeast(y, a, b)
	case ir.FnEQ:
		vec.Equal(y, a, b)
	case ir.FnSelect:
		vec.Select(y, a, b, d)
	case ir.FnNeg:
		vec.Neg(y, a)
	case ir.FnAbs:
		vec.Abs(y, a)
	case ir.FnSqrt:
		vec.Sqrt(y, a)
	case ir.FnExp:
		vec.Exp(y, a, 0)
	case ir.FnLog:
		vec.Log(y, a)
	case ir.FnTanh:
		vec.Act(ir.Tanh, 0, y, a)
	case ir.FnSigmoid:
		vec.Act(ir.Sigmoid, 0, y, a)
	case ir.FnErf:
		vec.Erf(y, a)
	case copyFn:
		copy(y, a)
	default:
		panic("cpu: invariant: no loop for " + fn.String())
	}
}

// A spread is a tensor that is broadcast: a run of it, or of one element of it, for each
// element of outer.
type spread struct {
	x         []float32
	run, step int
	outer     ir.Walk
}

func newSpread(x []float32, from, to []int) spread {
	w := ir.BroadcastWalk(from, to)
	return spread{x, w.Dims[0], w.Steps[0], ir.Walk{Dims: w.Dims[1:], Steps: w.Steps[1:]}}
}

// to writes the elements from lo on of the broadcast tensor.
func (s *spread) to(dst []float32, lo int) {
	for len(dst) > 0 {
		at, from := lo%s.run, s.outer.At(lo/s.run)
		n := min(s.run-at, len(dst))
		if s.step == 0 {
			v := s.x[from]
			for i := range dst[:n] {
				dst[i] = v
			}
		} else {
			copy(dst[:n], s.x[from+at:])
		}
		dst, lo = dst[n:], lo+n
	}
}
