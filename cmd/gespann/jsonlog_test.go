package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// TestJSONLog checks that every line is an object with a kind.
func TestJSONLog(t *testing.T) {
	dir := writeTiny(t)
	out := must(t, "train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--log", "json", "--epochs", "2")
	seen := map[string]int{}
	for line := range strings.Lines(out) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		kind, _ := e["event"].(string)
		seen[kind]++
	}
	if seen["start"] != 1 || seen["epoch"] != 2 || seen["end"] != 1 || seen["checkpoint"] < 3 || seen["progress"] < 2 {
		t.Errorf("events: %v", seen)
	}
}

// TestBestEpoch checks that the last event names the epoch that the log calls best, or
// none, and the one whose weights the model has.
func TestBestEpoch(t *testing.T) {
	for name, c := range map[string]struct {
		set          []string
		best, weight bool // there is a best epoch; its weights are put back
	}{
		"no early stopping": {nil, true, false},
		"early stopping":    {[]string{"train.early_stopping.patience=1", "optimizer.adam.learning_rate=0.3"}, true, true},
		"no validation":     {[]string{"data.validation_split=0"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeTiny(t)
			args := []string{"train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--log", "json", "--epochs", "12"}
			for _, s := range c.set {
				args = append(args, "--set", s)
			}
			var best, last any
			var end map[string]any
			for line := range strings.Lines(must(t, args...)) {
				var e map[string]any
				if err := json.Unmarshal([]byte(line), &e); err != nil {
					t.Fatal(err)
				}
				if e["event"] == "epoch" {
					last = e["epoch"]
					if e["best"] == true {
						best = e["epoch"]
					}
				}
				end = e
			}
			if (best != nil) != c.best || end["event"] != "end" || end["best_epoch"] != best {
				t.Errorf("got %v, want best_epoch %v", end, best)
			}
			if c.weight {
				last = best
			}
			if end["weights_epoch"] != last {
				t.Errorf("got %v, want weights_epoch %v", end, last)
			}
		})
	}
}
