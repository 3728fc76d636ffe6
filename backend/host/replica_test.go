package host_test

import (
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/numtest"
)

// TestProgramsAreForgotten takes parts of more sizes than a session keeps programs
// for.
func TestProgramsAreForgotten(t *testing.T) {
	job, ex := backendtest.Job(t, 203, 1), &executor{}
	s, err := host.Open(job, ex)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	take := func(rows int) (compiled int) {
		t.Helper()
		before := ex.compiled
		part := backend.Part{Rows: rows, Weight: 1}
		if _, err := s.(backend.Replica).Gradient(t.Context(), backend.StepAt{}, part, false, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.(backend.Replica).Update(t.Context(), backend.StepAt{}, 0); err != nil {
			t.Fatal(err)
		}
		return ex.compiled - before
	}
	const sizes = 150
	for rows := 1; rows <= sizes; rows++ {
		if n := take(rows); n != 1 {
			t.Errorf("%d rows: %d programs were compiled, want 1", rows, n)
		}
	}
	for _, c := range []struct{ rows, want int }{{sizes, 0}, {sizes - 60, 0}, {1, 1}, {1, 0}, {sizes - 60, 0}} {
		if got := take(c.rows); got != c.want {
			t.Errorf("%d rows again: %d programs were compiled, want %d", c.rows, got, c.want)
		}
	}
}

// TestGradientsOfNothing checks that a model without a gradient program has no
// gradients, and says why when they are wanted.
func TestGradientsOfNothing(t *testing.T) {
	s, err := host.Open(backend.Job{Programs: embedder{t}, BatchSize: 2, Accumulate: 1}, &executor{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := s.(backend.Replica)
	if g, l := r.Gradients(), r.Outcomes(); g != nil || l.Names != nil {
		t.Errorf("got gradients %v and outcomes %v, want none", g, l)
	}
	if _, err := r.Gradient(t.Context(), backend.StepAt{}, backend.Part{Rows: 1}, false, nil); err == nil ||
		err.Error() != "gradient: the job has no data" {
		t.Errorf("Gradient = %v, want an error about data", err)
	}
	if err := r.Update(t.Context(), backend.StepAt{}, 1); err == nil || err.Error() != "not trained" {
		t.Errorf("Update = %v, want not trained", err)
	}
}

// TestGradientsInOrder checks that the vector does not depend on the rows that a
// session has or takes, and that each gradient keeps its place.
func TestGradientsInOrder(t *testing.T) {
	var want []float32
	for _, accumulate := range []int{1, 3} {
		s, err := host.Open(backendtest.Job(t, 40, accumulate), &executor{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r := s.(backend.Replica)
		if err := r.Restore(t.Context(), (&backendtest.Tiny{}).Initial()); err != nil {
			t.Fatal(err)
		}
		for _, rows := range []int{40, 7, 40} {
			part := backend.Part{Rows: rows, Weight: 1}
			if _, err := r.Gradient(t.Context(), backend.StepAt{}, part, false, nil); err != nil {
				t.Fatal(err)
			}
		}
		got := r.Gradients()
		if want == nil {
			want = got
		}
		if len(got)%ir.Align != 0 || len(got) != len(want) {
			t.Fatalf("%d elements, want a multiple of %d, %d as before", len(got), ir.Align, len(want))
		}
		numtest.Close(t, got, want, numtest.Tol{Why: "the same arithmetic"})
	}
}
