package main

import "fmt"

// A work is one thing to time: training steps, or runs forward, of a model on
// batches of a fixed size. It goes to the contestants as JSON.
type work struct {
	Name      string  `json:"name"`
	Title     string  `json:"-"`
	Input     []int   `json:"input"` // shape of a row; three dims are an image
	Classes   int     `json:"classes"`
	Batch     int     `json:"batch"`
	Optimizer string  `json:"optimizer"` // "sgd" or "adam"; "": forward only
	Layers    []layer `json:"layers"`    // as in a spec
	Goal      float64 `json:"-"`         // wanted ratio of the best competitor's time and ours

	// Precision is what products are computed in: "" is float32, "bf16" has rounded
	// factors, or in PyTorch its autocast.
	Precision string `json:"precision"`

	Epoch int `json:"-"` // batches of the data; 0: a few

	// Filled in by the race.
	Threads int    `json:"threads"`
	Data    string `json:"data"` // file with rows, labels and initial parameters
	Rows    int    `json:"rows"` // in that file
}

// A layer is an element of the model in a spec.
type layer map[string]any

// params are the parameters of a layer.
type params = map[string]any

func dense(units int, activation string) layer {
	return layer{"dense": params{"units": units, "activation": activation}}
}

func conv(filters, size int, padding, activation string) layer {
	return layer{"conv2d": params{"filters": filters, "kernel_size": size, "padding": padding,
		"activation": activation}}
}

func maxPool() layer { return layer{"max_pooling2d": params{"pool_size": 2}} }

func plain(kind string) layer { return layer{kind: params{}} }

// perceptron is a network of dense layers with so many units, the last for classes.
func perceptron(units ...int) []layer {
	var all []layer
	last := len(units) - 1
	for _, u := range units[:last] {
		all = append(all, dense(u, "relu"))
	}
	return append(all, dense(units[last], "softmax"))
}

// mnistCNN is the network of configs/mnist-cnn.yaml.
func mnistCNN() []layer {
	return []layer{conv(32, 3, "valid", "relu"), conv(64, 3, "valid", "relu"), maxPool(),
		{"dropout": params{"rate": 0.25}}, plain("flatten"), dense(128, "relu"),
		{"dropout": params{"rate": 0.5}}, dense(10, "softmax")}
}

// normalised is a perceptron with batch normalisation before each ReLU.
func normalised(units ...int) []layer {
	var all []layer
	for _, n := range units[:len(units)-1] {
		all = append(all, dense(n, "linear"), layer{"batch_normalization": params{"momentum": 0.9}}, layer{"activation": params{"kind": "relu"}})
	}
	return append(all, dense(units[len(units)-1], "softmax"))
}

// leNet5 is LeNet-5 with ReLU and max pooling.
func leNet5() []layer {
	return []layer{conv(6, 5, "same", "relu"), maxPool(), conv(16, 5, "valid", "relu"), maxPool(),
		plain("flatten"), dense(120, "relu"), dense(84, "relu"), dense(10, "softmax")}
}

// resNet8 is the smallest of the residual networks for CIFAR-10: three blocks of
// 16, 32 and 64 filters, of which the last two halve the image.
func resNet8() []layer {
	normalized := func(name string, filters, size, stride int, from ...string) []layer {
		c := layer{"conv2d": params{"filters": filters, "kernel_size": size, "strides": stride,
			"padding": "same", "use_bias": false}}
		if len(from) > 0 {
			c["inputs"] = from
		}
		return []layer{c, {"batch_normalization": params{"momentum": 0.9}, "name": name}}
	}
	relu := func(name string) layer { return layer{"activation": params{"kind": "relu"}, "name": name} }
	all := append(normalized("bn0", 16, 3, 1), relu("block0"))
	for i, filters := range []int{16, 32, 64} {
		stride, in, out := min(i+1, 2), fmt.Sprint("block", i), fmt.Sprint("block", i+1)
		all = append(all, normalized(out+"_a", filters, 3, stride, in)...)
		all = append(all, relu(out+"_relu"))
		all = append(all, normalized(out+"_b", filters, 3, 1)...)
		short := in
		if stride > 1 {
			short = out + "_short"
			all = append(all, normalized(short, filters, 1, stride, in)...)
		}
		all = append(all, layer{"add": params{}, "inputs": []string{out + "_b", short}}, relu(out))
	}
	return append(all, plain("global_average_pooling2d"), dense(10, "softmax"))
}

// lowWorks returns the works in bf16, whose competitors are ours in float32 too. They are not
// among works: builds of before know no precision.
func lowWorks() []*work {
	var all []*work
	for _, w := range works() {
		if w.Name == "mlp-128-sgd" || w.Name == "cnn-128-sgd" {
			w.Name, w.Title, w.Precision, w.Goal = "bf16-"+w.Name, w.Title+", bf16", "bf16", 1.5
			all = append(all, w)
		}
	}
	return all
}

// works returns all works, in the order of the table.
func works() []*work {
	digits, image, photo := []int{784}, []int{28, 28, 1}, []int{32, 32, 3}
	small, large := perceptron(512, 512, 10), perceptron(1000, 2000, 1000, 10)
	w := func(name, title string, input []int, batch int, optimizer string, layers []layer, goal float64) *work {
		classes := layers[len(layers)-1]["dense"].(params)["units"].(int)
		return &work{Name: name, Title: title, Input: input, Classes: classes, Batch: batch,
			Optimizer: optimizer, Layers: layers, Goal: goal}
	}
	return []*work{
		w("mlp-128-sgd", "MLP 784-512-512-10, batch 128, SGD", digits, 128, "sgd", small, 1.3),
		w("mlp-128-adam", "the same, Adam", digits, 128, "adam", small, 1.5),
		w("mlp-32-sgd", "the same, batch 32, SGD", digits, 32, "sgd", small, 1.5),
		w("mlp-32-adam", "the same, batch 32, Adam", digits, 32, "adam", small, 1.8),
		w("wide-128-adam", "MLP 784-1000-2000-1000-10, batch 128, Adam", digits, 128, "adam", large, 1.2),
		w("cnn-128-sgd", "mnist-cnn, batch 128, SGD", image, 128, "sgd", mnistCNN(), 1.4),
		w("cnn-32-sgd", "the same, batch 32", image, 32, "sgd", mnistCNN(), 1.2),
		w("lenet-128-sgd", "LeNet-5, batch 128, SGD", image, 128, "sgd", leNet5(), 1.8),
		w("lenet-32-sgd", "the same, batch 32", image, 32, "sgd", leNet5(), 1.8),
		w("resnet-128-sgd", "ResNet-8, 32x32x3, batch 128, SGD", photo, 128, "sgd", resNet8(), 1.1),
		w("tabular-256-adam", "MLP 30-500-500-500-2, batch 256, Adam", []int{30}, 256, "adam",
			perceptron(500, 500, 500, 2), 1.3),
		w("cnn-1-forward", "mnist-cnn forward, batch 1", image, 1, "", mnistCNN(), 1.5),
		w("cnn-256-forward", "mnist-cnn forward, batch 256", image, 256, "", mnistCNN(), 1.5),
	}
}
