package model

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/numtest"
)

// A headCase is a loss that includes an activation, with every metric that its
// targets allow.
type headCase struct {
	loss, activation string
	input            Input
	units            int
	metrics          string
}

var headCases = []headCase{
	{"binary_crossentropy", "sigmoid", Input{Shape: []int{2}, Classes: 2}, 1, "accuracy, mean_absolute_error"},
	{"binary_crossentropy", "sigmoid", Input{Shape: []int{2}, Target: []int{3}}, 3, "accuracy, mean_absolute_error"},
	{"categorical_crossentropy", "softmax", Input{Shape: []int{2}, Target: []int{3}}, 3,
		"accuracy, top_2_accuracy, mean_absolute_error"},
	{"categorical_crossentropy", "softmax", Input{Shape: []int{4, 2}, Target: []int{4, 3}}, 3, "mean_absolute_error"},
	{"sparse_categorical_crossentropy", "softmax", Input{Shape: []int{2}, Classes: 3}, 3, "accuracy, top_2_accuracy"},
}

// Metrics are taken of what predictions mean: of probabilities, also where the
// model leaves the activation to its loss, in training and in evaluation.
func TestMetricsAreOfProbabilities(t *testing.T) {
	const rows = 5
	for i, c := range headCases {
		for _, written := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d %s, activation written %v", i, c.loss, written), func(t *testing.T) {
				m := build(t, c.specimen(written))
				k := newMachine(m, rows)
				for i, x := range k.floats[ir.InY] {
					k.floats[ir.InY][i] = float64(indicator(x > 0)) // probabilities
				}
				forward, err := m.forwardAt(rows, true)
				got := k.run(must(t, forward, err))
				gradient, err := m.gradientAt(rows, false)
				trained := k.run(must(t, gradient, err))
				p := slices.Clone(got[ir.OutPrediction])
				if (m.Logits() == "") != written {
					t.Errorf("Logits() = %q, with the activation written: %v", m.Logits(), written)
				}
				if !written {
					toProbabilities(p, c.activation, c.units)
				}
				for _, name := range m.Metrics() {
					want := []float64{c.metric(m, name, p, k, rows)}
					name = ir.MetricPrefix + name
					numtest.Close(t, got[name], want, exact)
					numtest.Close(t, trained[name], want, exact)
				}
			})
		}
	}
}

func (c headCase) specimen(written bool) specimen {
	act := "linear"
	if written {
		act = c.activation
	}
	return specimen{name: c.loss, input: c.input, yaml: fmt.Sprintf(
		"model: [{dense: {units: %d, activation: %s}}]\nloss: %s\nmetrics: [%s]\n", c.units, act, c.loss, c.metrics)}
}

// metric is a metric by its definition, summed over rows of probabilities; a row's
// value is the mean over its positions.
func (c headCase) metric(m *Model, name string, p []float64, k *machine, rows int) float64 {
	y, perRow := k.floats[ir.InY], len(p)/rows
	sum := 0.0
	for r := range rows {
		row := p[r*perRow : (r+1)*perRow]
		switch {
		case name == "mean_absolute_error":
			for j, x := range row {
				sum += math.Abs(x-y[r*perRow+j]) / float64(perRow)
			}
		case c.activation == "sigmoid":
			for j, x := range row {
				sum += float64(indicator((x > 0.5) == (y[r*perRow+j] > 0.5))) / float64(perRow)
			}
		default:
			class := int(k.ints[ir.InY][r])
			if !m.head.integer() {
				target := y[r*perRow : (r+1)*perRow]
				class = slices.Index(target, slices.Max(target))
			}
			above := 0
			for _, x := range row {
				above += indicator(x > row[class])
			}
			sum += float64(indicator(name == "accuracy" && above < 1 || name == "top_2_accuracy" && above < 2))
		}
	}
	return sum
}

// toProbabilities applies sigmoid, or softmax to each units numbers.
func toProbabilities(p []float64, activation string, units int) {
	if activation == "sigmoid" {
		for i, x := range p {
			p[i] = 1 / (1 + math.Exp(-x))
		}
		return
	}
	for row := range slices.Chunk(p, units) {
		sum := 0.0
		for _, x := range row {
			sum += math.Exp(x)
		}
		for i, x := range row {
			row[i] = math.Exp(x) / sum
		}
	}
}

func indicator(b bool) int {
	if b {
		return 1
	}
	return 0
}

// As Keras reports it: keras.metrics.MeanAbsoluteError of sigmoid([5, -5, 0]) and
// targets [1, 0, 1] is (2·(1 − 1/(1+e⁻⁵)) + 1/2)/3.
func TestAbsoluteErrorOfLogits(t *testing.T) {
	m := build(t, specimen{name: "logits", input: Input{Shape: []int{1}, Target: []int{1}}, yaml: `
model: [{dense: {units: 1, use_bias: false}}]
loss: binary_crossentropy
metrics: [mean_absolute_error]
`})
	k := newMachine(m, 3)
	k.vars[0][0] = 1
	k.floats[ir.InX], k.floats[ir.InY] = []float64{5, -5, 0}, []float64{1, 0, 1}
	p, err := m.forwardAt(3, true)
	got := k.run(must(t, p, err))[ir.MetricPrefix+"mean_absolute_error"]
	numtest.Close(t, []float64{got[0] / 3}, []float64{0.1711285672828565}, exact)
}
