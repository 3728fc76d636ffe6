package cluster

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// pair is an ensemble of two, as far as a session can see: the variables of both,
// and the second one's predictions.
type pair struct{ *backendtest.Tiny }

func (p pair) Vars() []ir.Var {
	var all []ir.Var
	for _, prefix := range []string{"member0.", "member1."} {
		for _, v := range p.Tiny.Vars() {
			v.Name = prefix + v.Name
			all = append(all, v)
		}
	}
	return all
}

func (p pair) Forward(targets bool) (*ir.Program, error) {
	one, err := p.Tiny.Forward(targets)
	if err != nil {
		return nil, err
	}
	own := *one
	own.Values = slices.Clone(one.Values)
	for i := range own.Values {
		if v := &own.Values[i]; v.Kind == ir.Variable {
			v.Name, v.Var = "member1."+v.Name, v.Var+len(p.Tiny.Vars())
		}
	}
	return &own, nil
}

// halves is a backend whose training halves all variables.
type halves struct{ vars [][]float32 }

func (h *halves) Open(_ context.Context, job backend.Job) (backend.Session, error) {
	for _, v := range job.Programs.Vars() {
		h.vars = append(h.vars, make([]float32, ir.Size(v.Shape)))
	}
	return &halving{halves: h}, nil
}

type halving struct {
	backend.Session
	*halves
}

func (h *halving) Close() error { return nil }

func (h *halving) Snapshot(context.Context) ([][]float32, error) { return cloneAll(h.vars), nil }

func (h *halving) Restore(_ context.Context, vars [][]float32) error {
	h.vars = cloneAll(vars)
	return nil
}

func (h *halving) Train(_ context.Context, s backend.Span) (backend.Stats, int, error) {
	for _, v := range h.vars {
		for i := range v {
			v[i] /= 2
		}
	}
	return s.Sums, s.Last - s.First, nil
}

// TestEnsemble checks that workers hear of the variables of a member, that those of
// all members go to and fro, and that the session evaluates all by itself.
func TestEnsemble(t *testing.T) {
	j := backendtest.Job(t, 30, 1)
	one := j.Programs.(*backendtest.Tiny)
	all := pair{one}
	first, second := one.Initial(), one.Initial()
	for _, v := range first {
		clear(v)
	}
	vars := slices.Concat(first, second)

	want := evaluated(t, half(second))

	var attached wire.Job
	b := backendOn(t, &halves{}, func(m wire.Message) fault {
		switch m := m.(type) {
		case *wire.Attach:
			attached = m.Job
		case *wire.Test:
			t.Error("the workers were asked to evaluate")
		}
		return none
	})
	b.cluster.Strategy, b.cluster.Params = "ensemble", map[string]float64{"members": 2}
	b.cluster.Member = one
	j.Programs = all
	s, err := b.Open(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Restore(t.Context(), vars); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Train(t.Context(), backend.Span{Last: 1, Rates: []float32{0.1}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Evaluate(t.Context(), data.Test)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) || want.Rows == 0 {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(attached.Vars) != len(one.Vars()) || attached.Vars[0].Name != one.Vars()[0].Name {
		t.Errorf("workers were told of %d variables from %v on, want the %d of a member",
			len(attached.Vars), attached.Vars[0], len(one.Vars()))
	}
	after, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sameVars(t, after, half(vars))
}

// half returns half of all numbers.
func half(vars [][]float32) [][]float32 {
	out := cloneAll(vars)
	for _, v := range out {
		for i := range v {
			v[i] /= 2
		}
	}
	return out
}

// evaluated returns what a session without a cluster finds on the test rows.
func evaluated(t *testing.T, vars [][]float32) backend.Stats {
	t.Helper()
	j := backendtest.Job(t, 30, 1)
	s, err := ref(t).Open(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Restore(t.Context(), vars); err != nil {
		t.Fatal(err)
	}
	stats, err := s.Evaluate(t.Context(), data.Test)
	if err != nil {
		t.Fatal(err)
	}
	return stats
}
