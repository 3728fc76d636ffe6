package model

import (
	"errors"
	"strings"
	"testing"

	"github.com/gespann/gespann/model/spec"
)

var (
	digits  = Input{Shape: []int{8, 8, 1}, Classes: 10}
	numbers = Input{Shape: []int{4}, Target: []int{2}}
)

// sparse and squared are what follows the layers of a test.
const (
	sparse  = "loss: sparse_categorical_crossentropy\n"
	squared = "loss: mean_squared_error\n"
)

func TestBuildErrors(t *testing.T) {
	tests := []struct {
		name   string
		layers string // with the rest of the file; "model:" comes before
		input  Input
		want   string
	}{
		{"window", `
  - max_pooling2d: {pool_size: 3}
  - conv2d: {filters: 2, kernel_size: 5}
  - flatten
  - dense: {units: 10}
` + sparse, digits, `
test.yaml:4:5: model[1] conv2d: window 5x5 does not fit its input 2x2 from model[0] "max_pooling2d"
`},
		{"window with dilation", `
  - conv2d: {filters: 2, kernel_size: 5, dilation_rate: [1, 2]}
  - flatten
  - dense: {units: 10}
` + sparse, digits, `
test.yaml:3:5: model[0] conv2d: window 5x9 with its dilation does not fit its input 8x8 from the data
`},
		{"pool", `
  - max_pooling2d: {pool_size: 9}
  - flatten
  - dense: {units: 10}
` + sparse, digits, `
test.yaml:3:5: model[0] max_pooling2d: window 9x9 does not fit its input 8x8 from the data
`},
		{"classes", `
  - flatten
  - dense: {units: 4}
  - dense: {units: 12, activation: softmax}
` + sparse, digits, `
test.yaml:5:5: model[2] dense "dense_1": 12 units, but data has 10 classes
`},
		{"classes of another layer", `
  - flatten
  - dense: {units: 12}
  - activation: softmax
` + sparse, digits, `
test.yaml:5:5: model[2] activation: output is 12, but data has 10 classes
`},
		{"classes from 1", `
  - dense: {units: 3}
` + sparse, Input{Shape: []int{2}, Classes: 4, Least: 1}, `
test.yaml:3:5: model[0] dense: 3 units, but data has 4 classes
hint: classes count from 0, but the labels are 1 to 3: subtract 1 from them
`},
		{"one-hot rows of classes from 1", `
  - dense: {units: 3}
loss: categorical_crossentropy
`, Input{Shape: []int{2}, Classes: 4, Least: 1, Target: []int{4}}, `
test.yaml:3:5: model[0] dense: output is 3, but the targets are 4 per row
hint: classes count from 0, but the labels are 1 to 3: subtract 1 from them
`},
		{"image of classes", `
  - dense: {units: 10, activation: softmax}
` + sparse, digits, `
test.yaml:3:5: model[0] dense: output is 8x8x10, but class labels need one number per class
hint: flatten makes each row a vector
`},
		{"conv of vectors", `
  - flatten
  - conv2d: {filters: 2, kernel_size: 1}
  - flatten
  - dense: {units: 10}
` + sparse, digits, `
test.yaml:4:5: model[1] conv2d: takes rows of height x width x channels, but model[0] "flatten" gives 64
`},
		{"softmax of one", `
  - flatten
  - dense: {units: 1, activation: softmax}
` + sparse, digits, `
test.yaml:4:5: model[1] dense: softmax over one number is always 1; one number for yes or no takes sigmoid
`},
		{"reshape", `
  - reshape: {target_shape: [7, -1]}
  - flatten
  - dense: {units: 10}
` + sparse, digits, `
test.yaml:3:5: model[0] reshape: target_shape [7 -1] does not hold the 64 elements of its input 8x8x1 from the data
`},
		{"add", `
  - dense: {units: 3}
    name: a
  - dense: {units: 2}
    name: b
    inputs: [input]
  - add: {}
    inputs: [a, b]
` + squared, numbers, `
test.yaml:8:5: model[2] add: cannot add 2 from model[1] "b" to 3 from model[0] "a"
`},
		{"concatenate", `
  - dense: {units: 3}
    name: a
  - reshape: {target_shape: [2, 2]}
    name: b
    inputs: [input]
  - concatenate: {}
    inputs: [a, b]
` + squared, numbers, `
test.yaml:8:5: model[2] concatenate: cannot join 2x2 from model[1] "b" to 3 from model[0] "a" along axis 1
`},
		{"groups", `
  - conv2d: {filters: 4, kernel_size: 1, groups: 2}
  - flatten
  - dense: {units: 10}
` + sparse, digits, `
test.yaml:3:5: model[0] conv2d: groups is 2, which does not divide the 1 channels from the data
`},
		{"embedding of numbers", `
  - flatten
  - dense: {units: 8}
  - embedding: {input_dim: 4, output_dim: 2}
  - flatten
  - dense: {units: 10}
` + sparse, digits, `
test.yaml:5:5: model[2] embedding: takes integer ids, but model[1] "dense" gives numbers
`},
		{"dense of ids", `
  - dense: {units: 2}
` + squared, Input{Shape: []int{4}, Integer: true, Target: []int{2}}, `
test.yaml:3:5: model[0] dense: takes numbers, but the data gives integer ids: an embedding turns them into vectors
`},
		{"ids only", `
  - flatten
` + squared, Input{Shape: []int{4}, Integer: true, Target: []int{4}}, `
test.yaml:3:5: model[0] flatten: the model only passes integer ids on
`},
		{"labels wanted", `
  - dense: {units: 2}
` + sparse, numbers, `
test.yaml:4:7: loss: sparse_categorical_crossentropy: takes class labels, but the targets are rows of 2 numbers
hint: use categorical_crossentropy or a regression loss
`},
		{"one-hot wanted", `
  - flatten
  - dense: {units: 10}
loss: categorical_crossentropy
`, digits, `
test.yaml:5:7: loss: categorical_crossentropy: takes rows of probabilities, but the targets are class labels
hint: set data.one_hot, or use sparse_categorical_crossentropy
`},
		{"numbers wanted", `
  - flatten
  - dense: {units: 10}
` + squared, digits, `
test.yaml:5:7: loss: mean_squared_error: takes rows of numbers, but the targets are class labels
hint: set data.one_hot, or use a cross-entropy
`},
		{"two classes wanted", `
  - flatten
  - dense: {units: 1}
loss: binary_crossentropy
`, digits, `
test.yaml:5:7: loss: binary_crossentropy: takes two classes, but the data has 10
hint: use sparse_categorical_crossentropy
`},
		{"binary output", `
  - dense: {units: 2, activation: sigmoid}
loss: binary_crossentropy
`, Input{Shape: []int{4}, Classes: 2}, `
test.yaml:3:5: model[0] dense: output is 2, want 1 for labels of two classes
`},
		{"relu and cross-entropy", `
  - flatten
  - dense: {units: 10, activation: relu}
` + sparse, digits, `
test.yaml:4:5: model[1] dense: sparse_categorical_crossentropy needs softmax at the end, or no activation, but got relu
`},
		{"sigmoid and categorical", `
  - flatten
  - dense: {units: 10}
  - activation: sigmoid
` + sparse, digits, `
test.yaml:5:5: model[2] activation: sparse_categorical_crossentropy needs softmax at the end, or no activation, but got sigmoid
`},
		{"softmax over another axis", `
  - reshape: {target_shape: [5, 2]}
  - dense: {units: 2, activation: softmax}
  - flatten
` + sparse, Input{Shape: []int{10}, Classes: 10}, `
test.yaml:5:5: model[2] flatten: sparse_categorical_crossentropy needs softmax over the last axis, but it is reshaped from 5x2 to 10 after it
`},
		{"target shape", `
  - dense: {units: 3}
` + squared, numbers, `
test.yaml:3:5: model[0] dense: output is 3, but the targets are 2 per row
`},
		{"metrics", `
  - dense: {units: 2}
metrics: [accuracy, top_k_accuracy]
` + squared, numbers, `
test.yaml:4:11: metrics[0]: accuracy is for classes, but mean_squared_error compares numbers
test.yaml:4:21: metrics[1]: top_k_accuracy is for classes, but mean_squared_error compares numbers
`},
		{"metric of labels", `
  - flatten
  - dense: {units: 10}
metrics: [mean_absolute_error, top_10_accuracy]
` + sparse, digits, `
test.yaml:5:11: metrics[0]: mean_absolute_error is for numbers, but the targets are class labels
test.yaml:5:32: metrics[1]: top_10_accuracy is always 1: the true class is always among the 10 largest of 10 outputs
`},
		{"dropout after softmax", `
  - flatten
  - dense: {units: 10, activation: softmax}
  - dropout: 0.5
` + sparse, digits, `
test.yaml:5:5: model[2] dropout: dropout between the last activation and sparse_categorical_crossentropy, which needs what comes before the activation
`},
		{"shape that overflows", `
  - reshape: [4294967296, 4294967296, -1]
  - dense: {units: 2}
` + squared, numbers, `
test.yaml:3:5: model[0] reshape: target_shape [4294967296 4294967296 -1] does not hold the 4 elements of its input 4 from the data
`},
		{"nothing to train", `
  - activation: relu
` + squared, Input{Shape: []int{4}, Target: []int{4}}, `
test.yaml:3:5: model[0] activation: the model has nothing to train
`},
		{"too large", `
  - dense: {units: 2000000000}
  - dense: {units: 2}
` + squared, numbers, `
test.yaml:3:5: model[0] dense: matmul: input 1: shape [4,2000000000], want at most 2147483647 elements
`},
		{"several at once", `
  - conv2d: {filters: 2, kernel_size: 9}
    name: a
  - max_pooling2d: {pool_size: 9}
    name: b
    inputs: [input]
  - add: {}
    inputs: [a, b]
metrics: [accuracy, mean_absolute_error]
` + sparse, digits, `
test.yaml:3:5: model[0] conv2d "a": window 9x9 does not fit its input 8x8 from the data
test.yaml:5:5: model[1] max_pooling2d "b": window 9x9 does not fit its input 8x8 from the data
test.yaml:10:21: metrics[1]: mean_absolute_error is for numbers, but the targets are class labels
`},
		{"once for all copies", `
  - repeat:
      times: 3
      layers:
        - conv2d: {filters: 2, kernel_size: 9, padding: same}
        - max_pooling2d
        - max_pooling2d
  - flatten
  - dense: {units: 10}
` + sparse, digits, `
test.yaml:8:11: model[0].repeat.layers[2] max_pooling2d "max_pooling2d_4_2": window 2x2 does not fit its input 1x1 from model[0].repeat.layers[1] "max_pooling2d_2"
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Build(parse(t, "model:"+tt.layers), tt.input)
			if err == nil {
				t.Fatal("no error")
			}
			var e spec.Errors
			if !errors.As(err, &e) {
				t.Errorf("error is %T, want spec.Errors", err)
			}
			if got := err.Error(); got != strings.TrimSpace(tt.want) {
				t.Errorf("got\n%s\nwant\n%s", got, strings.TrimSpace(tt.want))
			}
		})
	}
}

func TestLogits(t *testing.T) {
	const binary = "loss: binary_crossentropy\n"
	pairs := Input{Shape: []int{4}, Classes: 2}
	tests := []struct {
		layers string
		input  Input
		want   string
	}{
		{"[{dense: {units: 2}}]\n" + sparse, pairs, "softmax"},
		{"[{dense: {units: 2, activation: softmax}}]\n" + sparse, pairs, ""},
		{"[{dense: {units: 2, activation: softmax}}, flatten]\n" + sparse, pairs, ""},
		{"[{dense: {units: 2}}]\nloss: categorical_crossentropy\n", numbers, "softmax"},
		{"[{dense: {units: 1}}]\n" + binary, pairs, "sigmoid"},
		{"[{dense: {units: 2}}]\n" + binary, numbers, "sigmoid"},
		{"[{dense: {units: 1, activation: sigmoid}}]\n" + binary, pairs, ""},
		{"[{dense: {units: 2}}]\n" + squared, numbers, ""},
	}
	for _, tt := range tests {
		m, err := Build(parse(t, "model: "+tt.layers), tt.input)
		if err != nil {
			t.Errorf("%s: %v", tt.layers, err)
		} else if got := m.Logits(); got != tt.want {
			t.Errorf("%s: Logits() = %q, want %q", tt.layers, got, tt.want)
		}
	}
}
