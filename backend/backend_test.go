package backend

import (
	"reflect"
	"testing"
)

func TestStatsAdd(t *testing.T) {
	var s Stats
	step := Stats{Rows: 2, Loss: 0.5, Metrics: map[string][]float64{"confusion": {1, 2}}}
	s.Add(step)
	s.Add(step)
	s.Add(Stats{Rows: 1, Metrics: map[string][]float64{"mae": {3}}})
	want := Stats{Rows: 5, Loss: 1, Metrics: map[string][]float64{"confusion": {2, 4}, "mae": {3}}}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got %+v, want %+v", s, want)
	}
	if got := step.Metrics["confusion"][0]; got != 1 {
		t.Errorf("Add changed its argument to %v", got)
	}
}

func TestLookup(t *testing.T) {
	Register("one", nil)
	Register("another", nil)
	if _, err := Lookup("one"); err != nil {
		t.Error(err)
	}
	const want = `backend "gpu" is not in this build, want one of another, one`
	if _, err := Lookup("gpu"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
