package model

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/numtest"
)

// A rule updates one element p by its gradient g in step t, as Keras documents
// it. s are the element's slots.
type updateRule func(p, g float64, s []float64, t int) float64

const testRate = 0.1

// TestOptimizers runs the update programs for three steps, against Keras's
// formulas for single numbers.
func TestOptimizers(t *testing.T) {
	decay := func(p, wd float64) float64 { return p - p*testRate*wd }
	tests := []struct {
		optimizer string
		slots     []string
		rule      updateRule
	}{
		{"sgd: {}", nil, func(p, g float64, _ []float64, _ int) float64 { return p - testRate*g }},
		{"sgd: {momentum: 0.9}", []string{"m"}, func(p, g float64, s []float64, _ int) float64 {
			s[0] = 0.9*s[0] - testRate*g
			return p + s[0]
		}},
		{"sgd: {momentum: 0.9, nesterov: true, weight_decay: 0.2}", []string{"m"}, func(p, g float64, s []float64, _ int) float64 {
			p = decay(p, 0.2)
			s[0] = 0.9*s[0] - testRate*g
			return p + 0.9*s[0] - testRate*g
		}},
		{"sgd: {clipvalue: 0.5}", nil, func(p, g float64, _ []float64, _ int) float64 {
			return p - testRate*min(max(g, -0.5), 0.5)
		}},
		{"adam: {beta_1: 0.8, beta_2: 0.7, epsilon: 0.01}", []string{"m", "v"}, adamRule(0.8, 0.7, 0.01, false)},
		{"adam: {amsgrad: true}", []string{"m", "v", "vmax"}, adamRule(0.9, 0.999, 1e-7, true)},
		{"adamw: {beta_1: 0.8}", []string{"m", "v"}, func(p, g float64, s []float64, t int) float64 {
			return adamRule(0.8, 0.999, 1e-7, false)(decay(p, 0.004), g, s, t)
		}},
		{"rmsprop: {rho: 0.8}", []string{"v"}, func(p, g float64, s []float64, _ int) float64 {
			s[0] = 0.8*s[0] + 0.2*g*g
			return p - testRate*g/math.Sqrt(s[0]+1e-7)
		}},
		{"rmsprop: {centered: true, momentum: 0.5, epsilon: 0.1}", []string{"v", "avg", "m"}, func(p, g float64, s []float64, _ int) float64 {
			s[0] = 0.9*s[0] + 0.1*g*g
			s[1] = 0.9*s[1] + 0.1*g
			s[2] = 0.5*s[2] + testRate*g/math.Sqrt(s[0]-s[1]*s[1]+0.1)
			return p - s[2]
		}},
		{"adagrad: {initial_accumulator_value: 0.3}", []string{"a"}, func(p, g float64, s []float64, t int) float64 {
			if t == 1 {
				s[0] = 0.3
			}
			s[0] += g * g
			return p - testRate*g/math.Sqrt(s[0]+1e-7)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.optimizer, func(t *testing.T) { checkOptimizer(t, tt.optimizer, tt.slots, tt.rule) })
	}
}

func adamRule(beta1, beta2, eps float64, amsgrad bool) updateRule {
	return func(p, g float64, s []float64, t int) float64 {
		rate := testRate * math.Sqrt(1-math.Pow(beta2, float64(t))) / (1 - math.Pow(beta1, float64(t)))
		s[0] += (g - s[0]) * (1 - beta1)
		s[1] += (g*g - s[1]) * (1 - beta2)
		v := s[1]
		if amsgrad {
			s[2] = max(s[2], v)
			v = s[2]
		}
		return p - rate*s[0]/(math.Sqrt(v)+eps)
	}
}

// optimized returns a model of one dense layer with an optimiser, and a machine
// at its initial values.
func optimized(t *testing.T, optimizer string) (*Model, *machine) {
	t.Helper()
	m, err := Build(parse(t, "model: [{dense: {units: 2, bias_initializer: ones}}]\n"+squared+
		"optimizer: {"+optimizer+"}\n"), numbers)
	if err != nil {
		t.Fatal(err)
	}
	k := newMachine(m, 1)
	for i, v := range m.Initial(1) {
		for j := range v {
			k.vars[i][j] = float64(v[j])
		}
	}
	k.floats[ir.InRate] = []float64{testRate}
	return m, k
}

func checkOptimizer(t *testing.T, optimizer string, slots []string, rule updateRule) {
	m, k := optimized(t, optimizer)
	var names []string
	for _, v := range m.Vars()[2:] {
		names = append(names, v.Name)
	}
	var wantNames []string
	for _, s := range slots {
		wantNames = append(wantNames, "optimizer."+s+".dense.kernel", "optimizer."+s+".dense.bias")
	}
	if !slices.Equal(names, wantNames) {
		t.Errorf("slots are %v, want %v", names, wantNames)
	}
	for param := range 2 {
		want := slices.Clone(k.vars[param])
		state := make([][]float64, len(want))
		for step := 1; step <= 3; step++ {
			for j := range want {
				if state[j] == nil {
					state[j] = make([]float64, len(slots))
				}
				want[j] = rule(want[j], gradient(param, j, step), state[j], step)
			}
		}
		m, k := optimized(t, optimizer)
		for step := 1; step <= 3; step++ {
			for i := range 2 {
				for j := range k.grads[i] {
					k.grads[i][j] = gradient(i, j, step)
				}
			}
			k.ints[ir.InStep] = []int32{int32(step)}
			p, err := m.Update()
			k.run(must(t, p, err))
		}
		numtest.Close(t, k.vars[param], want, numtest.Tol{Rel: 1e-6, Why: "initial values are float32"})
	}
}

// gradient is some gradient.
func gradient(param, element, step int) float64 {
	return math.Sin(float64(1+param*10+element)) * float64(step)
}

func TestClipnorm(t *testing.T) {
	for _, tt := range []struct {
		option string
		norms  [2]float64 // of the steps of kernel and bias, at rate 0.1
	}{
		// All gradients are 3: the norm is 3·sqrt(8) of the kernel, 3·sqrt(2) of
		// the bias, 3·sqrt(10) of both.
		{"clipnorm: 1", [2]float64{0.1, 0.1}},
		{"clipnorm: 5", [2]float64{0.5, 0.3 * math.Sqrt(2)}},
		{"global_clipnorm: 1", [2]float64{0.1 * math.Sqrt(0.8), 0.1 * math.Sqrt(0.2)}},
		{"global_clipnorm: 10", [2]float64{0.3 * math.Sqrt(8), 0.3 * math.Sqrt(2)}},
		{"clipvalue: 1", [2]float64{0.1 * math.Sqrt(8), 0.1 * math.Sqrt(2)}},
	} {
		t.Run(tt.option, func(t *testing.T) {
			m, k := optimized(t, "sgd: {"+tt.option+"}")
			p, err := m.Update()
			must(t, p, err)
			for i := range 2 {
				before := slices.Clone(k.vars[i])
				for n := range 2 {
					for j := range k.grads[n] {
						k.grads[n][j] = 3
					}
				}
				k.run(p) // each step is as long as the one before
				sum := 0.0
				for j, v := range k.vars[i] {
					sum += (v - before[j]) * (v - before[j])
				}
				numtest.Close(t, []float64{math.Sqrt(sum)}, tt.norms[i:i+1], numtest.Tol{Rel: 1e-9, Why: "float64"})
			}
		})
	}
}

func TestStatesFollowTheBatch(t *testing.T) {
	m := build(t, zoo[len(zoo)-1]) // momentum 0.99, then 0.5
	k := newMachine(m, 2)
	want := map[string][2]float64{ // momentum
		"batch_normalization.moving_mean": {0.99, 0.01}, "batch_normalization_1.moving_variance": {0.5, 0.5},
	}
	before := map[string][]float64{}
	for i, v := range m.Vars() {
		if v.Role == ir.State {
			before[v.Name] = slices.Clone(k.vars[i])
			for j := range k.grads[i] {
				k.grads[i][j] = 7
			}
		}
	}
	p, err := m.Update()
	k.run(must(t, p, err))
	for i, v := range m.Vars() {
		if w, ok := want[v.Name]; ok {
			for j, old := range before[v.Name] {
				numtest.Close(t, k.vars[i][j:j+1], []float64{w[0]*old + w[1]*7}, exact)
			}
		}
	}
	if n := strings.Count(p.String(), " = ema "); n != 2 {
		t.Errorf("%d ema instructions for two momentums, want 2", n)
	}
}
