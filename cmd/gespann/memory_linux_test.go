//go:build !race

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestOutOfMemory trains models that are too large for what ulimit leaves: a sentence
// says what they need, before it is taken, and no run is left behind. The race detector
// takes more addresses than that.
func TestOutOfMemory(t *testing.T) {
	const kib = "4000000"
	dir := writeTiny(t)
	variables := write(t, dir, "variables.yaml", "data: {source: digits}\nmodel: [flatten, dense: {units: 15000000}, dense: {units: 10}]\n"+
		"loss: sparse_categorical_crossentropy\n")
	activations := write(t, dir, "activations.yaml", "data: {source: digits, batch_size: 1024}\n"+
		"model: [conv2d: {filters: 20000, kernel_size: 3, padding: same}, global_average_pooling2d, dense: {units: 10}]\n"+
		"loss: sparse_categorical_crossentropy\n")
	for file, want := range map[string][]string{
		variables: {"gespann: out of memory: with batch size 32 the model needs 32.9 GiB (variables 12.6 GiB, a copy to save them 12.6 GiB, ",
			"), and ulimit -v leaves ", " GiB to give; no batch size would fit\n"},
		activations: {"gespann: out of memory: with batch size 1024 the model needs ", "activations ", "hint: --batch-size ",
			" would fit; train.accumulate makes steps of several batches\n"},
	} {
		cmd, _, _ := command(t, dir, "train", file, "--runs", filepath.Join(dir, "runs"))
		limited := exec.Command("sh", append([]string{"-c", "ulimit -v " + kib + ` && exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)...)
		limited.Env, limited.Dir = cmd.Env, cmd.Dir
		var words bytes.Buffer
		limited.Stderr = &words
		err := limited.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitRun {
			t.Errorf("%s: %v, want exit code %d", file, err, exitRun)
		}
		contains(t, file, words.String(), want...)
		if left, err := os.ReadDir(filepath.Join(dir, "runs")); err == nil && len(left) > 0 {
			t.Errorf("%s: left behind: %v", file, left)
		}
	}
}
