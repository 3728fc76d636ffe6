package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFullOutputOfAll checks that what cannot be written is no success, of any command.
func TestFullOutputOfAll(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	dir := writeTiny(t)
	config, run := filepath.Join(dir, "tiny.yaml"), filepath.Join(dir, "run")
	must(t, "train", config, "--runs", dir, "--name", "run")
	rows := filepath.Join(dir, "rows.csv")
	if err := os.WriteFile(rows, []byte(strings.Repeat(strings.Repeat("1,", 63)+"1\n", 3)), 0o666); err != nil {
		t.Fatal(err)
	}
	at := hostile(t)
	for _, args := range [][]string{
		{"train", config, "--runs", dir, "--log", "json"}, {"train", config, "--runs", dir, "--log", "plain"},
		{"train", "--resume", run, "--log", "json"},
		{"evaluate", run}, {"predict", run, rows}, {"predict", run, rows, "--format", "jsonl"},
		{"predict", run, rows, "--format", "npy"},
		{"inspect", config}, {"inspect", config, "--stage", "spec"}, {"inspect", config, "--stage", "program"},
		{"version"}, {"--version"}, {"devices"}, {"layers"}, {"layers", "dense"}, {"schema"},
		{"help"}, {"train", "--help"}, {"completion", "bash"},
		{"jobs", "--coordinator", at}, {"logs", "x", "--coordinator", at}, {"submit", config, "--coordinator", at},
	} {
		var words bytes.Buffer
		code := execute(terminal{strings.NewReader(""), full, &words}, args)
		if code != exitRun || !strings.HasSuffix(words.String(), "gespann: standard output: no space left on device\n") {
			t.Errorf("gespann %s >/dev/full: exit code %d, %q", strings.Join(args, " "), code, words.String())
		}
	}
}
