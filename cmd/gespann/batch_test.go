//go:build unix

package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/numtest"
)

// rowsConfig normalises the rows of a table over batches, in their order, and keeps the
// statistics of the latest batch.
const rowsConfig = `
data: {source: csv, csv: {path: %q, label: y, task: regression}, batch_size: 8, test_split: 0, normalize: none, shuffle: false}
model:
  - batch_normalization: {momentum: 0}
  - dense: {units: 1}
loss: mean_squared_error
optimizer: {sgd: {learning_rate: 0.01}}
train: {epochs: 1}
`

// writeRows writes a configuration, and the rows x of its table.
func writeRows(t *testing.T, x ...float64) (dir, config string) {
	t.Helper()
	dir = t.TempDir()
	table := "x,y\n"
	for _, v := range x {
		table += fmt.Sprintf("%v,%v\n", v, v/10)
	}
	config = filepath.Join(dir, "rows.yaml")
	for path, text := range map[string]string{
		filepath.Join(dir, "rows.csv"): table, config: fmt.Sprintf(rowsConfig, filepath.Join(dir, "rows.csv")),
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, config
}

// TestBatchStatistics takes a step over rows of which neighbours are equal: whoever
// computes which of them, mean and variance are those of all. With deterministic they, and
// all that was learnt, have the same bits.
func TestBatchStatistics(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	t.Setenv(asProgram, "1")
	dir, config := writeRows(t, 0, 0, 1, 1, 10, 10, 11, 11)
	var bits []checkpoint.Tensor
	for i, flags := range [][]string{
		{}, {"--workers", "1"}, {"--workers", "2"}, {"--workers", "4"},
		{"--set", "train.deterministic=true"}, {"--set", "train.deterministic=true", "--workers", "2"},
		{"--set", "train.deterministic=true", "--workers", "4"},
	} {
		name := fmt.Sprint("run", i)
		args := append([]string{"train", config, "--runs", dir, "--name", name, "--log", "plain"}, flags...)
		if slices.Contains(flags, "--workers") {
			args = append(args, "--backend", "cluster")
		}
		must(t, args...)
		got, _ := tensors(t, filepath.Join(dir, name))
		values := map[string][]float32{}
		for _, x := range got {
			values[x.Name] = x.Data
		}
		for name, want := range map[string]float64{"batch_normalization.moving_mean": 5.5, "batch_normalization.moving_variance": 25.25} {
			if !numtest.Close(t, values[name], []float64{want}, numtest.Tol{Rel: math.Exp2(-22), Why: "a few roundings"}) {
				t.Errorf("%v: %s", flags, name)
			}
		}
		switch {
		case !strings.Contains(fmt.Sprint(flags), "deterministic"):
		case bits == nil:
			bits = got
		case !reflect.DeepEqual(got, bits):
			t.Errorf("%v: other bits than on the CPU", flags)
		}
	}
}

// TestSingleRow checks that a last batch of one row, and batches of one row, are refused
// before the run, with the layer and a way out, and leave no run.
func TestSingleRow(t *testing.T) {
	dir, config := writeRows(t, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	for size, want := range map[string]string{
		"8": "data.batch_size: got 8: the last batch of an epoch of 9 rows has one row, and model[0] batch_normalization needs more than one value per channel in training",
		"1": "data.batch_size: got 1: a batch has one row, and model[0] batch_normalization needs",
	} {
		code, _, stderr := gespann(t, "", "train", config, "--runs", dir, "--name", "none", "--batch-size", size)
		if code != 2 && code != 1 || !strings.Contains(stderr, want) || !strings.Contains(stderr, "hint: data.batch_size: ") {
			t.Errorf("batch size %s: exit code %d, %s\nwant %s", size, code, stderr, want)
		}
		if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
			t.Error("a run directory is left")
		}
	}
	must(t, "train", config, "--runs", dir, "--name", "fine", "--batch-size", "3", "--log", "plain")
}

// normConfig normalises twice, over batches as small as there are shards.
const normConfig = `
data: {source: digits, batch_size: 8, test_split: 0.2}
model:
  - flatten
  - dense: {units: 64}
  - batch_normalization
  - activation: relu
  - dense: {units: 32}
  - batch_normalization
  - activation: relu
  - dense: {units: 10}
loss: sparse_categorical_crossentropy
optimizer: {adam: {}}
metrics: [accuracy]
train: {epochs: 6}
`

// TestBatchNormDigits trains on batches of which each shard, or each of several workers,
// has a row or a few: it learns as it does on one machine.
func TestBatchNormDigits(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	t.Setenv(asProgram, "1")
	dir := t.TempDir()
	config := filepath.Join(dir, "norm.yaml")
	if err := os.WriteFile(config, []byte(normConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, flags := range [][]string{
		{}, {"--set", "train.deterministic=true"}, {"--set", "train.deterministic=true", "--set", "train.accumulate=2"},
		{"--backend", "cluster", "--workers", "4"},
	} {
		args := append([]string{"train", config, "--runs", dir, "--name", fmt.Sprint("run", i), "--log", "plain"}, flags...)
		out := must(t, args...)
		at := strings.Index(out, "test   loss ")
		if at < 0 {
			t.Fatalf("%v: no test accuracy in\n%s", flags, out)
		}
		var accuracy float64
		if _, err := fscan(out[at:], "test loss", "accuracy", &accuracy); err != nil || !(accuracy >= 0.93) {
			t.Errorf("%v: test accuracy is %v (%v), want at least 0.93", flags, accuracy, err)
		}
	}
}
