package model

import (
	"fmt"

	"github.com/gespann/gespann/model/spec"
)

// dataInput is the index that stands for the data in layer.inputs.
const dataInput = -1

// A layer is one layer of the model, with repeated blocks written out.
type layer struct {
	kind, name, path string
	params           any
	pos              spec.Pos
	inputs           []int // indices of earlier layers, or dataInput
}

// String names the layer in messages: `model[3] conv2d "stem"`, or
// `model[3] conv2d` when it has the kind's name.
func (l *layer) String() string {
	if l.name == l.kind {
		return l.path + " " + l.kind
	}
	return fmt.Sprintf("%s %s %q", l.path, l.kind, l.name)
}

// tag names the layer in instructions.
func (l *layer) tag() string { return l.path + " " + l.name }

// errorf returns an error about the layer.
func (l *layer) errorf(format string, args ...any) *spec.Error {
	return &spec.Error{File: l.pos.File, Line: l.pos.Line, Col: l.pos.Col,
		Path: l.String(), Msg: fmt.Sprintf(format, args...)}
}

// source names an input of a layer in messages.
func source(layers []*layer, i int) string {
	if i == dataInput {
		return "the data"
	}
	return fmt.Sprintf("%s %q", layers[i].path, layers[i].name)
}

// unroll lists the layers of a model, in order, with their inputs resolved.
func unroll(s *spec.Spec) ([]*layer, spec.Errors) {
	index := map[string]int{"input": dataInput}
	var layers []*layer
	var errs spec.Errors
	for i, l := range s.Unroll() {
		made := &layer{kind: l.Kind, name: l.Name, path: l.Path, params: l.Params, pos: l.Pos}
		for _, name := range l.Inputs {
			at, ok := index[name]
			if !ok {
				errs = append(errs, made.errorf("input %q is no layer before it", name))
			}
			made.inputs = append(made.inputs, at)
		}
		layers = append(layers, made)
		index[l.Name] = i
	}
	if len(layers) == 0 {
		errs = append(errs, &spec.Error{File: s.File, Path: "model", Msg: "got no layers"})
	}
	return layers, errs
}
