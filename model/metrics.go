package model

import (
	"fmt"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/op"
	"github.com/gespann/gespann/model/spec"
)

// Confusion is the name of the confusion matrix, which Forward adds to the
// metrics of a classification: sums over rows of pairs (true class, predicted
// class), row-major.
const Confusion = "confusion"

// A metric is one number, or matrix, summed over the rows. It is taken of what
// predict writes, see head.prediction.
type metric struct {
	name  string
	attrs ir.Attrs
	// ofValues: it compares values with targets. The others look at the order of
	// values or at one half, where logits tell the same: softmax and sigmoid rise.
	ofValues bool
}

// newMetrics returns the metrics that the spec asks for.
func (h *head) newMetrics(s *spec.Spec, in Input) ([]metric, spec.Errors) {
	var out []metric
	var errs spec.Errors
	for i, name := range s.Metrics {
		m, err := h.newMetric(name, in)
		if err != nil {
			errs = append(errs, s.Errorf(fmt.Sprintf("metrics[%d]", i), "%s %v", name, err))
			continue
		}
		out = append(out, m)
	}
	return out, errs
}

func (h *head) newMetric(name string, in Input) (metric, error) {
	m := metric{name: name}
	if k, ok := spec.TopK(name); ok {
		m.attrs.Metric, m.attrs.K = ir.TopK, k
		return m, h.checkTopK(k, in)
	}
	switch name {
	case "accuracy":
		switch {
		case h.oneOfMany(in):
			m.attrs.Metric = ir.Accuracy
		case h.targets == binaryTargets:
			m.attrs.Metric = ir.BinaryAccuracy // of logits: split at 0
		default:
			return m, fmt.Errorf("is for classes, but %s compares numbers", h.choice.Kind)
		}
	case "mean_absolute_error":
		if h.integer() {
			return m, fmt.Errorf("is for numbers, but the targets are class labels")
		}
		m.attrs.Metric, m.ofValues = ir.MAE, true
	default:
		return m, fmt.Errorf("is no metric")
	}
	return m, nil
}

// checkTopK reports a k that says nothing about the model.
func (h *head) checkTopK(k int, in Input) error {
	if !h.oneOfMany(in) {
		return fmt.Errorf("is for classes, but %s compares numbers", h.choice.Kind)
	}
	if n := h.classes(in); k >= n {
		return fmt.Errorf("is always 1: the true class is always among the %d largest of %d outputs", k, n)
	}
	return nil
}

// oneOfMany reports whether the targets say which of several classes it is, by
// labels or one-hot rows. Several yes/no targets are not one-hot, unless the data
// has classes.
func (h *head) oneOfMany(in Input) bool {
	oneHot := len(h.target) == 1 && h.target[0] > 1
	return h.integer() || oneHot && (in.Classes > 0 || h.lossKind.logits == "softmax")
}

// classes returns the number of classes of oneOfMany.
func (h *head) classes(in Input) int {
	if h.integer() {
		return in.Classes
	}
	return h.target[0]
}

// confusion returns the confusion matrix, if there are classes to confuse.
func (h *head) confusion(in Input) []metric {
	if h.oneOfMany(in) || h.targets == binaryTargets && len(h.target) == 1 && h.target[0] == 1 {
		return []metric{{name: Confusion, attrs: ir.Attrs{Metric: ir.Confusion}}}
	}
	return nil
}

// metric adds a metric.
func (h *head) metric(n *network, m metric) (*G.Node, error) {
	of := h.logits
	if m.ofValues {
		of = h.prediction
	}
	x, err := of(n)
	if err != nil {
		return nil, err
	}
	return op.Apply(lossLayer, ir.Metric, m.attrs, 0, x, h.y(n))
}
