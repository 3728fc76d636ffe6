package model

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/model/spec"
)

// Keras's formulas for a convolution of 3x3, 20 channels to 50: fans 180 and
// 450, as standard deviation and largest absolute value.
func TestInitializers(t *testing.T) {
	shape := []int{3, 3, 20, 50}
	glorot, he, lecun := math.Sqrt(2.0/630), math.Sqrt(2.0/180), math.Sqrt(1.0/180)
	const cut = 2 / cutDeviation
	tests := []struct {
		name                 string
		mean, deviation, max float64
	}{
		{"zeros", 0, 0, 0},
		{"ones", 1, 0, 1},
		{"random_uniform", 0, 0.1 / math.Sqrt(12), 0.05},
		{"random_normal", 0, 0.05, 0.05 * 6},
		{"truncated_normal", 0, 0.05 * cutDeviation, 0.1},
		{"glorot_uniform", 0, glorot, glorot * math.Sqrt(3)},
		{"glorot_normal", 0, glorot, glorot * cut},
		{"he_uniform", 0, he, he * math.Sqrt(3)},
		{"he_normal", 0, he, he * cut},
		{"lecun_uniform", 0, lecun, lecun * math.Sqrt(3)},
		{"lecun_normal", 0, lecun, lecun * cut},
		{"orthogonal", 0, 1 / math.Sqrt(180), 1},
	}
	if len(tests) != len(initializers) {
		t.Errorf("got %d cases for %d initializers", len(tests), len(initializers))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := initializers[tt.name](shape, rand.New(rand.NewPCG(1, 2)))
			if len(v) != 9000 {
				t.Fatalf("got %d values, want 9000", len(v))
			}
			mean, deviation, largest := moments(v)
			// Of 9000 samples, the mean is off by less than 4/sqrt(9000) = 4.2 %
			// of the deviation, and the deviation by less than 3 % of itself.
			numtest.Close(t, []float64{mean}, []float64{tt.mean},
				numtest.Tol{Abs: 1e-7 + 0.042*tt.deviation, Why: "4 standard errors"})
			numtest.Close(t, []float64{deviation}, []float64{tt.deviation},
				numtest.Tol{Abs: 1e-7, Rel: 0.04, Why: "4 standard errors"})
			if !(largest <= tt.max*(1+1e-6)) {
				t.Errorf("largest is %v, want at most %v", largest, tt.max)
			}
		})
	}
}

func moments(v []float32) (mean, deviation, largest float64) {
	for _, x := range v {
		mean += float64(x) / float64(len(v))
		largest = max(largest, math.Abs(float64(x)))
	}
	for _, x := range v {
		d := float64(x) - mean
		deviation += d * d / float64(len(v))
	}
	return mean, math.Sqrt(deviation), largest
}

func TestFans(t *testing.T) {
	for _, tt := range []struct {
		shape   []int
		in, out float64
	}{
		{[]int{7}, 7, 7}, {[]int{3, 5}, 3, 5}, {[]int{2, 3, 5, 7}, 30, 42},
	} {
		if in, out := fans(tt.shape); in != tt.in || out != tt.out {
			t.Errorf("fans(%v) = %v, %v, want %v, %v", tt.shape, in, out, tt.in, tt.out)
		}
	}
}

func TestOrthogonal(t *testing.T) {
	for _, shape := range [][]int{{1}, {1, 1}, {5, 3}, {3, 5}, {4, 4}, {2, 2, 3, 8}, {64, 64}} {
		v := orthogonal(shape, rand.New(rand.NewPCG(1, 2)))
		cols := shape[len(shape)-1]
		rows := len(v) / cols
		at := func(i, j int) float64 { return float64(v[i*cols+j]) }
		if rows < cols { // rows are orthonormal: look at the transposed matrix
			rows, cols = cols, rows
			at = func(i, j int) float64 { return float64(v[j*rows+i]) }
		}
		var got, want []float64
		for a := range cols {
			for b := range cols {
				sum := 0.0
				for i := range rows {
					sum += at(i, a) * at(i, b)
				}
				got = append(got, sum)
				want = append(want, 0)
				if a == b {
					want[len(want)-1] = 1
				}
			}
		}
		numtest.Close(t, got, want, numtest.Tol{Abs: 2e-7, Why: "elements rounded to float32"})
	}
}

func TestInitial(t *testing.T) {
	m := build(t, zoo[len(zoo)-1])
	first, again, other := m.Initial(1), m.Initial(1), m.Initial(2)
	for i, v := range m.Vars() {
		if !slices.Equal(first[i], again[i]) {
			t.Errorf("%s differs from call to call", v.Name)
		}
		if slices.Equal(first[i], other[i]) != (m.vars[i].initializer == "constant" || m.vars[i].initializer == "zeros") {
			t.Errorf("%s: seeds 1 and 2 give %v and %v", v.Name, first[i], other[i])
		}
	}
	want := map[string]float32{
		"batch_normalization.gamma": 1, "batch_normalization.beta": 0,
		"batch_normalization.moving_mean": 0, "batch_normalization.moving_variance": 1,
		"layer_normalization.gamma": 1, "layer_normalization.beta": 0, "dense_1.bias": 0,
		"optimizer.m.dense.kernel": 0, "optimizer.v.dense.kernel": 0,
	}
	for i, v := range m.Vars() {
		if value, ok := want[v.Name]; ok {
			delete(want, v.Name)
			for _, got := range first[i] {
				if got != value {
					t.Errorf("%s starts as %v, want %v", v.Name, got, value)
				}
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("no variables %v", want)
	}
}

// A variable's values do not depend on what else is in the model.
func TestInitialDependsOnNameOnly(t *testing.T) {
	values := func(yaml string) []float32 {
		m, err := Build(parse(t, yaml), numbers)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range m.Vars() {
			if v.Name == "out.kernel" {
				return m.Initial(7)[i]
			}
		}
		t.Fatal("no out.kernel")
		return nil
	}
	a := values("model:\n  - dense: {units: 3}\n  - dense: {units: 2}\n    name: out\n" + squared)
	b := values("model:\n  - dense: {units: 9}\n  - dense: {units: 3}\n  - dense: {units: 2}\n    name: out\n" + squared)
	if !slices.Equal(a, b) {
		t.Errorf("out.kernel starts as %v or %v", a, b)
	}
}

func TestEveryInitializerOfTheSpecExists(t *testing.T) {
	for name := range initializers {
		yaml := "model:\n  - dense: {units: 2, kernel_initializer: " + name + ", bias_initializer: " + name + "}\n" + squared
		m, err := Build(parse(t, yaml), numbers)
		if err != nil {
			t.Fatal(err)
		}
		m.Initial(1)
	}
	s := parse(t, "model:\n  - embedding: {input_dim: 3, output_dim: 2}\n  - flatten\n  - dense: {units: 2}\n"+squared)
	if got := s.Model[0].Params.(*spec.Embedding).EmbeddingsInitializer; initializers[got] == nil {
		t.Errorf("default initializer %q does not exist", got)
	}
}

func BenchmarkOrthogonal(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		orthogonal([]int{512, 512}, rng)
	}
}
