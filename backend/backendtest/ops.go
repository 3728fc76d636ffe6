// Package backendtest is the suite that every backend runs: each op against the
// definition in package ref, and whole sessions.
//
// Inputs are random with seeds that depend on the case's name only. Every buffer
// lies between guard bands, outputs are filled with NaN before a run, inputs are
// compared afterwards.
package backendtest

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/ref"
	"github.com/gespann/gespann/internal/numtest"
)

// Ops runs every case of every op on an executor; in short tests without the
// large ones. No op can be skipped.
func Ops(t *testing.T, newExecutor func(t *testing.T) host.Executor) {
	cases := opCases()
	for op := ir.Op(1); int(op) < ir.NumOps; op++ {
		t.Run(op.String(), func(t *testing.T) {
			ex := newExecutor(t)
			defer ex.Close()
			if len(cases[op]) == 0 {
				t.Fatalf("op %v has no case", op)
			}
			for _, c := range cases[op] {
				c.op = op
				if testing.Short() && c.isLong() {
					continue
				}
				t.Run(c.name, func(t *testing.T) { c.run(t, ex) })
			}
		})
	}
	t.Run("NaN", func(t *testing.T) {
		ex := newExecutor(t)
		defer ex.Close()
		testNaN(t, ex)
	})
	t.Run("statistics", func(t *testing.T) {
		ex := newExecutor(t)
		defer ex.Close()
		testStatistics(t, ex)
	})
}

// opCases returns the cases by op.
func opCases() map[ir.Op][]opCase {
	cases := map[ir.Op][]opCase{}
	for _, family := range []map[ir.Op][]opCase{
		linearCases(), imageCases(), elementCases(), normCases(), lossCases(), optimizerCases(), structureCases(), longCases(),
	} {
		for op, c := range family {
			cases[op] = append(cases[op], c...)
		}
	}
	return cases
}

// An opCase is one instruction with random inputs.
type opCase struct {
	name  string
	op    ir.Op
	attrs ir.Attrs
	in    []arg
	runs  int   // with new inputs, on the same variables; 0 is 1
	omit  []int // outputs that are not wanted
	long  bool  // whatever its size
	tol   tolerance
}

// isLong reports whether the case is left out of short tests.
func (c *opCase) isLong() bool {
	if c.long {
		return true
	}
	elements := 0
	for _, a := range c.in {
		elements += ir.Size(a.shape)
	}
	return elements > 12000 || elements*c.tol.terms > 1000000
}

// An arg is an input: type, shape and what its elements are.
type arg struct {
	t     ir.Type
	shape []int
	gen   func(r *rand.Rand, run int) float64
}

// A sample is the numbers of a case: inputs by run and input, and the variables
// before the first run by output.
type sample struct {
	in   [][][]float64
	init [][]float64
}

func (c *opCase) run(t *testing.T, ex host.Executor) {
	p := c.program(t)
	s := c.sample(p)
	want, wantInts := c.want(p, s)
	m := newMemory(p)
	runner, err := ex.Compile(p, m.Slots)
	if err != nil {
		t.Fatal(err)
	}
	for k, init := range s.init {
		if slot := p.Instrs[0].Out[k]; init != nil {
			fill(m.F[slot], init)
		}
	}
	for _, in := range s.in {
		m.setInputs(in)
		if s.init == nil {
			m.poison()
		}
		runner.Run()
		m.check(t)
		m.checkInputs(t, in)
	}
	c.compare(t, m, want, wantInts, s)
	if s.init == nil {
		c.checkExec(t, m, runner)
	}
}

// checkExec compares Exec with Run, bit by bit.
func (c *opCase) checkExec(t *testing.T, m *memory, runner host.Runner) {
	before := slices.Clone(m.block)
	m.poison()
	runner.Exec(0)
	for i, v := range m.block {
		if math.Float32bits(v) != math.Float32bits(before[i]) {
			t.Fatalf("Exec and Run differ at element %d of the memory: %v and %v", i, v, before[i])
		}
	}
}

// program returns the case as a program of one instruction: input k is slot k,
// outputs follow.
func (c *opCase) program(t *testing.T) *ir.Program {
	t.Helper()
	values := make([]ir.Value, len(c.in))
	for k, a := range c.in {
		values[k] = ir.Value{Type: a.t, Shape: a.shape}
	}
	outs, err := ir.Infer(c.op, c.attrs, values)
	if err != nil {
		t.Fatal(err)
	}
	kind, batch := ir.Output, 1
	switch {
	case c.op.Updates():
		kind, batch = ir.Variable, 0
	case c.op == ir.Accumulate:
		kind = ir.Grad
	}
	b := NewBuilder(t, "case", batch, nil)
	var in, out []ir.Slot
	for k, a := range c.in {
		in = append(in, b.Input(fmt.Sprintf("in%d", k), a.t, a.shape...))
	}
	for k, v := range outs {
		if slices.Contains(c.omit, k) {
			out = append(out, ir.None)
			continue
		}
		v.Kind, v.Name = kind, fmt.Sprintf("out%d", k)
		if kind != ir.Output {
			v.Var = len(b.Vars)
			b.Vars = append(b.Vars, ir.Var{Name: v.Name, Shape: v.Shape})
		}
		out = append(out, b.Value(v))
	}
	b.Assign(c.op, c.attrs, in, out)
	return b.Done()
}

// sample draws the case's numbers, all of them float32.
func (c *opCase) sample(p *ir.Program) sample {
	hash := fnv.New64a()
	fmt.Fprint(hash, c.op, c.name)
	r := rand.New(rand.NewPCG(hash.Sum64(), 1))
	var s sample
	for run := range max(c.runs, 1) {
		var in [][]float64
		for _, a := range c.in {
			x := make([]float64, ir.Size(a.shape))
			for i := range x {
				x[i] = float64(float32(a.gen(r, run)))
			}
			in = append(in, x)
		}
		s.in = append(s.in, in)
	}
	if !c.op.Updates() && c.op != ir.Accumulate {
		return s
	}
	// The first outputs are parameters, the rest the optimiser's slots, which
	// begin at 0.
	parameters := 0
	for _, in := range p.Instrs[0].In {
		if v := &p.Values[in]; v.Type == ir.Float && !isSetting(c, int(in)) {
			parameters++
		}
	}
	for k, slot := range p.Instrs[0].Out {
		x := make([]float64, p.Values[slot].Size())
		for i := range x {
			if k < parameters {
				x[i] = float64(float32(r.NormFloat64()))
			}
		}
		s.init = append(s.init, x)
	}
	return s
}

// isSetting reports whether input k is the rate, step or scale of an optimiser.
func isSetting(c *opCase, k int) bool {
	switch c.op {
	case ir.SGD, ir.Adam, ir.RMSProp, ir.Adagrad:
		return k < 2 || k == 2 && c.attrs.Scale
	}
	return false
}

// want returns what the outputs should be, by output.
func (c *opCase) want(p *ir.Program, s sample) ([][]float64, [][]int32) {
	if c.tol.exact {
		return reference[float32](p, s)
	}
	return reference[float64](p, s)
}

// reference runs the case on ref.
func reference[T ref.Float](p *ir.Program, s sample) (floats [][]float64, ints [][]int32) {
	slots := ref.NewSlots[T](p)
	out := p.Instrs[0].Out
	for k, init := range s.init {
		fill(slots.F[out[k]], init)
	}
	for _, in := range s.in {
		for k, x := range in {
			fill(slots.F[k], x)
			fill(slots.I[k], x)
		}
		ref.Run(p, slots)
	}
	for _, slot := range out {
		if slot == ir.None {
			floats, ints = append(floats, nil), append(ints, nil)
			continue
		}
		x := make([]float64, len(slots.F[slot]))
		for i, v := range slots.F[slot] {
			x[i] = float64(v)
		}
		floats, ints = append(floats, x), append(ints, slots.I[slot])
	}
	return floats, ints
}

// compare checks the outputs.
func (c *opCase) compare(t *testing.T, m *memory, want [][]float64, ints [][]int32, s sample) {
	t.Helper()
	scales := c.scales(t, s)
	for k, slot := range m.p.Instrs[0].Out {
		switch {
		case slot == ir.None:
		case m.I[slot] != nil:
			if !slices.Equal(m.I[slot], ints[k]) {
				t.Errorf("output %d: got %v, want %v", k, m.I[slot], ints[k])
			}
		default:
			bound := c.tol.bounds(want[k], scales[k], c.attrs)
			if !numtest.Within(t, m.F[slot], want[k], bound, c.tol.why) {
				t.Logf("output %d of %d", k, len(want))
			}
		}
	}
}

// fill copies x to dst, if there is one.
func fill[T float32 | float64 | int32](dst []T, x []float64) {
	for i := range dst {
		dst[i] = T(x[i])
	}
}

// setInputs writes the case's inputs.
func (m *memory) setInputs(in [][]float64) {
	for k, x := range in {
		fill(m.F[k], x)
		fill(m.I[k], x)
	}
}

// checkInputs reports inputs that have changed.
func (m *memory) checkInputs(t *testing.T, in [][]float64) {
	t.Helper()
	for k, x := range in {
		for i := range x {
			if m.F[k] != nil && float64(m.F[k][i]) != x[i] && !math.IsNaN(x[i]) ||
				m.I[k] != nil && float64(m.I[k][i]) != x[i] {
				t.Errorf("input %d has changed at %d", k, i)
				return
			}
		}
	}
}

// poison fills the outputs with guardBits.
func (m *memory) poison() {
	for i := range m.p.Values {
		if m.p.Values[i].Kind == ir.Output {
			x := m.block[m.at[i]:][:m.p.Values[i].Size()]
			for k := range x {
				x[k] = math.Float32frombits(guardBits)
			}
		}
	}
}
