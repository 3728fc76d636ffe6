package model

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
)

var _ backend.Programs = (*Model)(nil)

// forwardAt and gradientAt are the programs for so many rows.
func (m *Model) forwardAt(rows int, targets bool) (*ir.Program, error) {
	p, err := m.Forward(targets)
	return p.At(rows), err
}

func (m *Model) gradientAt(rows int, add bool) (*ir.Program, error) {
	p, err := m.Gradient(add)
	return p.At(rows), err
}

func TestProgramsAreBuiltOnce(t *testing.T) {
	m := build(t, zoo[0])
	a, err := m.Gradient(false)
	must(t, a, err)
	b, err := m.Gradient(false)
	if must(t, b, err) != a {
		t.Error("the same program was built twice")
	}
}

// TestRowsAreOpen compares programs for any number of rows, at some, with what becomes of
// a graph that was built for so many: nothing else in a model depends on their number.
func TestRowsAreOpen(t *testing.T) {
	forZoo(t, func(t *testing.T, _ specimen, m *Model) {
		sameRows(t, m)
		sameRows(t, m.Ensemble(3))
	})
}

func sameRows(t *testing.T, m *Model) {
	t.Helper()
	keys := []programKey{{"forward", false, false}, {"forward", true, false}, {"gradient", true, false}, {"gradient", true, true}}
	if m.many != nil {
		keys = keys[:2]
	}
	for _, key := range keys {
		open, err := m.program(key)
		must(t, open, err)
		if err := ir.Verify(open, m.Vars()); err != nil {
			t.Error(err)
		}
		for _, rows := range []int{1, 2, 3, 10, 64} {
			want, err := m.build(key, rows, false)
			must(t, want, err)
			if got := open.At(rows); !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%v\nwant\n%v", got, want)
			}
		}
	}
}

// TestTooManyRows: the number of rows is refused where an index cannot count the elements.
func TestTooManyRows(t *testing.T) {
	m := build(t, zoo[0]) // 6 inputs per row
	p, err := m.gradientAt(1<<30, false)
	err = ir.Verify(must(t, p, err), m.Vars())
	if err == nil || !strings.Contains(err.Error(), "want at most 2147483647 elements") {
		t.Errorf("2^30 rows: got %v, want an error", err)
	}
}

func TestProgramsConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	one := build(t, zoo[0])
	for i := range 4 {
		wg.Go(func() {
			other := build(t, zoo[0])
			for _, m := range []*Model{one, other} {
				p, err := m.gradientAt(1+i/2, false)
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
		p, err := m.forwardAt(2, true)
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
		p, err := m.gradientAt(2, false)
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
		p, err := build(t, s).gradientAt(2, false)
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
		p, err := m.gradientAt(2, false)
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
	p, err := build(t, s).forwardAt(2, true)
	for _, in := range must(t, p, err).Instrs {
		if in.Op == ir.Dropout {
			t.Error("the forward program has dropout")
		}
	}
}
