package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLogFormatIsNoSetting trains while the environment says how logs are written.
func TestLogFormatIsNoSetting(t *testing.T) {
	t.Setenv("GESPANN_LOG_FORMAT", "text")
	dir := writeTiny(t)
	must(t, "train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--name", "run", "--epochs", "1", "--log", "plain")
}

// TestContinueElsewhere goes on with a run by another path to its folder.
func TestContinueElsewhere(t *testing.T) {
	dir := writeTiny(t)
	config, runs, link := filepath.Join(dir, "tiny.yaml"), filepath.Join(dir, "runs"), filepath.Join(dir, "link")
	if err := os.Symlink(runs, link); err != nil {
		t.Fatal(err)
	}
	train := func(epochs, runs string) {
		t.Helper()
		must(t, "train", config, "--continue", "--name", "run", "--runs", runs, "--epochs", epochs, "--log", "plain")
	}
	train("1", runs)
	train("2", link)
	train("3", filepath.Join(dir, ".", "link", "..", "runs"))
	if _, err := os.Stat(filepath.Join(runs, "run", "model.safetensors")); err != nil {
		t.Error(err)
	}
}

// TestManifestEnvironment writes a batch script with settings of the environment, which it
// has to carry along.
func TestManifestEnvironment(t *testing.T) {
	dir := writeTiny(t)
	config := filepath.Join(dir, "tiny.yaml")
	t.Setenv("GESPANN_TRAIN_EPOCHS", "9")
	t.Setenv("GESPANN_CLUSTER_WORKERS", "8")
	t.Setenv("GESPANN_TRAIN_NAME", "named")
	script := must(t, "manifest", config, "--to", "slurm", "--workers", "3")
	for _, want := range []string{"--set train.epochs=9", "--workers=3", "name=named-", "--ntasks=3"} {
		if !strings.Contains(script, want) {
			t.Errorf("want %q in\n%s", want, script)
		}
	}
	if strings.Contains(script, "cluster.workers=8") || strings.Contains(script, "train.name=") {
		t.Errorf("got what flags say otherwise in\n%s", script)
	}
	code, _, words := gespann(t, "", "manifest", config, "--to", "slurm", "--set", "train.name=q")
	if code != 2 || !strings.Contains(words, "use --name") {
		t.Errorf("got %d, %s", code, words)
	}
	code, _, words = gespann(t, "", "manifest", config, "--to", "slurm", "--workers", "2", "--set", "cluster.min_workers=5")
	if code == 0 || !strings.Contains(words, "cluster.min_workers: got 5") {
		t.Errorf("got %d, %s", code, words)
	}
}

// TestInspectHuge asks for batches that no memory has.
func TestInspectHuge(t *testing.T) {
	dir := writeTiny(t)
	for _, stage := range []string{"program", "memory", "plan"} {
		for _, rows := range []string{"400000000000000000", "9223372036854775807"} {
			code, _, words := gespann(t, "", "inspect", filepath.Join(dir, "tiny.yaml"), "--stage", stage, "--batch", rows)
			if code != 1 && code != 2 || !strings.Contains(words, "--batch "+rows) {
				t.Errorf("--stage %s --batch %s: got %d, %.300s", stage, rows, code, words)
			}
		}
	}
}
