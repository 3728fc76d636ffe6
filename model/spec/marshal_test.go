package spec

import (
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// plainSpec returns a spec without what Marshal does not write: where settings came
// from.
func plainSpec(s *Spec) *Spec {
	c := *s
	c.File, c.places = "", nil
	for _, choice := range []*Choice{&c.Loss, &c.Optimizer, &c.Train.Schedule, &c.Cluster.Strategy} {
		choice.Pos = Pos{}
	}
	c.Model = plainLayers(c.Model)
	return &c
}

func plainLayers(model []Layer) []Layer {
	out := make([]Layer, len(model))
	for i, l := range model {
		l.Pos = Pos{}
		if r, ok := l.Params.(*Repeat); ok {
			l.Params = &Repeat{Times: r.Times, Layers: plainLayers(r.Layers)}
		}
		out[i] = l
	}
	return out
}

// roundTrip checks that Parse(Marshal(s)) is s, and Marshal is stable.
func roundTrip(t *testing.T, s *Spec) {
	t.Helper()
	text, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("marshalled", text, Options{})
	if err != nil {
		t.Fatalf("Parse of\n%s\n%v", text, err)
	}
	if got, want := plainSpec(again), plainSpec(s); !reflect.DeepEqual(got, want) {
		t.Errorf("Parse(Marshal) = %+v, want %+v; marshalled\n%s", got, want, text)
	}
	second, err := again.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if string(second) != string(text) {
		t.Errorf("Marshal is\n%s\nthe first time and\n%s\nthe second", text, second)
	}
}

func TestMarshalConfigs(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(configs, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no configs: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			s, err := Load(path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, s)
		})
	}
}

// base is a spec that is valid with anything added to it.
const base = "data: {source: digits, validation_split: 0.1}\n"

func TestMarshal(t *testing.T) {
	const end = "model: [flatten]\nloss: huber\n"
	cases := map[string]string{
		"smallest": base + end,
		"text that needs quotes": "data: {source: csv, csv: {path: \"a: b #\\n\\u00e9\", delimiter: \"\\t\", " +
			"features: ['1', 'yes', '~', ' x '], label: \"\\\"\"}}\n" + end,
		"numbers as names": "data: {source: csv, csv: {path: 1.5, header: false, label: 0, categorical: [1, 2]}}\n" + end,
		"npy":              "data: {source: npy, npy: {x: a.npz:x, y: a.npz:y, test_x: b, test_y: c}}\n" + end,
		"large seed":       base + end + "train: {seed: 18446744073709551615}\n",
		"small numbers":    base + end + "optimizer: {adam: {learning_rate: 1e-30, epsilon: 1.1754943508222875e-38}}\n",
		"empty lists":      base + end + "metrics: []\n",
		"metrics":          base + end + "metrics: [top_k_accuracy, top_3_accuracy, accuracy]\n",
		"early stopping":   base + end + "train: {early_stopping: {patience: 3, min_delta: 0.001}, checkpoint_every: 500 steps}\n",
		"plateau":          base + end + "train: {schedule: {reduce_on_plateau: {monitor: loss, patience: 0}}}\n",
		"branches": base + "loss: huber\nmodel:\n" +
			"  - dense: 3\n    name: a\n  - dense: 3\n  - concatenate: {axis: 1}\n    inputs: [a, dense]\n",
		"blocks in blocks": base + "loss: huber\nmodel:\n  - repeat: {times: 2, layers: [" +
			"{repeat: {times: 3, layers: [dropout: 0.1, activation: elu]}, name: inner}, {add: {}, inputs: [input, inner]}]}\n",
		"empty run name": base + end + "train: {name: '', dir: ''}\n",
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := Parse("x.yaml", []byte(text), Options{})
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, s)
		})
	}
}

// TestMarshalKinds takes every kind through Parse and Marshal: with required
// settings only, which also shows that all defaults are valid.
func TestMarshalKinds(t *testing.T) {
	values := map[string]string{"layers": "[flatten]", "kind": "relu", "target_shape": "[4, -1]", "rate": "0.5", "decay_rate": "0.9"}
	params := func(k Kind) string {
		var list []string
		for _, f := range paramsOf(k) {
			if f.req && values[f.key] != "" {
				list = append(list, f.key+": "+values[f.key])
			} else if f.req {
				list = append(list, f.key+": 3")
			}
		}
		return "{" + strings.Join(list, ", ") + "}"
	}
	check := func(name, text string) {
		t.Run(name, func(t *testing.T) {
			s, err := Parse("x.yaml", []byte(text), Options{})
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, s)
		})
	}
	for name, k := range Layers {
		inputs := "input"
		if merges(name) {
			inputs = "input, input"
		}
		check(name, base+"loss: huber\nmodel: [{"+name+": "+params(k)+", inputs: ["+inputs+"]}]\n")
	}
	for name, k := range Losses {
		text := base
		if name == "categorical_crossentropy" {
			text = "data: {source: digits, one_hot: true}\n"
		}
		check(name, text+"model: [flatten]\nloss: {"+name+": "+params(k)+"}\n")
	}
	for name, k := range Optimizers {
		check(name, base+"model: [flatten]\nloss: huber\noptimizer: {"+name+": "+params(k)+"}\n")
	}
	for name, k := range Schedules {
		check(name, base+"model: [flatten]\nloss: huber\ntrain: {schedule: {"+name+": "+params(k)+"}}\n")
	}
	for name, k := range Strategies {
		text := base + "model: [flatten]\nloss: huber\ncluster: {strategy: {" + name + ": " + params(k) + "}}\n"
		if name == "eamsgd" {
			text += "optimizer: {sgd: {momentum: 0.9, nesterov: true}}\n"
		}
		check(name, text)
	}
}

// TestMarshalFloats writes numbers so that they are read back exactly.
func TestMarshalFloats(t *testing.T) {
	s, err := Parse("x.yaml", []byte(base+"model: [flatten]\nloss: huber\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []float64{0, 1, 0.1, 1e-7, 1.0 / 3, 1e21, 123456789, math.MaxFloat32, 0x1p-126} {
		s.Loss.Params.(*Huber).Delta = max(x, 1e-30)
		s.Train.EarlyStopping.MinDelta = 0
		s.Optimizer.Params.(*Adam).LearningRate = x
		roundTrip(t, s)
	}
}
