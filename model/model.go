// Package model turns a spec into programs: it builds the Gorgonia graph of the
// layers, lets Gorgonia differentiate it, and has it lowered.
package model

import (
	"slices"
	"sync"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/spec"
)

// An Input says what the data of a model looks like.
type Input struct {
	Shape   []int // of one row of features
	Integer bool  // features are integer ids
	Classes int   // number of classes; 0 for other targets
	Least   int   // least class label that occurs
	// Target is the shape of one row of float targets; nil for integer class
	// labels. With binary_crossentropy, labels of two classes become the input y
	// of type Float and shape [rows, 1] in the programs.
	Target []int
}

// WantsIntegers reports whether the model reads its features as integer ids: its
// data goes into an embedding.
func WantsIntegers(s *spec.Spec) bool {
	layers, errs := unroll(s)
	return len(errs) == 0 && wantsIntegers(layers)
}

// A Model builds the programs of a spec. It implements backend.Programs. Its
// methods may be called concurrently.
type Model struct {
	layers  []*layer
	shapes  [][]int // of a row of each layer's output
	input   Input
	head    *head
	metrics []metric
	logits  string // see Logits
	seed    uint64
	vars    []variable // of the layers, then of the optimiser
	states  []statistic
	update  *updater
	many    *ensemble // nil for a model that is none

	mu       sync.Mutex
	programs map[programKey]*ir.Program
}

// Build checks a model against its data. Errors are spec.Errors, all that were
// found.
func Build(s *spec.Spec, in Input) (*Model, error) {
	in.Shape = slices.Clone(in.Shape)
	if len(in.Shape) == 0 {
		in.Shape = []int{1}
	}
	m := &Model{input: in, seed: s.Train.Seed, programs: map[programKey]*ir.Program{}}
	var errs spec.Errors
	collect := func(more spec.Errors) { errs = append(errs, more...) }
	var err spec.Errors
	m.layers, err = unroll(s)
	collect(err)
	m.head, err = newHead(s, in)
	collect(err)
	if m.head != nil {
		m.metrics, err = m.head.newMetrics(s, in)
		collect(err)
	}
	if len(m.layers) > 0 {
		collect(m.probe())
	}
	m.update, err = newUpdater(s, m.vars, m.states)
	collect(err)
	if len(errs) > 0 {
		return nil, sortUnique(errs)
	}
	m.vars = append(m.vars, m.update.slots...)
	return m, nil
}

// probe builds the training graph once, to find its errors and variables.
func (m *Model) probe() spec.Errors {
	n, errs := newNetwork(m.layers, m.input, ir.B, true, m.seed)
	for _, out := range n.outputs {
		var row []int
		if out != nil {
			row = out.Shape()[1:]
		}
		m.shapes = append(m.shapes, row)
	}
	m.vars, m.states = n.vars, n.stats
	if n.output() != nil && m.head != nil {
		if err := m.head.checkOutput(n, m.input); err != nil {
			errs = append(errs, err)
		}
		if _, written := n.acts[n.output()]; !written {
			m.logits = m.head.lossKind.logits
		}
		if m.logits != "" && m.endsInActivation() {
			errs = append(errs, m.layers[len(m.layers)-1].errorf(
				"dropout between the last activation and %s, which needs what comes before the activation", m.head.choice.Kind))
		}
	}
	trained := slices.ContainsFunc(m.vars, func(v variable) bool { return v.Role == ir.Param })
	if len(errs) == 0 && !trained {
		errs = append(errs, m.layers[0].errorf("the model has nothing to train"))
	}
	return errs
}

// endsInActivation reports whether the model's output is an activation at
// inference, where dropout does nothing.
func (m *Model) endsInActivation() bool {
	n, _ := newNetwork(m.layers, m.input, ir.B, false, m.seed)
	_, ok := n.acts[n.output()]
	return ok
}

// sortUnique sorts errors and drops repetitions, which the copies of repeated
// blocks make.
func sortUnique(errs spec.Errors) spec.Errors {
	errs.Sort()
	return slices.CompactFunc(errs, func(a, b *spec.Error) bool {
		return a.Line > 0 && a.File == b.File && a.Line == b.Line && a.Col == b.Col
	})
}

// Vars returns the parameters and states of the layers, in their order, and then
// the variables of the optimiser.
func (m *Model) Vars() []ir.Var {
	out := make([]ir.Var, len(m.vars))
	for i, v := range m.vars {
		out[i] = v.Var
	}
	return out
}

// Logits returns the activation that turns the model's predictions into
// probabilities, where the model leaves it to its loss: "softmax" over the last
// axis or "sigmoid"; else "".
func (m *Model) Logits() string { return m.logits }

// Metrics returns the names of the metrics, in the order of the spec. Forward
// also computes Confusion where there are classes.
func (m *Model) Metrics() []string {
	out := make([]string, len(m.metrics))
	for i, x := range m.metrics {
		out[i] = x.name
	}
	return out
}
