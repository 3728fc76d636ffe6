package model

import (
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/op"
	"github.com/gespann/gespann/model/spec"
)

// A lossKind says what a loss compares.
type lossKind struct {
	targets targetType
	// logits names the activation that is folded into the loss when the model
	// ends in it; the loss then works on its input. Empty: the loss works on the
	// model's output, whatever it is.
	logits string
	kind   ir.Op
	loss   ir.Loss
}

// A targetType says what the targets of a loss are.
type targetType uint8

const (
	// classTargets are integer class labels.
	classTargets targetType = iota
	// rowTargets are rows of numbers of the output's shape.
	rowTargets
	// binaryTargets are rows of numbers in [0,1], or labels of two classes.
	binaryTargets
)

// losses lists the losses, by their YAML key.
var losses = map[string]lossKind{
	"sparse_categorical_crossentropy": {classTargets, "softmax", ir.SoftmaxXent, ir.NoLoss},
	"categorical_crossentropy":        {rowTargets, "softmax", ir.SoftmaxXent, ir.NoLoss},
	"binary_crossentropy":             {binaryTargets, "sigmoid", ir.PointLoss, ir.SigmoidXent},
	"mean_squared_error":              {rowTargets, "", ir.PointLoss, ir.SquaredError},
	"mean_absolute_error":             {rowTargets, "", ir.PointLoss, ir.AbsError},
	"huber":                           {rowTargets, "", ir.PointLoss, ir.Huber},
}

// A head is what follows the model's last layer: targets, loss and metrics.
type head struct {
	lossKind
	choice spec.Choice
	// target is the shape of a row of the program's input y; class labels have
	// none, and are integers.
	target []int
}

// newHead checks the loss against the data.
func newHead(s *spec.Spec, in Input) (*head, spec.Errors) {
	kind, ok := losses[s.Loss.Kind]
	h := &head{lossKind: kind, choice: s.Loss, target: in.Target}
	fail := func(hint, format string, args ...any) (*head, spec.Errors) {
		return nil, spec.Errors{{File: s.Loss.Pos.File, Line: s.Loss.Pos.Line, Col: s.Loss.Pos.Col,
			Path: "loss", Msg: s.Loss.Kind + ": " + fmt.Sprintf(format, args...), Hint: hint}}
	}
	labels := in.Target == nil
	if !labels && len(in.Target) == 0 {
		h.target = []int{1}
	}
	switch {
	case !ok:
		return fail("", "there is no such loss")
	case kind.targets == classTargets && !labels:
		return fail("use categorical_crossentropy or a regression loss",
			"takes class labels, but the targets are rows of %s numbers", shapeText(h.target))
	case kind.targets == rowTargets && labels && kind.logits != "":
		return fail("set data.one_hot, or use sparse_categorical_crossentropy",
			"takes rows of probabilities, but the targets are class labels")
	case kind.targets == rowTargets && labels:
		return fail("set data.one_hot, or use a cross-entropy",
			"takes rows of numbers, but the targets are class labels")
	case kind.targets == binaryTargets && labels && in.Classes != 2:
		return fail("use sparse_categorical_crossentropy",
			"takes two classes, but the data has %d", in.Classes)
	case kind.targets == binaryTargets && labels:
		h.target = []int{1}
	}
	return h, nil
}

// integer reports whether the program's input y holds class labels.
func (h *head) integer() bool { return h.targets == classTargets }

// y returns the leaf of the targets.
func (h *head) y(n *network) *G.Node {
	if h.integer() {
		return n.leaf(ir.InY, ir.Int, n.rows)
	}
	return n.leaf(ir.InY, ir.Float, slices.Concat([]int{n.rows}, h.target)...)
}

// logits returns what the loss works on: the output of the model, without a
// final activation that the loss includes.
func (h *head) logits(n *network) (*G.Node, error) {
	out := n.output()
	a, ok := n.acts[out]
	if h.lossKind.logits == "" || !ok {
		return out, nil
	}
	from, to := a.pre.Shape(), out.Shape()
	if a.name != h.lossKind.logits {
		return nil, fmt.Errorf("%s needs %s at the end, or no activation, but got %s",
			h.choice.Kind, h.lossKind.logits, a.name)
	}
	if a.name == "softmax" && from[len(from)-1] != to[len(to)-1] {
		return nil, fmt.Errorf("%s needs softmax over the last axis, but it is reshaped from %s to %s after it",
			h.choice.Kind, shapeText(from[1:]), shapeText(to[1:]))
	}
	return op.ApplyReshape(lossLayer, a.pre, to...)
}

// prediction returns what the output of the model means, which is what predictions
// are written as and metrics compare: probabilities where the loss includes an
// activation, which is applied if the model leaves it to the loss.
func (h *head) prediction(n *network) (*G.Node, error) {
	out := n.output()
	if _, written := n.acts[out]; written || h.lossKind.logits == "" {
		return out, nil
	}
	if h.lossKind.logits == "softmax" {
		return op.Apply(lossLayer, ir.Softmax, ir.Attrs{}, 0, out)
	}
	return op.Apply(lossLayer, ir.Activation, ir.Attrs{Act: ir.Sigmoid}, 0, out)
}

// lossLayer names loss and metrics in instructions.
const lossLayer = "loss"

// loss adds the mean loss of the batch.
func (h *head) loss(n *network) (*G.Node, error) {
	x, err := h.logits(n)
	if err != nil {
		return nil, err
	}
	a := ir.Attrs{Loss: h.lossKind.loss}
	if p, ok := h.choice.Params.(*spec.Huber); ok {
		a.Delta = p.Delta
	}
	return op.Apply(lossLayer, h.kind, a, 0, x, h.y(n))
}

// checkOutput compares the model's output with the data. The error is about the
// last layer.
func (h *head) checkOutput(n *network, in Input) *spec.Error {
	last := n.layers[len(n.layers)-1]
	row := n.output().Shape()[1:]
	if op.Value(n.output()).Type == ir.Int {
		return last.errorf("the model only passes integer ids on")
	}
	if _, err := h.logits(n); err != nil {
		return last.errorf("%v", err)
	}
	if !h.integer() && !slices.Equal(row, h.target) {
		if in.Target == nil {
			return last.errorf("output is %s, want 1 for labels of two classes", shapeText(row))
		}
		err := last.errorf("output is %s, but the targets are %s per row", shapeText(row), shapeText(h.target))
		if in.Classes > 0 && len(row) == 1 {
			err.Hint = countHint(row[0], in)
		}
		return err
	}
	if !h.integer() {
		return nil
	}
	switch {
	case len(row) != 1:
		err := last.errorf("output is %s, but class labels need one number per class", shapeText(row))
		err.Hint = "flatten makes each row a vector"
		return err
	case row[0] == in.Classes:
		return nil
	}
	what := fmt.Sprintf("output is %d", row[0])
	if last.kind == "dense" {
		what = fmt.Sprintf("%d units", row[0])
	}
	err := last.errorf("%s, but data has %s", what, classes(in.Classes))
	err.Hint = countHint(row[0], in)
	return err
}

// countHint is for labels that would fit so many outputs if they began with 0.
func countHint(outputs int, in Input) string {
	if in.Least == 0 || outputs != in.Classes-in.Least {
		return ""
	}
	return fmt.Sprintf("classes count from 0, but the labels are %d to %d: subtract %d from them",
		in.Least, in.Classes-1, in.Least)
}

// classes is "3 classes".
func classes(n int) string {
	if n == 1 {
		return "only one class"
	}
	return fmt.Sprintf("%d classes", n)
}
