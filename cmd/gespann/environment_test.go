package main

import (
	"path/filepath"
	"testing"
)

// TestEnvironment checks that variables override the settings of a trained model, and
// flags those.
func TestEnvironment(t *testing.T) {
	dir := writeTiny(t)
	must(t, "train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--epochs", "1")
	run := filepath.Join(dir, "tiny")
	t.Setenv("GESPANN_BACKEND_THREADS", "-3")
	for command, row := range map[string]string{"evaluate": "", "predict": digitRow} {
		args := []string{command, run}
		if command == "predict" {
			args = append(args, "-")
		}
		code, _, words := gespann(t, row, args...)
		if code != exitUsage {
			t.Errorf("%s: exit code %d, want %d", command, code, exitUsage)
		}
		contains(t, command, words, "GESPANN_BACKEND_THREADS", "-3")
		if code, _, words := gespann(t, row, append(args, "--threads", "1")...); code != exitOK {
			t.Errorf("%s with a flag: exit code %d, %s", command, code, words)
		}
	}
}
