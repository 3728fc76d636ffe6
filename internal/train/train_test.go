package train

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/model/spec"
)

// plain is a run of 12 steps per epoch.
const plain = `
model: [{dense: {units: 5, activation: relu}}, {dense: {units: 3, activation: softmax}}]
train: {epochs: 3}
`

// TestLearns checks that a run learns classes that overlap a little.
func TestLearns(t *testing.T) {
	r := newTestRun(t, `
model: [{dense: {units: 8, activation: relu}}, {dense: {units: 3, activation: softmax}}]
optimizer: {adam: {learning_rate: 0.02}}
train: {epochs: 20}
`)
	var rows []Row
	result, err := r.run(context.Background(), 0, func(e Event) {
		if e, ok := e.(EpochEnd); ok {
			rows = append(rows, e.Row)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if first, last := rows[0].Values[0].Value, rows[19].Values[0].Value; !(last < first/2) {
		t.Errorf("loss went from %v to %v, want less than half", first, last)
	}
	if accuracy := result.Test[1]; accuracy.Name != "accuracy" || !(accuracy.Value >= 0.7) {
		t.Errorf("test %v, want accuracy of at least 0.7", accuracy)
	}
}

// TestBestWeights checks that early stopping leaves the weights of the best epoch
// in the model.
func TestBestWeights(t *testing.T) {
	r := newTestRun(t, resumeSpecs["sgd, batch norm, plateau, early stopping"])
	result := r.must()
	if !result.Stopped || result.Best == 0 || result.Epochs != result.Best+2 {
		t.Fatalf("got %+v, want a stop two epochs after the best", result)
	}
	model, err := checkpoint.Read(result.Model)
	if err != nil {
		t.Fatal(err)
	}
	best, at, err := readState((&Dir{Path: r.path}).bestPath())
	if err != nil {
		t.Fatal(err)
	}
	if at.Epoch != result.Best {
		t.Errorf("best.safetensors is of epoch %d, want %d", at.Epoch, result.Best)
	}
	for i, w := range model.Tensors {
		if !reflect.DeepEqual(best.Tensors[i], w) {
			t.Errorf("%s differs from that of the best epoch", w.Name)
		}
	}
}

func TestCheckpointsKept(t *testing.T) {
	r := newTestRun(t, strings.Replace(plain, "epochs: 3", "epochs: 3, checkpoint_every: 5 steps, keep_checkpoints: 2", 1))
	var saved []int64
	if _, err := r.run(context.Background(), 0, func(e Event) {
		if e, ok := e.(Saved); ok && filepath.Base(e.Path) != bestFile {
			saved = append(saved, e.Step)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if want := []int64{5, 10, 15, 20, 25, 30, 35, 36}; !reflect.DeepEqual(saved, want) {
		t.Errorf("saved after steps %v, want %v", saved, want)
	}
	entries, err := os.ReadDir(filepath.Join(r.path, checkpointsDir))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"best.safetensors", "step-00000035.safetensors", "step-00000036.safetensors"}; !reflect.DeepEqual(names, want) {
		t.Errorf("files %v, want %v", names, want)
	}
}

// TestNotFinite checks that a loss that is no number stops the run with its step
// and layer, and keeps the last good checkpoint.
func TestNotFinite(t *testing.T) {
	r := newTestRun(t, `
model: [{dense: {units: 5}}, {dense: {units: 3}}]
optimizer: {sgd: {learning_rate: 0.1}}
train: {epochs: 3}
`)
	r.until(14) // into the second epoch
	r.spec.Optimizer.Params = mustParse(t, "sgd: {learning_rate: 1e30}").Optimizer.Params
	_, err := r.run(context.Background(), 0, nil)
	var stopped *StoppedError
	var nan *backend.NotFiniteError
	if !errors.As(err, &stopped) || !errors.As(err, &nan) {
		t.Fatalf("got %v, want a StoppedError with a NotFiniteError", err)
	}
	if nan.Step < 15 || nan.Layer == "" || nan.Value == "" {
		t.Errorf("got %+v, want a step from 15 on, a layer and a value", nan)
	}
	if want := "step-00000014.safetensors"; filepath.Base(stopped.Checkpoint) != want {
		t.Errorf("last checkpoint is %s, want %s", stopped.Checkpoint, want)
	}
	if stopped.RateKey != "optimizer.sgd.learning_rate" {
		t.Errorf("rate key is %s", stopped.RateKey)
	}
	if _, err := checkpoint.Read(stopped.Checkpoint); err != nil {
		t.Error(err)
	}
}

// TestBadWeightsAreNotSaved checks that weights that a step has spoilt do not
// replace good ones.
func TestBadWeightsAreNotSaved(t *testing.T) {
	r := newTestRun(t, strings.Replace(plain, "train:", "optimizer: {sgd: {learning_rate: 1e38}}\ntrain:", 1))
	r.spec.Train.CheckpointEvery = "1 steps"
	_, err := r.run(context.Background(), 0, nil)
	var stopped *StoppedError
	if !errors.As(err, &stopped) {
		t.Fatalf("got %v, want a StoppedError", err)
	}
	if stopped.Checkpoint == "" {
		return
	}
	state, err := checkpoint.Read(stopped.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range state.Tensors {
		for _, x := range v.Data {
			if !number(x).Finite() {
				t.Fatalf("%s: %s holds %v", stopped.Checkpoint, v.Name, x)
			}
		}
	}
}

func TestOtherModel(t *testing.T) {
	r := newTestRun(t, plain)
	r.until(3)
	r.spec = mustParse(t, "adam", "model: [{dense: {units: 6, activation: relu}}, {dense: {units: 3}}]")
	_, err := r.run(context.Background(), 0, nil)
	want := "checkpoint " + filepath.Join(r.path, checkpointsDir, "step-00000003.safetensors") +
		": from another model: variable dense.kernel has shape [6 5], the model wants [6 6]"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestOtherBatches checks that a run does not go on inside an epoch with steps of
// another size, but between epochs.
func TestOtherBatches(t *testing.T) {
	r := newTestRun(t, plain)
	r.until(3)
	r.spec.Data.BatchSize = 6
	_, err := r.run(context.Background(), 0, nil)
	if want := "data.batch_size: got 6, but the run has 4, and keeps it until the epoch ends: "; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want ... %s ...", err, want)
	}
	if kept, err := (&Dir{Path: r.path}).Spec(spec.Options{}); err != nil || kept.Data.BatchSize != 4 {
		t.Errorf("the run keeps %+v, %v, want batch_size 4 as before", kept, err)
	}
	r.spec.Data.BatchSize = 4
	r.must()
	r.spec.Data.BatchSize, r.spec.Train.Epochs = 6, 4
	r.must()
}

func TestMonitorsAreThere(t *testing.T) {
	r := newTestRun(t, strings.Replace(plain, "epochs: 3", "epochs: 3, early_stopping: {patience: 1}", 1))
	r.spec.Train.EarlyStopping.Monitor = "val_f1"
	_, err := r.run(context.Background(), 0, nil)
	if want := "train.early_stopping.monitor: got val_f1, want one of loss, accuracy, val_loss, val_accuracy"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
