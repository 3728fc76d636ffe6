package main

import (
	"math"
	"slices"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model"
)

// An output says what the rows that a model gives mean.
type output struct {
	classes []string // of a classification; two for one yes/no probability
	name    string   // of a number that is predicted
	logits  string   // the softmax or sigmoid that the model leaves to its loss, or ""
	last    int      // size of a row's last axis, over which softmax goes
	buf     []float32
}

func newOutput(m *model.Model, p *data.Prep) *output {
	o := &output{name: "prediction", logits: m.Logits()}
	if p.CSV != nil && p.CSV.Label != "" {
		o.name = p.CSV.Label
	}
	if p.Classes > 0 {
		o.classes = p.Labels
		if len(o.classes) != p.Classes {
			o.classes = numbers(p.Classes)
		}
	}
	return o
}

// row returns a buffer for one row of a batch of the given shape.
func (o *output) row(shape []int) []float32 {
	if o.buf == nil {
		o.buf, o.last = make([]float32, ir.Size(shape[1:])), shape[len(shape)-1]
	}
	return o.buf
}

// toProbabilities applies the activation that the model leaves to its loss.
func (o *output) toProbabilities(row []float32) {
	switch o.logits {
	case "sigmoid":
		for i, x := range row {
			row[i] = float32(1 / (1 + math.Exp(-float64(x))))
		}
	case "softmax":
		for position := range slices.Chunk(row, o.last) {
			softmax(position)
		}
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

// class returns the most likely class; not ok: a NaN has no order.
func (o *output) class(probabilities []float32) (name string, ok bool) {
	for _, x := range probabilities {
		if x != x {
			return "", false
		}
	}
	return o.classes[argmax(probabilities)], true
}

// finite reports whether all of row are numbers.
func finite(row []float32) bool {
	for _, x := range row {
		if !isFinite(x) {
			return false
		}
	}
	return true
}

func isFinite(x float32) bool { return x-x == 0 }

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
