package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestEarlierVersion reads a run of the version before runs recorded their rows, whose
// train.seed, 5, also drew the rows that it held out.
func TestEarlierVersion(t *testing.T) {
	run := filepath.Join(t.TempDir(), "earlier")
	if err := os.CopyFS(run, os.DirFS("testdata/earlier")); err != nil {
		t.Fatal(err)
	}
	for _, env := range []string{"", "7"} {
		t.Setenv("GESPANN_DATA_SPLIT_SEED", env)
		t.Setenv("GESPANN_TRAIN_SEED", env)
		code, out, words := gespann(t, "", "evaluate", run)
		if code != exitOK {
			t.Fatalf("exit code %d, %s", code, words)
		}
		contains(t, "evaluate", out, "359 test rows", "loss      2.1876", "accuracy  0.2061")
		contains(t, "evaluate", words, "is of an earlier version, which did not record its rows")
	}
	out := must(t, "train", "--resume", run, "--epochs", "4", "--set", "train.early_stopping.monitor=val_loss")
	contains(t, "resume", out, "note   This run is of an earlier version", "Early stopping followed val_accuracy", "epoch 4/4")
	_, _, words := gespann(t, "", "evaluate", run)
	if words != "GESPANN_DATA_SPLIT_SEED has no effect on a run that is there: its data.split_seed is 5\n"+
		"GESPANN_TRAIN_SEED has no effect on a run that is there: its train.seed is 5\n" {
		t.Errorf("evaluate of what was resumed: got %s", words)
	}
}
