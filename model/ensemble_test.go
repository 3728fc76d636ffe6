package model

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/model/lower"
)

// own returns a machine with the variables of member i of the ensemble's machine.
func (k *machine) own(m *Model, i int) *machine {
	one := *k
	one.vars = k.vars[i*len(m.vars) : (i+1)*len(m.vars)]
	return &one
}

// outputs runs a model forward.
func outputs(t *testing.T, m *Model, k *machine, rows int) map[string][]float64 {
	t.Helper()
	p, err := m.forwardAt(rows, true)
	must(t, p, err)
	if err := ir.Verify(p, m.Vars()); err != nil {
		t.Error(err)
	}
	return k.run(p)
}

// TestEnsembleIsMean runs members one by one, and compares the mean of what they
// predict with what the ensemble does, for every layer and loss.
func TestEnsembleIsMean(t *testing.T) {
	const rows, n = 4, 3
	forZoo(t, func(t *testing.T, _ specimen, m *Model) {
		e := m.Ensemble(n)
		k := newMachine(e, rows)
		want := make([]float64, 0)
		for i := range n {
			p := outputs(t, m, k.own(m, i), rows)[ir.OutPrediction]
			p = probabilities(m, p)
			if len(want) == 0 {
				want = make([]float64, len(p))
			}
			for j := range p {
				want[j] += p[j] / n
			}
		}
		got := outputs(t, e, k, rows)
		numtest.Close(t, got[ir.OutPrediction], want, exact)
		if e.Logits() != "" {
			t.Errorf("got logits of %q, want probabilities", e.Logits())
		}
		p, err := e.forwardAt(rows, false)
		if bare := k.run(must(t, p, err)); len(bare) != 1 {
			t.Errorf("without targets: got %d outputs, want the prediction alone", len(bare))
		} else {
			numtest.Close(t, bare[ir.OutPrediction], want, exact)
		}
		lossOfMean(t, m, k, want, got)
	})
}

// probabilities applies what a model leaves to its loss.
func probabilities(m *Model, x []float64) []float64 {
	p := slices.Clone(x)
	switch m.Logits() {
	case "sigmoid":
		for i := range p {
			p[i] = 1 / (1 + math.Exp(-p[i]))
		}
	case "softmax":
		cols := m.head.classes(m.input)
		for row := range slices.Chunk(p, cols) {
			sum := 0.0
			for i := range row {
				row[i] = math.Exp(row[i])
				sum += row[i]
			}
			for i := range row {
				row[i] /= sum
			}
		}
	}
	return p
}

// lossOfMean compares cross-entropies and accuracy with their formulas on the mean.
func lossOfMean(t *testing.T, m *Model, k *machine, p []float64, got map[string][]float64) {
	t.Helper()
	const rows = 4
	cols := len(p) / rows
	loss, right := 0.0, 0.0
	switch m.head.choice.Kind {
	case "sparse_categorical_crossentropy":
		for r := range rows {
			row, class := p[r*cols:(r+1)*cols], k.ints[ir.InY][r]
			loss -= math.Log(row[class]) / rows
			if row[class] == slices.Max(row) {
				right++
			}
		}
	case "categorical_crossentropy": // y is any numbers; Σ t·(−log p)
		for i := range p {
			loss -= k.floats[ir.InY][i] * math.Log(p[i]) / rows
		}
	case "binary_crossentropy":
		for i := range p {
			y := k.floats[ir.InY][i]
			loss -= (y*math.Log(p[i]) + (1-y)*math.Log(1-p[i])) / float64(len(p))
			if (p[i] > 0.5) == (y > 0.5) {
				right += 1 / float64(cols)
			}
		}
	default:
		return // the loss works on the output itself
	}
	numtest.Close(t, got[ir.OutLoss], []float64{loss}, numtest.Tol{Abs: 1e-10, Rel: 1e-10, Why: "through a logarithm and back"})
	if want, is := got[ir.MetricPrefix+"accuracy"]; is && m.head.choice.Kind != "categorical_crossentropy" {
		numtest.Close(t, []float64{right}, want, exact)
	}
}

// TestEnsembleOfOne is the model itself.
func TestEnsembleOfOne(t *testing.T) {
	const rows = 4
	tol := numtest.Tol{Abs: 1e-10, Rel: 1e-10, Why: "through a logarithm and back"}
	forZoo(t, func(t *testing.T, _ specimen, m *Model) {
		e := m.Ensemble(1)
		k := newMachine(e, rows)
		got, want := outputs(t, e, k, rows), outputs(t, m, k, rows)
		numtest.Close(t, got[ir.OutPrediction], probabilities(m, want[ir.OutPrediction]), tol)
		delete(want, ir.OutPrediction)
		if m.head.lossKind.logits != "" && slices.Min(got[ir.OutPrediction]) < 0x1p-126 {
			delete(want, ir.OutLoss) // the logarithm is bounded
		}
		for name := range want {
			numtest.Close(t, got[name], want[name], tol)
		}
		for i, v := range e.Initial(7) {
			if !slices.Equal(v, m.Initial(7)[i]) {
				t.Errorf("%s begins otherwise than in the model alone", e.Vars()[i].Name)
			}
		}
	})
}

// TestEnsembleVariables are those of each member, in order; all members begin
// differently.
func TestEnsembleVariables(t *testing.T) {
	m := build(t, zoo[0])
	e := m.Ensemble(3)
	if e.Members() != 3 || e.Member() != m || m.Members() != 0 || m.Member() != nil {
		t.Errorf("got %d members of %p, want 3 of %p", e.Members(), e.Member(), m)
	}
	vars, one, values := e.Vars(), m.Vars(), e.Initial(1)
	for i, v := range vars {
		k, j := i/len(one), i%len(one)
		want := one[j]
		want.Name = memberPrefix(k) + want.Name
		if v.Name != want.Name || v.Role != want.Role || !slices.Equal(v.Shape, want.Shape) {
			t.Errorf("variable %d: got %v, want %v", i, v, want)
		}
		if k > 0 && strings.HasSuffix(v.Name, "kernel") && v.Role == ir.Param && slices.Equal(values[i], values[j]) {
			t.Errorf("%s begins as that of the first member", v.Name)
		}
	}
	if len(vars) != 3*len(one) || len(values) != len(vars) {
		t.Errorf("got %d variables and %d values, want %d", len(vars), len(values), 3*len(one))
	}
}

// TestEnsembleTrainsMembers: an ensemble has no training programs of its own.
func TestEnsembleTrainsMembers(t *testing.T) {
	e := build(t, zoo[0]).Ensemble(2)
	if _, err := e.Gradient(false); err == nil || !strings.Contains(err.Error(), errMembers.Error()) {
		t.Errorf("gradient: got %v, want %v", err, errMembers)
	}
	if _, err := e.Update(); err == nil || !strings.Contains(err.Error(), errMembers.Error()) {
		t.Errorf("update: got %v, want %v", err, errMembers)
	}
	want, _, err := e.Member().Graph()
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := e.Graph(); err != nil || got != want {
		t.Errorf("graph: got %v %v, want that of a member", got, err)
	}
	if got := e.Summary(); got != e.Member().Summary()+"ensemble of 2 members, each as above\n" {
		t.Errorf("summary: got %s", got)
	}
	for _, pass := range lower.Passes {
		p, err := e.build(programKey{"forward", true, false}, ir.B, true)
		must(t, p, err)
		pass.Run(p)
		if err := ir.Verify(p, e.Vars()); err != nil {
			t.Errorf("after %s: %v", pass.Name, err)
		}
	}
}
