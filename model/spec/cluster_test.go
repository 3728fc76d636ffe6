package spec

import (
	"slices"
	"testing"
)

// TestStrategyParams checks that every parameter of every strategy is passed on,
// with its default.
func TestStrategyParams(t *testing.T) {
	want := map[string]map[string]float64{
		"sync": {}, "averaging": {}, "single": {},
		"local_sgd": {"window": 8},
		"diloco":    {"window": 500, "outer_learning_rate": 0.7, "outer_momentum": 0.9},
		"ensemble":  {"members": 2}, // as many as workers
		"downpour":  {"window": 5},
		"adag":      {"window": 12},
		"dynsgd":    {"window": 10},
		"aeasgd":    {"window": 32, "rho": 5},
		"eamsgd":    {"window": 32, "rho": 5},
	}
	for name, kind := range Strategies {
		text := "data: {source: digits}\nmodel: [flatten]\nloss: huber\n" +
			"optimizer: {sgd: {momentum: 0.9, nesterov: true}}\ncluster: {strategy: " + name + "}\n"
		s, err := Parse("x.yaml", []byte(text), Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := s.Cluster.StrategyParams()
		if keys, fields := sortedKeys(got), keys(paramsOf(kind)); !slices.Equal(keys, slices.Sorted(slices.Values(fields))) {
			t.Errorf("%s: got the keys %v, want those of the struct, %v", name, keys, fields)
		}
		for key, v := range want[name] {
			if got[key] != v {
				t.Errorf("%s: %s is %v, want %v", name, key, got[key], v)
			}
		}
		if len(want[name]) != len(got) {
			t.Errorf("%s: got %v, want %v", name, got, want[name])
		}
	}
}

// TestLearningRate checks that every optimiser tells its rate.
func TestLearningRate(t *testing.T) {
	for name := range Optimizers {
		text := "data: {source: digits}\nmodel: [flatten]\nloss: huber\noptimizer: {" + name + ": {learning_rate: 0.125}}\n"
		s, err := Parse("x.yaml", []byte(text), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.LearningRate(); got != 0.125 {
			t.Errorf("%s: got %v, want 0.125", name, got)
		}
	}
}
