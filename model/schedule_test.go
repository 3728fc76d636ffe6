package model

import (
	"fmt"
	"testing"

	"github.com/gespann/gespann/internal/numtest"
)

func TestSchedules(t *testing.T) {
	const epochs, perEpoch = 4, 5 // 20 steps
	tests := []struct {
		name, schedule string
		factor         float64
		steps          []int64
		want           []float64 // by hand
	}{
		{"constant", "constant", 1, []int64{0, 1, 1000}, []float64{0.1, 0.1, 0.1}},
		{"warm-up", "constant: {warmup_steps: 4}", 1,
			[]int64{0, 1, 2, 3, 4, 5}, []float64{0, 0.025, 0.05, 0.075, 0.1, 0.1}},
		{"step", "step: {step_size: 3, factor: 0.5}", 1,
			[]int64{0, 2, 3, 5, 6}, []float64{0.1, 0.1, 0.05, 0.05, 0.025}},
		{"step after warm-up", "step: {step_size: 3, factor: 0.5, warmup_steps: 2}", 1,
			[]int64{0, 1, 2, 4, 5}, []float64{0, 0.05, 0.1, 0.1, 0.05}},
		{"exponential", "exponential: {decay_steps: 2, decay_rate: 0.25}", 1,
			[]int64{0, 1, 2, 3}, []float64{0.1, 0.05, 0.025, 0.0125}},
		{"staircase", "exponential: {decay_steps: 2, decay_rate: 0.25, staircase: true}", 1,
			[]int64{0, 1, 2, 3}, []float64{0.1, 0.1, 0.025, 0.025}},
		{"cosine to the end", "cosine", 1,
			[]int64{0, 5, 10, 20, 30}, []float64{0.1, 0.1 * (1 + 0.7071067811865476) / 2, 0.05, 0, 0}},
		// Keras: CosineDecay(0, decay_steps=8, alpha=0.2, warmup_target=0.1, warmup_steps=2).
		{"cosine", "cosine: {decay_steps: 8, alpha: 0.2, warmup_steps: 2}", 1,
			[]int64{0, 1, 2, 6, 10, 11}, []float64{0, 0.05, 0.1, 0.06, 0.02, 0.02}},
		{"cosine to the end after warm-up", "cosine: {warmup_steps: 10}", 1,
			[]int64{9, 10, 15, 20}, []float64{0.09, 0.1, 0.05, 0}},
		{"plateau", "reduce_on_plateau: {monitor: loss, factor: 0.1, min_learning_rate: 0.002, warmup_steps: 2}", 0.1,
			[]int64{0, 1, 2, 9}, []float64{0, 0.005, 0.01, 0.01}},
		{"plateau at its end", "reduce_on_plateau: {monitor: loss, factor: 0.1, min_learning_rate: 0.002}", 0.01,
			[]int64{0, 9}, []float64{0.002, 0.002}},
		{"plateau above the rate", "reduce_on_plateau: {monitor: loss, min_learning_rate: 5}", 1, []int64{0, 9}, []float64{0.1, 0.1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := parse(t, fmt.Sprintf("%s\noptimizer: {sgd: {learning_rate: 0.1}}\ntrain: {epochs: %d, schedule: {%s}}\n",
				"model: [{dense: {units: 1}}]\nloss: mean_squared_error", epochs, braces(tt.schedule)))
			schedule := NewSchedule(s, int64(epochs*perEpoch))
			var got []float32
			for _, step := range tt.steps {
				got = append(got, schedule.Rate(step, tt.factor))
			}
			numtest.Close(t, got, tt.want, numtest.Tol{Abs: 1e-9, Rel: 1e-7, Why: "rounding to float32"})
		})
	}
}

// braces makes "cosine" a mapping, "cosine: {}".
func braces(choice string) string {
	for _, c := range choice {
		if c == ':' {
			return choice
		}
	}
	return choice + ": {}"
}

func TestRateOfEveryOptimizer(t *testing.T) {
	want := map[string]float32{"sgd": 0.01, "adam": 0.001, "adamw": 0.001, "rmsprop": 0.001, "adagrad": 0.001}
	for kind, rate := range want {
		s := parse(t, "model: [{dense: {units: 1}}]\nloss: mean_squared_error\noptimizer: "+kind)
		if got := NewSchedule(s, 1).Rate(0, 1); got != rate {
			t.Errorf("default learning rate of %s is %v, want %v", kind, got, rate)
		}
	}
}
