// Package checkpoint stores the state of a run in one safetensors file that is
// either complete or absent.
package checkpoint

// A Tensor is one named variable.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// A State is everything needed to continue a run with the same bits.
type State struct {
	Tensors []Tensor
	// Meta is stored as the safetensors metadata: string to string.
	Meta map[string]string
}
