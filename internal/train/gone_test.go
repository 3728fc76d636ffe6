package train

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gespann/gespann/model/spec"
)

// TestCheckpointsGone checks that a run whose checkpoints were removed does not begin
// again in the place of what it was.
func TestCheckpointsGone(t *testing.T) {
	r := newTestRun(t, plain)
	r.must()
	for _, gone := range []string{checkpointsDir, modelFile, metricsFile} { // results.json still knows
		if err := os.RemoveAll(filepath.Join(r.path, gone)); err != nil {
			t.Fatal(err)
		}
		_, err := r.run(context.Background(), 0, nil)
		if want := "its checkpoints are gone, so that it cannot go on"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: got %v, want ... %s", gone, err, want)
		}
	}
}

// TestWeightsNeverThere checks that a run that was to begin with other weights, and was
// killed before it had them, does not begin with random ones.
func TestWeightsNeverThere(t *testing.T) {
	r := newTestRun(t, plain)
	d, err := CreateAs(r.spec, testSet(), "", "other")
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	r.path = d.Path
	_, err = r.run(context.Background(), 0, nil)
	if want := "was to begin with the weights of other, but ended before it had them"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want ... %s", err, want)
	}
	r.spec.Train.Name = filepath.Base(r.path)
	again, err := CreateAs(r.spec, testSet(), "", "other") // as the hint says
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if err := os.WriteFile(again.stepPath(0), nil, 0o666); err != nil { // once it had them, it is a run
		t.Fatal(err)
	}
	if _, err := CreateAs(r.spec, testSet(), "", "other"); err == nil || !strings.Contains(err.Error(), "has a run already") {
		t.Errorf("with its first checkpoint: got %v, want has a run already", err)
	}
}

// TestCosineAcrossBatches checks that steps of another number of rows do not move the end
// of a cosine that ends with the run.
func TestCosineAcrossBatches(t *testing.T) {
	for _, batch := range []string{"2", "8"} {
		r := newTestRun(t, strings.Replace(plain, "epochs: 3", "epochs: 6, schedule: cosine", 1))
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		r.run(ctx, 0, func(e Event) { // ends between epochs
			if e, ok := e.(EpochEnd); ok && e.Epoch == 3 {
				cancel()
			}
		})
		r.spec = r.reparsed(spec.Override{Key: "data.batch_size", Value: batch})
		notes, _, _ := notesOf(r)
		if len(notes) != 1 || !strings.Contains(notes[0], "The cosine ends with the run") {
			t.Errorf("batch %s: noted %q", batch, notes)
		}
		table, _, err := readMetrics(filepath.Join(r.path, metricsFile))
		if err != nil {
			t.Fatal(err)
		}
		rates := table["learning_rate"]
		if last := rates[len(rates)-1]; !(last < 1e-4) || !(rates[3] > 1e-4) {
			t.Errorf("batch %s: rates %v, want them to fall to 0 with the last epoch only", batch, rates)
		}
	}
}

// TestNothingLeft checks that a complete run does not take settings that no step would
// follow.
func TestNothingLeft(t *testing.T) {
	r := newTestRun(t, plain)
	r.must()
	kept := r.spec
	for _, o := range []spec.Override{
		{Key: "optimizer.adam.learning_rate", Value: "0.5"}, {Key: "data.batch_size", Value: "7"}, {Key: "data.shuffle", Value: "false"},
		{Key: "train.deterministic", Value: "true"}, {Key: "train.schedule", Value: "cosine"}, {Key: "train.keep_checkpoints", Value: "9"},
	} {
		r.spec = r.reparsed(o)
		_, err := r.run(context.Background(), 0, nil)
		if want := "no step is left that would follow it"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want ... %s", o, err, want)
		}
		r.spec = kept
	}
	r.spec = r.reparsed(spec.Override{Key: "train.epochs", Value: "2"})
	if _, err := r.run(context.Background(), 0, nil); err == nil || !strings.Contains(err.Error(), "train.epochs: got 2, but the run has begun epoch 3") {
		t.Errorf("fewer epochs: got %v", err)
	}
	r.spec = kept
	r.must()
}

// TestStaleModel checks that a complete run that goes on does not leave the model of where
// it was.
func TestStaleModel(t *testing.T) {
	r := newTestRun(t, plain)
	r.must()
	r.spec.Train.Epochs = 9
	r.until(3)
	if _, err := os.Stat(filepath.Join(r.path, modelFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the model of the complete run is still there: %v", err)
	}
}

// TestBestGone checks that a run whose best weights are gone, or are not those, does not
// put others back.
func TestBestGone(t *testing.T) {
	yaml := strings.Replace(resumeSpecs["sgd, batch norm, plateau, early stopping"], "patience: 2", "patience: 50", 1)
	for _, other := range []bool{false, true} {
		r := newTestRun(t, yaml)
		r.spec.Train.Epochs = 4
		r.must()
		best := (&Dir{Path: r.path}).bestPath()
		if other {
			s := newTestRun(t, yaml)
			s.spec.Train.Seed = 3
			s.spec.Train.Epochs = 1
			s.must()
			text, err := os.ReadFile((&Dir{Path: s.path}).bestPath())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(best, text, 0o666); err != nil {
				t.Fatal(err)
			}
		} else if err := os.Remove(best); err != nil {
			t.Fatal(err)
		}
		if _, err := r.run(context.Background(), 0, nil); err == nil || !strings.Contains(err.Error(), "and no step is left to find others") {
			t.Errorf("without steps left: got %v", err)
		}
		r.spec.Train.Epochs = 6
		notes, _, result := notesOf(r)
		if len(notes) != 1 || !strings.Contains(notes[0], "the best is looked for anew") {
			t.Errorf("noted %q", notes)
		}
		if result.Best < 5 {
			t.Errorf("the best epoch is %d, want one of the new ones", result.Best)
		}
	}
}

// TestForeignFiles checks that a run does not take a folder whose files it would replace,
// and leaves them.
func TestForeignFiles(t *testing.T) {
	for _, name := range []string{metricsFile, resultsFile, splitsFile, prepFile, modelFile, lockName, "plot.png",
		"checkpoints/step-00000003.safetensors"} {
		r := newTestRun(t, plain)
		r.spec.Train.Name = "mine"
		path := filepath.Join(r.spec.Train.Dir, "mine", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		for _, mine := range []string{"mine", `{"accuracy": 0.93}`} {
			if err := os.WriteFile(path, []byte(mine), 0o666); err != nil {
				t.Fatal(err)
			}
			if _, err := Create(r.spec, testSet()); err == nil || !strings.Contains(err.Error(), "which a run would replace") {
				t.Errorf("%s: got %v", name, err)
			}
			if text, err := os.ReadFile(path); string(text) != mine {
				t.Errorf("%s: is %q, %v", name, text, err)
			}
		}
	}
}
