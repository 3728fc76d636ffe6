package model

import (
	"testing"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/spec"
)

// A specimen is a small model that the tests of this package run through all
// stages.
type specimen struct {
	name  string
	yaml  string // from "model:" on; the rest has defaults
	input Input
	// perRow: a row's loss does not depend on the other rows, nor on its place.
	perRow bool
}

// zoo has every kind of layer and loss, in the combinations that lowering treats
// in special ways.
var zoo = []specimen{
	{"mlp", `
model:
  - flatten
  - dense: {units: 6, activation: relu}
  - dense: {units: 5, activation: tanh}
  - dense: {units: 4, activation: softmax}
loss: sparse_categorical_crossentropy
optimizer: {adam: {amsgrad: true, weight_decay: 0.1}}
metrics: [accuracy, top_2_accuracy]
`, Input{Shape: []int{3, 2, 1}, Classes: 4}, true},
	{"cnn", `
model:
  - conv2d: {filters: 4, kernel_size: 3, activation: relu}
  - conv2d: {filters: 4, kernel_size: [3, 2], strides: 2, padding: same, activation: elu, groups: 2}
  - max_pooling2d
  - conv2d: {filters: 3, kernel_size: 2, dilation_rate: 2, padding: same, use_bias: false, activation: leaky_relu}
  - average_pooling2d: {pool_size: 2, strides: 1, padding: same}
  - flatten
  - dense: {units: 3}
loss: sparse_categorical_crossentropy
optimizer: {sgd: {momentum: 0.9, nesterov: true, clipnorm: 1}}
metrics: [accuracy]
`, Input{Shape: []int{9, 8, 2}, Classes: 3}, true},
	{"relu_flatten", `
model:
  - conv2d: {filters: 2, kernel_size: 2, activation: relu}
  - flatten
  - dense: {units: 3, activation: softmax}
loss: sparse_categorical_crossentropy
`, Input{Shape: []int{3, 3, 1}, Classes: 3}, true},
	{"residual", `
model:
  - conv2d: {filters: 3, kernel_size: 3, padding: same, use_bias: false}
    name: stem
  - repeat:
      times: 2
      layers:
        - batch_normalization: {momentum: 0.9}
        - activation: relu
        - conv2d: {filters: 3, kernel_size: 3, padding: same}
          name: conv
        - batch_normalization: {}
          name: second
        - add: {}
          inputs: [input, second]
        - activation: silu
    name: block
  - global_average_pooling2d
  - dense: {units: 3, activation: softmax}
loss: categorical_crossentropy
optimizer: {rmsprop: {centered: true, momentum: 0.5, global_clipnorm: 0.1}}
metrics: [accuracy, top_2_accuracy, mean_absolute_error]
`, Input{Shape: []int{4, 4, 1}, Classes: 3, Target: []int{3}}, false},
	{"embedding", `
model:
  - embedding: {input_dim: 7, output_dim: 3}
  - dense: {units: 4, activation: relu}
  - dense: {units: 2, activation: gelu}
  - layer_normalization
  - flatten
  - dense: {units: 1, activation: sigmoid}
loss: binary_crossentropy
optimizer: {adagrad: {clipvalue: 0.5}}
metrics: [accuracy, mean_absolute_error]
`, Input{Shape: []int{5}, Integer: true, Classes: 2}, true},
	{"dropout", `
model:
  - dense: {units: 8, activation: gelu}
  - dropout: {rate: 0.3}
  - dense: {units: 8, activation: sigmoid}
  - dropout: {rate: 0.3, seed: 4}
  - dense: {units: 2}
loss: mean_squared_error
metrics: [mean_absolute_error]
`, Input{Shape: []int{4}, Target: []int{2}}, false},
	{"branches", `
model:
  - dense: {units: 3, activation: softplus}
    name: left
  - dense: {units: 4, activation: relu}
    name: right
    inputs: [input]
  - concatenate: {}
    inputs: [left, right, input]
    name: joined
  - dense: {units: 9}
    name: up
  - add: {}
    inputs: [joined, up, joined]
  - activation: {kind: leaky_relu, alpha: 0.3}
  - reshape: {target_shape: [3, -1]}
  - activation: softmax
  - dense: {units: 2, activation: tanh}
  - reshape: {target_shape: [6]}
loss: {huber: {delta: 0.4}}
`, Input{Shape: []int{2}, Target: []int{6}}, true},
	{"linear", `
model:
  - dense: {units: 1}
loss: mean_absolute_error
optimizer: sgd
`, Input{Shape: []int{3}, Target: []int{}}, true},
	{"logits_after_reshape", `
model:
  - conv2d: {filters: 4, kernel_size: 2, activation: softmax}
  - flatten
loss: categorical_crossentropy
optimizer: {rmsprop: {}}
`, Input{Shape: []int{2, 2, 1}, Target: []int{4}}, true},
	{"metric_of_logits", `
model:
  - dense: {units: 4, activation: relu}
  - dense: {units: 3}
loss: categorical_crossentropy
metrics: [accuracy, mean_absolute_error]
`, Input{Shape: []int{3}, Target: []int{3}}, true},
	{"metric_of_yes_no_logits", `
model:
  - dense: {units: 3}
loss: binary_crossentropy
metrics: [accuracy, mean_absolute_error]
`, Input{Shape: []int{3}, Target: []int{3}}, true},
	{"normalized", `
model:
  - flatten
  - batch_normalization
  - dense: {units: 3, activation: relu, use_bias: false}
  - batch_normalization: {momentum: 0.5}
  - activation: tanh
  - layer_normalization
  - dense: {units: 3}
loss: sparse_categorical_crossentropy
optimizer: {adamw: {clipnorm: 0.2}}
`, Input{Shape: []int{2, 2}, Target: nil, Classes: 3}, false},
}

func parse(t *testing.T, yaml string) *spec.Spec {
	t.Helper()
	s, err := spec.Parse("test.yaml", []byte("data: {source: npy, npy: {x: x.npy, y: y.npy}}\n"+yaml), spec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func build(t *testing.T, s specimen) *Model {
	t.Helper()
	m, err := Build(parse(t, s.yaml), s.input)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// forZoo runs a test on every specimen.
func forZoo(t *testing.T, test func(t *testing.T, s specimen, m *Model)) {
	for _, s := range zoo {
		t.Run(s.name, func(t *testing.T) { test(t, s, build(t, s)) })
	}
}

func TestZooHasEveryKind(t *testing.T) {
	layers, usedLosses, optimizers := map[string]bool{"repeat": true}, map[string]bool{}, map[string]bool{}
	for _, s := range zoo {
		sp := parse(t, s.yaml)
		for _, l := range sp.Unroll() {
			layers[l.Kind] = true
		}
		usedLosses[sp.Loss.Kind], optimizers[sp.Optimizer.Kind] = true, true
	}
	for name := range spec.Layers {
		if _, ok := builders[name]; !ok && name != "repeat" {
			t.Errorf("layer %s has no row in builders", name)
		}
		if !layers[name] {
			t.Errorf("layer %s is in no specimen", name)
		}
	}
	for name := range spec.Losses {
		if _, ok := losses[name]; !ok || !usedLosses[name] {
			t.Errorf("loss %s has no row in losses, or is in no specimen", name)
		}
	}
	for name, kind := range spec.Optimizers {
		if _, ok := newOptimizer(kind.New()); !ok || !optimizers[name] {
			t.Errorf("optimizer %s is unknown to newOptimizer, or in no specimen", name)
		}
	}
}

// programs returns all programs of a model.
func programs(t *testing.T, m *Model, rows int) []*ir.Program {
	t.Helper()
	var out []*ir.Program
	add := func(p *ir.Program, err error) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	add(m.forwardAt(rows, false))
	add(m.forwardAt(rows, true))
	add(m.gradientAt(rows, false))
	add(m.gradientAt(rows, true))
	add(m.Update())
	return out
}
