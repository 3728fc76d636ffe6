package model

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
)

var _ backend.Programs = (*Model)(nil)

func TestProgramsAreCached(t *testing.T) {
	m := build(t, zoo[0])
	a, err := m.Gradient(3, false)
	must(t, a, err)
	b, err := m.Gradient(3, false)
	if must(t, b, err) != a {
		t.Error("the same program was built twice")
	}
	c, err := m.Gradient(4, false)
	if must(t, c, err) == a {
		t.Error("programs for 3 and 4 rows are one")
	}
}

func TestRowsOutOfRange(t *testing.T) {
	m := build(t, zoo[0])
	for _, rows := range []int{0, -1} {
		_, err := m.Forward(rows, true)
		if err == nil || !strings.Contains(err.Error(), "want at least 1") {
			t.Errorf("Forward(%d) = %v, want an error", rows, err)
		}
		if _, _, err := m.Graph(rows); err == nil {
			t.Errorf("Graph(%d) has no error", rows)
		}
	}
	// 6 inputs per row: more elements than an index can count.
	if _, err := m.Gradient(1<<30, false); err == nil || !strings.Contains(err.Error(), "want at most 2147483647 elements") {
		t.Errorf("Gradient(2^30) = %v, want an error", err)
	}
}

func TestProgramsConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	one := build(t, zoo[0])
	for i := range 4 {
		wg.Go(func() {
			other := build(t, zoo[0])
			for _, m := range []*Model{one, other} {
				p, err := m.Gradient(1+i/2, false)
				if err != nil {
					t.Error(err)
				} else if err := ir.Verify(p, m.Vars()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// Programs are the same from run to run: workers build their own.
func TestProgramsAreDeterministic(t *testing.T) {
	forZoo(t, func(t *testing.T, s specimen, m *Model) {
		other := build(t, s)
		a, b := programs(t, m, 3), programs(t, other, 3)
		for i := range a {
			if a[i].String() != b[i].String() {
				t.Errorf("program %s differs from build to build", a[i].Name)
			}
		}
	})
}

func TestWantsIntegers(t *testing.T) {
	for _, tt := range []struct {
		name, layers string
		want         bool
	}{
		{"embedding", "[{embedding: {input_dim: 3, output_dim: 2}}, flatten, {dense: {units: 2}}]", true},
		{"behind a reshape", "[flatten, {embedding: {input_dim: 3, output_dim: 2}}, flatten, {dense: {units: 2}}]", true},
		{"dense", "[{dense: {units: 2}}]", false},
		{"behind a dense", "[{dense: {units: 2}}, {embedding: {input_dim: 3, output_dim: 2}}, flatten, {dense: {units: 2}}]", false},
	} {
		if got := WantsIntegers(parse(t, "model: "+tt.layers+"\n"+squared)); got != tt.want {
			t.Errorf("%s: WantsIntegers = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// names returns the outputs of a program that start with prefix.
func names(p *ir.Program, prefix string) []string {
	var out []string
	for _, v := range p.Values {
		if name, ok := strings.CutPrefix(v.Name, prefix); ok && v.Kind == ir.Output {
			out = append(out, name)
		}
	}
	return out
}

func TestMetrics(t *testing.T) {
	attrs := func(m *Model) string {
		p, err := m.Forward(2, true)
		must(t, p, err)
		var out []string
		for _, in := range p.Instrs {
			if a := in.Attrs; in.Op == ir.Metric {
				out = append(out, strings.TrimSuffix(fmt.Sprintf("%v(%d)", a.Metric, a.K), "(0)"))
			}
		}
		return strings.Join(out, " ")
	}
	const layers = "model: [{dense: {units: %d, activation: %s}}]\nloss: %s\nmetrics: [%s]\n"
	for _, tt := range []struct {
		units              int
		act, loss, metrics string
		input              Input
		want               string
	}{
		{9, "softmax", "sparse_categorical_crossentropy", "top_k_accuracy, accuracy", Input{Classes: 9}, "top_k(5) accuracy confusion"},
		{3, "linear", "sparse_categorical_crossentropy", "top_2_accuracy", Input{Classes: 3}, "top_k(2) confusion"},
		{3, "softmax", "categorical_crossentropy", "accuracy, mean_absolute_error", Input{Classes: 3, Target: []int{3}}, "accuracy mae confusion"},
		{3, "softmax", "mean_squared_error", "accuracy", Input{Classes: 3, Target: []int{3}}, "accuracy confusion"},
		{3, "softmax", "mean_squared_error", "", Input{Target: []int{3}}, ""},
		{1, "sigmoid", "binary_crossentropy", "accuracy", Input{Classes: 2}, "binary_accuracy confusion"},
		{1, "linear", "binary_crossentropy", "accuracy", Input{Target: []int{1}}, "binary_accuracy confusion"},
		{4, "sigmoid", "binary_crossentropy", "accuracy", Input{Target: []int{4}}, "binary_accuracy"},
		{4, "sigmoid", "binary_crossentropy", "accuracy", Input{Classes: 4, Target: []int{4}}, "accuracy confusion"},
	} {
		text := fmt.Sprintf(layers, tt.units, tt.act, tt.loss, tt.metrics)
		tt.input.Shape = []int{4}
		m, err := Build(parse(t, text), tt.input)
		if err != nil {
			t.Errorf("%s%v", text, err)
			continue
		}
		if got := attrs(m); got != tt.want {
			t.Errorf("%smetrics are %q, want %q", text, got, tt.want)
		}
		p, err := m.Gradient(2, false)
		if got := names(must(t, p, err), ir.MetricPrefix); !slices.Equal(got, m.Metrics()) {
			t.Errorf("%sgradient has metrics %v, want %v", text, got, m.Metrics())
		}
	}
}

// Losses are functions of logits: where the model ends in softmax or sigmoid,
// the program's loss does not read it.
func TestFinalActivationIsFolded(t *testing.T) {
	for _, s := range zoo {
		sp := parse(t, s.yaml)
		if losses[sp.Loss.Kind].logits == "" {
			continue
		}
		p, err := build(t, s).Gradient(2, false)
		for _, in := range must(t, p, err).Instrs {
			if in.Op == ir.SoftmaxGrad || in.Op == ir.Softmax && len(sp.Metrics) == 0 {
				t.Errorf("%s: the gradient program has %v of %s", s.name, in.Op, in.Layer)
			}
		}
	}
}

func TestDropoutSeeds(t *testing.T) {
	var s specimen
	for _, s = range zoo {
		if s.name == "dropout" {
			break
		}
	}
	seeds := func(yaml string) []uint64 {
		m, err := Build(parse(t, yaml), s.input)
		if err != nil {
			t.Fatal(err)
		}
		p, err := m.Gradient(2, false)
		var out []uint64
		for _, in := range must(t, p, err).Instrs {
			if in.Op == ir.Dropout && !slices.Contains(out, in.Attrs.Seed) {
				out = append(out, in.Attrs.Seed)
			}
		}
		return out
	}
	a, b := seeds(s.yaml), seeds(s.yaml+"train: {seed: 2}\n")
	if len(a) != 2 || len(b) != 2 {
		t.Errorf("seeds are %v and %v, want two each: one per layer, the same forward and backward", a, b)
	}
	for _, seed := range a {
		if slices.Contains(b, seed) {
			t.Errorf("runs of different seeds share the mask seed %d", seed)
		}
	}
	p, err := build(t, s).Forward(2, true)
	for _, in := range must(t, p, err).Instrs {
		if in.Op == ir.Dropout {
			t.Error("the forward program has dropout")
		}
	}
}
