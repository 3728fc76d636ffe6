// Package checkpoint stores the state of a run in one safetensors file that is
// either complete or absent.
//
// The file is eight bytes with the length of the header (little-endian), the
// header in JSON, and the tensors as little-endian float32, in the order and at
// the offsets that the header gives. The metadata carries a SHA-256 of the whole
// file, so that a flipped bit is found wherever it is. Any safetensors library
// can read the file.
//
// Format: https://github.com/huggingface/safetensors#format
package checkpoint

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gespann/gespann/backend/ir"
)

// A Tensor is one named variable.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// A State is everything needed to continue a run with the same bits.
type State struct {
	Tensors []Tensor
	// Meta is stored as the safetensors metadata: string to string. The key
	// "sha256" is the package's own and never appears here.
	Meta map[string]string
}

// New returns a state of the given variables, whose values it shares.
func New(vars []ir.Var, values [][]float32, meta map[string]string) *State {
	s := &State{Meta: meta}
	for i, v := range vars {
		s.Tensors = append(s.Tensors, Tensor{Name: v.Name, Shape: v.Shape, Data: values[i]})
	}
	return s
}

// ErrOtherModel is the error of a state whose variables are not the model's.
var ErrOtherModel = errors.New("from another model")

// Values returns the state's tensors in the order of vars, which must be all of them: a
// difference is an error that names the first variable that differs, an ErrOtherModel.
func (s *State) Values(vars []ir.Var) ([][]float32, error) { return s.values(vars, false) }

// Weights is Values for a model that is not trained on, or from the start: variables of
// the optimiser that the state lacks are zero, and those that only the state has are
// left out.
func (s *State) Weights(vars []ir.Var) ([][]float32, error) { return s.values(vars, true) }

func (s *State) values(vars []ir.Var, weights bool) ([][]float32, error) {
	byName := map[string]Tensor{}
	for _, t := range s.Tensors {
		byName[t.Name] = t
	}
	values := make([][]float32, len(vars))
	for i, v := range vars {
		t, ok := byName[v.Name]
		switch {
		case !ok && v.Role == ir.OptState && weights:
			values[i] = make([]float32, ir.Size(v.Shape))
			continue
		case !ok:
			return nil, fmt.Errorf("%w: no variable %s, the model wants it with shape %v",
				ErrOtherModel, v.Name, v.Shape)
		case !slices.Equal(t.Shape, v.Shape):
			return nil, fmt.Errorf("%w: variable %s has shape %v, the model wants %v",
				ErrOtherModel, v.Name, t.Shape, v.Shape)
		}
		values[i] = t.Data
		delete(byName, v.Name)
	}
	for _, t := range s.Tensors {
		if _, left := byName[t.Name]; left && !(weights && s.ofOptimizer(t.Name)) {
			return nil, fmt.Errorf("%w: variable %s with shape %v is not in the model",
				ErrOtherModel, t.Name, t.Shape)
		}
	}
	return values, nil
}

// ofOptimizer reports whether a tensor is a variable of the optimiser, which is called
// "optimizer.", what it is, "." and the variable that it is of.
func (s *State) ofOptimizer(name string) bool {
	rest, ok := strings.CutPrefix(name, "optimizer.")
	_, of, ok2 := strings.Cut(rest, ".")
	return ok && ok2 && slices.ContainsFunc(s.Tensors, func(t Tensor) bool { return t.Name == of })
}
