//go:build unix

package main

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/internal/checkpoint"
)

// ensembleOf3 are the flags of an ensemble of three.
var ensembleOf3 = []string{"--backend", "cluster", "--strategy", "ensemble",
	"--set", "cluster.strategy.ensemble.members=3", "--log", "plain"}

// TestEnsemble trains three members by two workers. The first member is what the
// model alone would have become, to the bit; all of them are saved, resumed,
// evaluated and predict.
func TestEnsemble(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Setenv(asProgram, "1")
	dir := writeTiny(t)
	config := filepath.Join(dir, "tiny.yaml")
	train := func(name, epochs string, flags ...string) string {
		t.Helper()
		return must(t, append([]string{"train", config, "--runs", dir, "--name", name, "--epochs", epochs}, flags...)...)
	}
	train("alone", "2")
	out := train("two", "2", ensembleOf3...)
	contains(t, "train", out, "ensemble: ", "val_accuracy", "test   loss ")
	two, _ := tensors(t, filepath.Join(dir, "two"))
	alone, _ := tensors(t, filepath.Join(dir, "alone"))
	isFirstMember(t, two, alone)

	// One worker, interrupted between the epochs, gets the same.
	train("one", "1", append(ensembleOf3, "--workers", "1")...)
	run := filepath.Join(dir, "one")
	code, _, words := gespann(t, "", "train", "--resume", run, "--epochs", "2", "--backend", "cpu")
	if code != exitRun || !strings.Contains(words, "is of an ensemble of 3 members, but the run is to train one model") {
		t.Errorf("resumed as one model: exit code %d, %s", code, words)
	}
	must(t, "train", "--resume", run, "--epochs", "2", "--log", "plain")
	if one, _ := tensors(t, run); !reflect.DeepEqual(one, two) {
		t.Error("one worker makes other members than two")
	}

	want := out[strings.Index(out, "test   loss "):]
	evaluated := strings.Fields(must(t, "evaluate", run))
	for _, word := range strings.Fields(want)[1:5] { // loss, its value, accuracy, its value
		if !strings.Contains(strings.Join(evaluated, " "), word) {
			t.Errorf("evaluate: got %v, want %s", evaluated, want)
		}
	}
	contains(t, "evaluate on ref", must(t, "evaluate", run, "--backend", "ref", "--split", "training"), "accuracy", "training rows")
	testPredicts(t, run)
	contains(t, "inspect", must(t, "inspect", config, "--set", "backend.kind=cluster", "--set", "cluster.strategy=ensemble"),
		"ensemble of 2 members")
	contains(t, "inspect", must(t, "inspect", config, "--set", "backend.kind=cluster", "--set", "cluster.strategy=ensemble",
		"--stage", "program"), "member1.", "ensemble mean", "program update")
}

// isFirstMember compares the first member with a model.
func isFirstMember(t *testing.T, all, alone []checkpoint.Tensor) {
	t.Helper()
	if len(all) != 3*len(alone) {
		t.Errorf("%d tensors are saved, want those of three members of %d", len(all), len(alone))
	}
	for i, want := range alone {
		want.Name = "member0." + want.Name
		if !reflect.DeepEqual(all[i], want) {
			t.Errorf("%s is not that of the model trained alone", want.Name)
		}
		if other := all[i+len(alone)]; reflect.DeepEqual(other.Data, want.Data) {
			t.Errorf("%s is that of another member", other.Name)
		}
	}
}

// testPredicts checks that a run predicts rows of probabilities.
func testPredicts(t *testing.T, run string) {
	t.Helper()
	code, out, words := gespann(t, digitRow+digitRow, "predict", run)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitOK || len(lines) != 3 || !strings.HasPrefix(lines[0], "prediction,p_0,p_1") || lines[1] != lines[2] {
		t.Errorf("predict: exit code %d, got\n%s%s", code, out, words)
	}
}

// TestEnsembleLosesWorker kills one of two workers in mid-run: the other takes its
// members over, and they become what they would have been.
func TestEnsembleLosesWorker(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Setenv(asProgram, "1")
	dir := writeTiny(t)
	config := filepath.Join(dir, "tiny.yaml")
	must(t, "train", config, "--runs", dir, "--name", "alone", "--epochs", "20")
	at := "unix:" + filepath.Join(dir, "sockets", "c")
	startProgram(t, dir, "coordinator", "--listen", at, "--state", filepath.Join(dir, "state"))
	startProgram(t, dir, "worker", "--coordinator", at, "--backend", "cpu", "--threads", "1", "--name", "stays")
	leaves, _, _ := command(t, dir, "worker", "--coordinator", at, "--backend", "cpu", "--threads", "1", "--name", "leaves")
	if err := leaves.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		leaves.Wait()
	}()
	kill := func() {
		leaves.Process.Kill()
		<-ended
	}
	t.Cleanup(kill)
	waitFor(t, "the coordinator", func() bool {
		code, _, _ := gespann(t, "", "jobs", "--coordinator", at)
		return code == exitOK
	})

	run := filepath.Join(dir, "run")
	trained := make(chan string, 1)
	go func() {
		_, out, words := gespann(t, "", append([]string{"train", config, "--runs", dir, "--name", "run",
			"--epochs", "20", "--coordinator", at}, ensembleOf3...)...)
		trained <- out + words
	}()
	waitFor(t, "the first epochs", func() bool {
		found, _ := filepath.Glob(filepath.Join(run, "checkpoints", "step-*"))
		return len(found) > 0
	})
	kill()
	var out string
	select {
	case out = <-trained:
	case <-time.After(time.Minute):
		t.Fatal("the run does not end")
	}
	contains(t, "train", out, "epoch 20/20", "stays", "leaves", "test   loss ")
	got, _ := tensors(t, run)
	alone, _ := tensors(t, filepath.Join(dir, "alone"))
	isFirstMember(t, got, alone)
}
