package spec

import (
	"strings"
	"testing"
)

const placed = `# A comment, which the canonical text does not have.

data:
  source: digits


  batch_size: 16
model:
  - flatten
  - repeat:
      times: 2
      layers:
        - dense: {units: 8, activation: relu}
        - dropout: 0.25
  - dense: 10
loss: sparse_categorical_crossentropy
train: {epochs: 3}
`

// TestPlaces checks that errors about a spec that was sent as canonical text name the
// places in the file that it was made of.
func TestPlaces(t *testing.T) {
	s, err := Parse("mine.yaml", []byte(placed), Options{Set: []Override{{"train.seed", "7"}}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	sent, err := Parse("mine.yaml", text, Options{Places: s.Places()})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"data.batch_size":                        "mine.yaml:7:15: data.batch_size: x",
		"model[1].repeat.times":                  "mine.yaml:11:14: model[1].repeat.times: x",
		"model[1].repeat.layers[0].dense.units":  "mine.yaml:13:26: model[1].repeat.layers[0].dense.units: x",
		"model[1].repeat.layers[1].dropout.rate": "mine.yaml:14:20: model[1].repeat.layers[1].dropout.rate: x",
		"model[2].dense.units":                   "mine.yaml:15:12: model[2].dense.units: x",
		"model[2].dense.activation":              "mine.yaml:15:5: model[2].dense.activation: x", // a default
		"train.seed":                             "mine.yaml:17:1: train.seed: x",                // of a flag
		"cluster.workers":                        "mine.yaml: cluster.workers: x",                // nowhere
	} {
		if got := sent.Errorf(path, "x").Error(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got, want := sent.Model[2].Pos, s.Model[2].Pos; got != want {
		t.Errorf("the last layer is at %v, want %v", got, want)
	}
	_, err = Parse("mine.yaml", []byte(strings.Replace(string(text), "units: 8", "units: -8", 1)), Options{Places: s.Places()})
	if want := "mine.yaml:13:26: model[1].repeat.layers[0].dense.units: got -8, want ≥ 1"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
