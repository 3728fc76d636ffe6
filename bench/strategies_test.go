package main

import (
	"strings"
	"testing"

	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/model/spec"
)

// TestStrategyRaces checks that every strategy is raced, with settings that a spec
// takes.
func TestStrategyRaces(t *testing.T) {
	raced := map[string]bool{}
	for _, r := range strategyRaces() {
		raced[r.name] = true
		var set []spec.Override
		for _, s := range append([]string{"cluster.strategy=" + r.name}, r.settings...) {
			key, value, _ := strings.Cut(s, "=")
			set = append(set, spec.Override{Key: key, Value: value})
		}
		if _, err := spec.Load("../configs/mnist-cluster.yaml", spec.Options{Set: set}); err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
	}
	for _, s := range strategy.All() {
		if !raced[s.Name] {
			t.Errorf("%s is not raced", s.Name)
		}
	}
}

func TestStrategyTable(t *testing.T) {
	races := []*strategyRace{
		{name: "adag", settings: []string{"optimizer=sgd", "optimizer.sgd.nesterov=true", "cluster.strategy.adag.window=3"},
			one: trained{accuracy: 0.97, seconds: 1}, all: trained{accuracy: 0.964, seconds: 2}},
		{name: "downpour", one: trained{accuracy: 0.98}, all: trained{failure: "loss is NaN"}},
		{name: "sync", one: trained{accuracy: 0.97}, all: trained{accuracy: 0.966}},
	}
	const want = `| strategy | settings | 1 worker | 4 workers | points | seconds, 1 | seconds, 4 |
|---|---|---|---|---|---|---|
| ` + "`adag`" + ` | optimizer sgd, nesterov, window 3 | 97.00 % | 96.40 % | -0.60: too few | 1.0 | 2.0 |
| ` + "`downpour`" + ` |  | 98.00 % | loss is NaN | - | 0.0 | 0.0 |
| ` + "`sync`" + ` |  | 97.00 % | 96.60 % | -0.40 | 0.0 | 0.0 |
`
	if got := strategyTable(races); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLastWords(t *testing.T) {
	const good = "epoch 8/8  loss 0.1\nadag: 9 rows\ntest   loss 0.0655  accuracy 0.9777\nsaved  x\n"
	if got, err := accuracyOf(good); err != nil || got != 0.9777 {
		t.Errorf("got %v, %v, want 0.9777", got, err)
	}
	const bad = "epoch 1/8  loss 2\ngespann: step 83: loss is NaN\nhint: try a lower learning rate\n"
	if _, err := accuracyOf(bad); err == nil {
		t.Error("got an accuracy of a run that failed")
	}
	if got := reason(bad); got != "step 83: loss is NaN" {
		t.Errorf("got %q", got)
	}
	if got := reason("killed\n"); !strings.Contains(got, "killed") {
		t.Errorf("got %q", got)
	}
}
