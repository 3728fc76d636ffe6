package train

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/model/spec"
)

// notesOf runs to the end and returns what the run noted.
func notesOf(r *testRun) (notes []string, started Started, result *Result) {
	r.t.Helper()
	result, err := r.run(context.Background(), 0, func(e Event) {
		switch e := e.(type) {
		case Note:
			notes = append(notes, e.Text)
		case Started:
			started = e
		}
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return notes, started, result
}

// reparsed returns the spec of r with other settings.
func (r *testRun) reparsed(set ...spec.Override) *spec.Spec {
	r.t.Helper()
	text, err := r.spec.Marshal()
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := spec.Parse("test.yaml", text, spec.Options{Set: set})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// TestChanges checks that a run follows a setting or refuses it, inside an epoch and
// between two, and that what it refuses does not stay with it.
func TestChanges(t *testing.T) {
	inside := newTestRun(t, plain)
	inside.until(3)
	between := newTestRun(t, plain)
	between.must()
	for _, c := range []struct {
		key, value      string
		inside, between bool // may change
	}{
		{"data.normalize", "standard", false, false},
		{"data.csv.label", "y", false, false},
		{"data.csv.features", "a", false, false},
		{"data.csv.categorical", "a", false, false},
		{"data.test_split", "0.1", false, false},
		{"data.validation_split", "0.2", false, false},
		{"data.split_seed", "9", false, false},
		{"data.shuffle", "false", false, true},
		{"data.batch_size", "8", false, true},
		{"data.csv.path", "elsewhere.csv", true, true},
		{"loss", "mean_squared_error", false, false},
		{"optimizer", "sgd", false, false},
		{"optimizer", "adagrad", false, false},
		{"optimizer.adam.beta_1", "0.8", false, false},
		{"optimizer.adam.learning_rate", "0.1", true, true},
		{"metrics", "accuracy,top_2_accuracy", false, true},
		{"train.seed", "5", false, false},
		{"train.accumulate", "2", false, true},
		{"train.epochs", "7", true, true},
		{"backend.threads", "1", true, true},
	} {
		for _, place := range []struct {
			r    *testRun
			name string
			at   int
			may  bool
		}{{inside, "inside an epoch", 1, c.inside}, {between, "between epochs", 0, c.between}} {
			now := place.r.reparsed(spec.Override{Key: c.key, Value: c.value})
			err := checkChanges(place.r.spec, now, place.r.path, place.at)
			if (err == nil) != place.may {
				t.Errorf("%s: %s becomes %s: got %v, want it allowed: %v", place.name, c.key, c.value, err, place.may)
			}
			if place.may {
				continue
			}
			if !strings.Contains(err.Error(), c.key+": got "+yamlOf(now, c.key)+", but the run has ") {
				t.Errorf("%s: %s becomes %s: got %v, want both sides named", place.name, c.key, c.value, err)
			}
			if c.key == "loss" {
				continue // which takes other targets
			}
			kept := place.r.spec
			place.r.spec = now
			if _, err := place.r.run(context.Background(), 0, nil); err == nil {
				t.Errorf("%s: the run goes on although %s is %s", place.name, c.key, c.value)
			}
			place.r.spec = kept
		}
	}
	for _, r := range []*testRun{inside, between} {
		stored, err := (&Dir{Path: r.path}).Spec(spec.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d := spec.Differences(r.spec, stored); d != nil {
			t.Errorf("the run has kept %v", d)
		}
	}
}

func yamlOf(s *spec.Spec, key string) string { return s.Value(key) }

// TestEditedSpec checks that a spec that was edited by hand is compared with that of the
// checkpoint.
func TestEditedSpec(t *testing.T) {
	r := newTestRun(t, `
model: [{dense: {units: 5}}, {dropout: 0.1}, {dense: {units: 3}}]
train: {epochs: 3}
`)
	r.until(3)
	path := filepath.Join(r.path, specFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(string(text), "rate: 0.1", "rate: 0.4", 1)
	if edited == string(text) {
		t.Fatalf("no rate in\n%s", text)
	}
	if err := os.WriteFile(path, []byte(edited), 0o666); err != nil {
		t.Fatal(err)
	}
	if r.spec, err = (&Dir{Path: r.path}).Spec(spec.Options{}); err != nil {
		t.Fatal(err)
	}
	_, err = r.run(context.Background(), 0, nil)
	if want := "model: not what the run has"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want ... %s ...", err, want)
	}
}

// TestOtherRows checks that a run goes on with the rows that it began with only.
func TestOtherRows(t *testing.T) {
	r := newTestRun(t, plain)
	r.until(15)
	r.splits = data.NewSplits(1, 0.3, 0, &testSet().Parts)
	if err := (&Dir{Path: r.path}).writeJSON(splitsFile, &r.splits); err != nil {
		t.Fatal(err)
	}
	r.until(1)
	same := r.splits
	r.splits.Parts[data.Validation].Digest = strings.Repeat("0", 64)
	_, err := r.run(context.Background(), 0, nil)
	var split *data.SplitError
	if !errors.As(err, &split) || split.Split != data.Validation {
		t.Errorf("got %v, want a SplitError about the validation rows", err)
	}
	os.Remove(filepath.Join(r.path, splitsFile)) // checkpoints have them too
	if _, err := r.run(context.Background(), 0, nil); !errors.As(err, &split) {
		t.Errorf("without %s: got %v, want a SplitError", splitsFile, err)
	}
	r.splits = same
	r.must()
}

// TestMonitorChanges checks that values of one monitor are not compared with the best of
// another: losses would never be better than the best accuracy.
func TestMonitorChanges(t *testing.T) {
	const yaml = `
model: [{dense: {units: 8, activation: relu}}, {dense: {units: 3, activation: softmax}}]
optimizer: {adam: {learning_rate: 0.01}}
train:
  epochs: 3
  early_stopping: {patience: 3, monitor: val_accuracy}
  schedule: {reduce_on_plateau: {patience: 2, monitor: accuracy}}
`
	r := newTestRun(t, yaml)
	r.must()
	r.spec = r.reparsed(spec.Override{Key: "train.epochs", Value: "9"},
		spec.Override{Key: "train.early_stopping.monitor", Value: "val_loss"},
		spec.Override{Key: "train.schedule.reduce_on_plateau.monitor", Value: "loss"})
	notes, _, result := notesOf(r)
	if result.Stopped || result.Best < 4 {
		t.Errorf("got %+v, want a run to the end whose best epoch is one of the new monitor", result)
	}
	if text := strings.Join(notes, "\n"); len(notes) != 2 || !strings.Contains(text, "Early stopping followed val_accuracy") ||
		!strings.Contains(text, "The schedule followed accuracy") {
		t.Errorf("noted %q", notes)
	}
	table, _, err := readMetrics(filepath.Join(r.path, metricsFile))
	if err != nil {
		t.Fatal(err)
	}
	for i, rate := range table["learning_rate"] {
		if rate < 0.009 {
			t.Errorf("epoch %d: the rate is %v, want that it was never reduced: the loss falls", i+1, rate)
		}
	}
}

// TestStoppedAlready checks that a run that stopped early says why it does not go on,
// and goes on with more patience.
func TestStoppedAlready(t *testing.T) {
	r := newTestRun(t, resumeSpecs["sgd, batch norm, plateau, early stopping"])
	first := r.must()
	if !first.Stopped {
		t.Fatal("the run did not stop early")
	}
	_, started, again := notesOf(r)
	if !reflect.DeepEqual(again.Test, first.Test) {
		t.Errorf("resumed: test %v, want %v", again.Test, first.Test)
	}
	if want := "stopped early already: val_loss was best in epoch "; !strings.HasPrefix(started.Stopped, want) {
		t.Errorf("got %q, want %s...", started.Stopped, want)
	}
	r.spec = r.reparsed(spec.Override{Key: "train.early_stopping.patience", Value: "50"})
	_, started, more := notesOf(r)
	if started.Stopped != "" || more.Epochs <= first.Epochs {
		t.Errorf("with more patience: %+v, %+v, want it to train on from epoch %d", started, more, first.Epochs)
	}
}

// TestCosineStretched checks that a run that is made longer tells what that does to a
// cosine that ends with it.
func TestCosineStretched(t *testing.T) {
	r := newTestRun(t, resumeSpecs["adam, dropout, accumulation, cosine"])
	r.must()
	if notes, _, _ := notesOf(r); len(notes) != 0 {
		t.Errorf("of the same length: noted %q", notes)
	}
	r.spec.Train.Epochs = 8
	notes, _, _ := notesOf(r)
	if len(notes) != 1 || !strings.HasPrefix(notes[0],
		"The cosine ends with the run, which has become 48 steps in place of 24: the learning rate goes on with 0.000") {
		t.Errorf("noted %q", notes)
	}
}

// TestPlateauFactor checks that what reduce_on_plateau has made of the rate does not
// outlive it without a word.
func TestPlateauFactor(t *testing.T) {
	const yaml = `
model: [{dense: {units: 3}}]
optimizer: {sgd: {learning_rate: 0}}
train: {epochs: 3, schedule: {reduce_on_plateau: {patience: 1, factor: 0.5, monitor: loss}}}
`
	r := newTestRun(t, yaml)
	r.must()
	r.spec = r.reparsed(spec.Override{Key: "train.epochs", Value: "5"}, spec.Override{Key: "optimizer.sgd.learning_rate", Value: "0.25"})
	if notes, _, _ := notesOf(r); len(notes) != 1 || !strings.Contains(notes[0], "multiplied the learning rate by 0.25 so far: it goes on with 0.0625") {
		t.Errorf("with another rate: noted %q", notes)
	}
	r.spec = r.reparsed(spec.Override{Key: "train.epochs", Value: "6"}, spec.Override{Key: "train.schedule", Value: "constant"})
	if notes, _, _ := notesOf(r); len(notes) != 1 || !strings.Contains(notes[0], "no longer holds") {
		t.Errorf("with another schedule: noted %q", notes)
	}
	table, _, err := readMetrics(filepath.Join(r.path, metricsFile))
	if err != nil {
		t.Fatal(err)
	}
	if got := table["learning_rate"][5]; got != 0.25 {
		t.Errorf("the rate of epoch 6 is %v, want 0.25", got)
	}
}

// TestWeights checks that a run begins with the weights of another, but not with its
// optimizer's state, and that this survives an interruption before its first step.
func TestWeights(t *testing.T) {
	old := newTestRun(t, plain)
	weights, err := checkpoint.Read(old.must().Model)
	if err != nil {
		t.Fatal(err)
	}
	still := newTestRun(t, strings.Replace(plain, "train:", "optimizer: {sgd: {learning_rate: 0, momentum: 0.9}}\ntrain:", 1))
	still.weights = weights
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := still.run(ctx, 0, func(e Event) {
		if _, ok := e.(Saved); ok {
			cancel()
		}
	}); err == nil {
		t.Fatal("the run was not interrupted")
	}
	still.weights = nil
	got, err := checkpoint.Read(still.must().Model)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range weights.Tensors {
		if g := got.Tensors[i]; g.Name != w.Name || !reflect.DeepEqual(g.Data, w.Data) {
			t.Errorf("%s is other than in the run it is from", w.Name)
		}
	}
	var r results
	if err := (&Dir{Path: still.path}).readResults(&r); err != nil {
		t.Fatal(err)
	}
	if r.From != "other" {
		t.Errorf("results are from %q, want other", r.From)
	}
}

// TestResults reads results.json as others would.
func TestResults(t *testing.T) {
	r := newTestRun(t, resumeSpecs["sgd, batch norm, plateau, early stopping"])
	r.until(4)
	read := func() map[string]any {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(r.path, resultsFile))
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]any{}
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := read(); got["status"] != "interrupted" || got["test"] != nil {
		t.Errorf("interrupted: got %v", got)
	}
	result := r.must()
	got := read()
	if got["status"] != "stopped early" || got["seed"] != 1.0 || got["epochs"] != float64(result.Epochs) {
		t.Errorf("got %v", got)
	}
	if n := len(got["sessions"].([]any)); n != 2 {
		t.Errorf("got %d sessions, want 2", n)
	}
	table, _, err := readMetrics(filepath.Join(r.path, metricsFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		split, name string
		want        float64
	}{
		{"training", "loss", table["loss"][result.Best-1]},
		{"validation", "accuracy", table["val_accuracy"][result.Best-1]},
		{"test", "loss", result.Test[0].Value},
	} {
		m := got[c.split].(map[string]any)
		if m["epoch"] != float64(result.Best) {
			t.Errorf("%s is of epoch %v, want %d, whose weights are there", c.split, m["epoch"], result.Best)
		}
		numtest.Close(t, []float64{m["values"].(map[string]any)[c.name].(float64)}, []float64{c.want}, numtest.Tol{Why: "the same number"})
	}
}
