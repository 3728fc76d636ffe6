package model

import (
	"math/rand/v2"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/ref"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/model/lower"
	"github.com/gespann/gespann/model/op"
)

func TestMain(m *testing.M) {
	op.SetEvaluator(func(p *ir.Program, floats [][]float64, ints [][]int32) error {
		ref.Run(p, ref.Slots[float64]{F: floats, I: ints})
		return nil
	})
	m.Run()
}

// A machine runs the programs of one model in float64, by ref.
type machine struct {
	vars, grads [][]float64
	floats      map[string][]float64 // inputs by name
	ints        map[string][]int32
}

// newMachine returns a machine with random variables, and random data for some
// rows.
func newMachine(m *Model, rows int) *machine {
	rng := rand.New(rand.NewPCG(3, 4))
	random := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = rng.NormFloat64()
		}
		return v
	}
	ints := func(n, limit int) []int32 {
		v := make([]int32, n)
		for i := range v {
			v[i] = rng.Int32N(int32(limit))
		}
		return v
	}
	k := &machine{floats: map[string][]float64{}, ints: map[string][]int32{}}
	for _, v := range m.vars {
		values := random(ir.Size(v.Shape))
		if v.Role != ir.Param { // variances and sums of squares are positive
			for i := range values {
				values[i] = 0.1 + values[i]*values[i]
			}
		}
		k.vars = append(k.vars, values)
		k.grads = append(k.grads, make([]float64, ir.Size(v.Shape)))
	}
	k.floats[ir.InSeed], k.ints[ir.InTick] = []float64{1}, []int32{5}
	k.floats[ir.InRate], k.ints[ir.InStep] = []float64{0.01}, []int32{3}
	size := ir.Size(m.input.Shape)
	k.floats[ir.InX], k.ints[ir.InX] = random(rows*size), ints(rows*size, 5)
	k.ints[ir.InY] = ints(rows, max(m.input.Classes, 1))
	k.floats[ir.InY] = random(rows * ir.Size(m.head.target))
	return k
}

// run runs a program and returns its outputs by name.
func (k *machine) run(p *ir.Program) map[string][]float64 {
	s := ref.NewSlots[float64](p)
	for i, v := range p.Values {
		switch {
		case v.Kind == ir.Variable:
			s.F[i] = k.vars[v.Var]
		case v.Kind == ir.Grad:
			s.F[i] = k.grads[v.Var]
		case v.Kind == ir.Input && v.Type == ir.Int:
			s.I[i] = k.ints[v.Name][:v.Size()]
		case v.Kind == ir.Input:
			s.F[i] = k.floats[v.Name][:v.Size()]
		}
	}
	s.ShareViews(p)
	ref.Run(p, s)
	out := map[string][]float64{}
	for i, v := range p.Values {
		if v.Kind == ir.Output {
			out[v.Name] = s.F[i]
		}
	}
	return out
}

// rows returns the machine with the data of some of its rows; variables and
// gradients are shared.
func (k *machine) rows(m *Model, first, last int) *machine {
	cut := &machine{vars: k.vars, grads: k.grads, floats: map[string][]float64{}, ints: map[string][]int32{}}
	for name, v := range k.floats {
		cut.floats[name] = v
	}
	for name, v := range k.ints {
		cut.ints[name] = v
	}
	x, y := ir.Size(m.input.Shape), ir.Size(m.head.target)
	cut.floats[ir.InX], cut.ints[ir.InX] = k.floats[ir.InX][first*x:last*x], k.ints[ir.InX][first*x:last*x]
	cut.floats[ir.InY], cut.ints[ir.InY] = k.floats[ir.InY][first*y:last*y], k.ints[ir.InY][first:last]
	return cut
}

// must returns a program that must have no error.
func must(t *testing.T, p *ir.Program, err error) *ir.Program {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var exact = numtest.Tol{Abs: 1e-12, Rel: 1e-12, Why: "the same sums in float64, in another order"}

func TestProgramsVerify(t *testing.T) {
	forZoo(t, func(t *testing.T, _ specimen, m *Model) {
		for _, rows := range []int{1, 2, 7} {
			for _, p := range programs(t, m, rows) {
				if err := ir.Verify(p, m.Vars()); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

func TestEveryPassVerifies(t *testing.T) {
	forZoo(t, func(t *testing.T, _ specimen, m *Model) {
		for _, key := range []programKey{{"forward", true, false}, {"gradient", true, false}} {
			p, err := m.build(key, ir.B, true)
			must(t, p, err)
			for _, pass := range lower.Passes {
				pass.Run(p)
				if err := ir.Verify(p, m.Vars()); err != nil {
					t.Errorf("after %s: %v", pass.Name, err)
				}
			}
			fused, err := m.build(key, ir.B, false)
			if must(t, fused, err).String() != p.String() {
				t.Errorf("got\n%v\nwant\n%v", p, fused)
			}
		}
	})
}

func TestGradientsAgreeWithDifferences(t *testing.T) {
	const rows = 3
	forZoo(t, func(t *testing.T, _ specimen, m *Model) {
		k := newMachine(m, rows)
		p, err := m.gradientAt(rows, false)
		must(t, p, err)
		k.run(p)
		symbolic := make([][]float64, len(k.grads))
		for i, g := range k.grads {
			symbolic[i] = slices.Clone(g)
		}
		for i, v := range m.vars {
			if v.Role != ir.Param {
				continue
			}
			origin := slices.Clone(k.vars[i])
			want := numtest.Grad(func(at []float64) float64 {
				copy(k.vars[i], at)
				return k.run(p)[ir.OutLoss][0]
			}, origin)
			copy(k.vars[i], origin)
			if !numtest.Close(t, symbolic[i], want, numtest.Tol{Abs: 1e-7, Rel: 1e-6, Why: "central differences"}) {
				t.Errorf("that was the gradient of %s", v.Name)
			}
		}
	})
}

func TestFusionChangesNothing(t *testing.T) {
	const rows = 4
	keys := []programKey{{"forward", false, false}, {"forward", true, false},
		{"gradient", true, false}, {"gradient", true, true}}
	forZoo(t, func(t *testing.T, _ specimen, m *Model) {
		for _, key := range keys {
			fused, err := m.build(key, rows, false)
			must(t, fused, err)
			plain, err := m.build(key, rows, true)
			must(t, plain, err)
			if err := ir.Verify(plain, m.Vars()); err != nil {
				t.Error(err)
			}
			a, b := newMachine(m, rows), newMachine(m, rows)
			compareRuns(t, a, b, a.run(fused), b.run(plain))
		}
	})
}

// compareRuns compares outputs and gradients of two machines.
func compareRuns(t *testing.T, a, b *machine, got, want map[string][]float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d outputs, want %d", len(got), len(want))
	}
	for name := range want {
		numtest.Close(t, got[name], want[name], exact)
	}
	for i := range a.grads {
		numtest.Close(t, a.grads[i], b.grads[i], exact)
	}
}

// Gorgonia's own interpreter runs the graph that lowering has made a program of.
func TestTapeMachineAgrees(t *testing.T) {
	const rows = 4
	forZoo(t, func(t *testing.T, _ specimen, m *Model) {
		for _, key := range []programKey{{"forward", true, false}, {"gradient", true, false}} {
			p, err := m.build(key, rows, false)
			must(t, p, err)
			k := newMachine(m, rows)
			outputs := k.run(p)
			g, err := m.graph(key, rows)
			if err != nil {
				t.Fatal(err)
			}
			k.let(t, m, g)
			vm := G.NewTapeMachine(g.g)
			defer vm.Close()
			if err := vm.RunAll(); err != nil {
				t.Fatal(err)
			}
			for _, r := range g.roots {
				got := outputs[r.Name]
				if r.Kind == ir.Grad {
					got = k.grads[r.Var]
				}
				numtest.Close(t, got, r.Node.Value().Data().([]float64), exact)
			}
		}
	})
}

// let gives the leaves of a graph their values.
func (k *machine) let(t *testing.T, m *Model, g *graph) {
	t.Helper()
	for name, n := range g.leaves {
		shape := tensor.WithShape(n.Shape()...)
		var v *tensor.Dense
		i := slices.IndexFunc(m.vars, func(v variable) bool { return v.Name == name })
		size := ir.Size(n.Shape())
		switch {
		case i >= 0:
			v = tensor.New(shape, tensor.WithBacking(k.vars[i]))
		case n.Dtype() == tensor.Int32:
			v = tensor.New(shape, tensor.WithBacking(k.ints[name][:size]))
		default:
			v = tensor.New(shape, tensor.WithBacking(k.floats[name][:size]))
		}
		if err := G.Let(n, v); err != nil {
			t.Fatal(err)
		}
	}
}

// The gradient of a batch is the mean of its parts' gradients, weighted by their
// rows: first overwritten, then added to.
func TestAccumulationEqualsLargeBatch(t *testing.T) {
	const rows, cut = 7, 4
	forZoo(t, func(t *testing.T, s specimen, m *Model) {
		if !s.perRow {
			t.Skip("its rows depend on one another")
		}
		whole, parts := newMachine(m, rows), newMachine(m, rows)
		p, err := m.gradientAt(rows, false)
		want := whole.run(must(t, p, err))
		p, err = m.gradientAt(cut, false)
		first := parts.rows(m, 0, cut)
		first.floats[ir.InSeed] = []float64{float64(cut) / rows}
		a := first.run(must(t, p, err))
		p, err = m.gradientAt(rows-cut, true)
		second := parts.rows(m, cut, rows)
		second.floats[ir.InSeed] = []float64{float64(rows-cut) / rows}
		b := second.run(must(t, p, err))
		loss := (a[ir.OutLoss][0]*cut + b[ir.OutLoss][0]*(rows-cut)) / rows
		numtest.Close(t, []float64{loss}, want[ir.OutLoss], exact)
		for i := range whole.grads {
			numtest.Close(t, parts.grads[i], whole.grads[i], exact)
		}
		for _, name := range m.Metrics() {
			name = ir.MetricPrefix + name
			numtest.Close(t, []float64{a[name][0] + b[name][0]}, want[name], exact)
		}
	})
}

// Batch statistics of accumulated batches are averaged like gradients.
func TestStatisticsAreWeighted(t *testing.T) {
	m := build(t, zoo[len(zoo)-1])
	const rows = 4
	k := newMachine(m, rows)
	p, err := m.gradientAt(rows, false)
	k.run(must(t, p, err))
	once := slices.Clone(k.grads[slices.IndexFunc(m.vars, isState)])
	k.floats[ir.InSeed] = []float64{0.25}
	k.run(p)
	p, err = m.gradientAt(rows, true)
	must(t, p, err)
	for range 3 {
		k.run(p)
	}
	numtest.Close(t, k.grads[slices.IndexFunc(m.vars, isState)], once, exact)
}

func isState(v variable) bool { return v.Role == ir.State }

func TestUpdateRuns(t *testing.T) {
	forZoo(t, func(t *testing.T, _ specimen, m *Model) {
		k := newMachine(m, 3)
		before := make([][]float64, len(k.vars))
		for i := range before {
			before[i] = slices.Clone(k.vars[i])
			for j := range k.grads[i] {
				k.grads[i][j] = 1.5
			}
		}
		p, err := m.Update()
		k.run(must(t, p, err))
		for i, v := range m.vars {
			if slices.Equal(k.vars[i], before[i]) {
				t.Errorf("%s has not changed", v.Name)
			}
		}
	})
}
