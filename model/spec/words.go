package spec

import "strings"

// A Word is a value that a setting may have, with its meaning.
type Word struct{ Name, Doc string }

// Activations lists the activations.
var Activations = []Word{
	{"linear", "x"},
	{"relu", "max(0, x)"},
	{"leaky_relu", "x for x ≥ 0, else 0.2·x"},
	{"elu", "x for x ≥ 0, else eˣ - 1"},
	{"gelu", "x·Φ(x), with the normal distribution Φ"},
	{"sigmoid", "1/(1 + e⁻ˣ)"},
	{"tanh", "(eˣ - e⁻ˣ)/(eˣ + e⁻ˣ)"},
	{"softplus", "log(1 + eˣ)"},
	{"silu", "x/(1 + e⁻ˣ)"},
	{"softmax", "eˣ divided by its sum over the last axis"},
}

// DefaultAlpha holds the alpha of the activations that have one, as in Keras.
var DefaultAlpha = map[string]float64{"leaky_relu": 0.2, "elu": 1}

// Initializers lists how weights can start. The fans are the numbers of inputs
// and outputs that one output and one input are connected with.
var Initializers = []Word{
	{"glorot_uniform", "uniform within ±√(6/(fan_in + fan_out)): Glorot and Bengio, 2010"},
	{"glorot_normal", "truncated normal with variance 2/(fan_in + fan_out)"},
	{"he_uniform", "uniform within ±√(6/fan_in): He et al., 2015"},
	{"he_normal", "truncated normal with variance 2/fan_in"},
	{"lecun_uniform", "uniform within ±√(3/fan_in)"},
	{"lecun_normal", "truncated normal with variance 1/fan_in"},
	{"random_uniform", "uniform within ±0.05"},
	{"random_normal", "normal with deviation 0.05"},
	{"truncated_normal", "normal with deviation 0.05, without what is beyond two deviations"},
	{"zeros", "0"},
	{"ones", "1"},
	{"orthogonal", "orthogonal rows or columns: Saxe et al., 2014"},
}

// enums are lists of values that several tags share, as enum:"@name".
var enums = map[string]string{
	"@activation":  wordList(Activations),
	"@initializer": wordList(Initializers),
}

func wordList(words []Word) string {
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = w.Name
	}
	return strings.Join(names, ",")
}
