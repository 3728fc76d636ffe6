package main

import (
	"math"
	"strings"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model/spec"
)

// An output says what the rows that a model gives mean.
type output struct {
	classes []string // of a classification; two for one yes/no probability
	name    string   // of a number that is predicted
	logits  bool     // the model ends without the softmax or sigmoid of its loss
	buf     []float32
}

func newOutput(s *spec.Spec, p *data.Prep) *output {
	o := &output{name: "prediction"}
	if p.CSV != nil && p.CSV.Label != "" {
		o.name = p.CSV.Label
	}
	if p.Classes > 0 {
		o.classes = p.Labels
		if len(o.classes) != p.Classes {
			o.classes = numbers(p.Classes)
		}
	}
	last := lastActivation(s)
	o.logits = strings.HasSuffix(s.Loss.Kind, "crossentropy") && last != "softmax" && last != "sigmoid"
	return o
}

// lastActivation returns the activation of a model's last layer.
func lastActivation(s *spec.Spec) string {
	layers := s.Unroll()
	switch p := layers[len(layers)-1].Params.(type) {
	case *spec.Dense:
		return p.Activation
	case *spec.Conv2D:
		return p.Activation
	case *spec.Activation:
		return p.Kind
	}
	return "linear"
}

// row returns a buffer for one row of a batch of the given shape.
func (o *output) row(shape []int) []float32 {
	if o.buf == nil {
		o.buf = make([]float32, ir.Size(shape[1:]))
	}
	return o.buf
}

// toProbabilities applies the softmax or sigmoid that the model leaves to its loss.
func (o *output) toProbabilities(row []float32) {
	switch {
	case !o.logits:
	case o.classes == nil || len(row) == 1:
		for i, x := range row {
			row[i] = float32(1 / (1 + math.Exp(-float64(x))))
		}
	default:
		softmax(row)
	}
}

// softmax: exp(x−max) / Σ exp(x−max).
func softmax(row []float32) {
	top := float32(math.Inf(-1))
	for _, x := range row {
		top = max(top, x)
	}
	total := 0.0
	for _, x := range row {
		total += math.Exp(float64(x - top))
	}
	for i, x := range row {
		row[i] = float32(math.Exp(float64(x-top)) / total)
	}
}

// isClass reports whether rows of that length are probabilities of classes.
func (o *output) isClass(size int) bool {
	return o.classes != nil && (size == len(o.classes) || size == 1 && len(o.classes) == 2)
}

// probabilities returns one probability per class.
func (o *output) probabilities(row []float32) []float32 {
	if len(row) == 1 {
		return []float32{1 - row[0], row[0]}
	}
	return row
}

// argmax returns the first index of the greatest element.
func argmax(v []float32) int {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return best
}
