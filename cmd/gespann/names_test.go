package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestNames trains files of unusual names, in a folder of one, and follows what is
// printed.
func TestNames(t *testing.T) {
	dir := filepath.Join(writeTiny(t), "it's [a] folder")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]string{".yaml": "run", "$HOME [1].yaml": "$HOME [1]"} {
		yaml := write(t, dir, name, tiny)
		run = filepath.Join(dir, run)
		out := must(t, "train", yaml, "--runs", dir, "--epochs", "1")
		contains(t, name, out, "saved  "+run+"\n", " evaluate "+shellWord(run)+"\n")
		contains(t, name, must(t, "evaluate", run), " test rows of digits")
		code, _, words := gespann(t, "", "train", yaml, "--runs", dir, "--name", filepath.Base(run))
		if code != exitRun {
			t.Errorf("exit code %d, want %d", code, exitRun)
		}
		contains(t, name, words, "run directory "+run+": has a run already", "continue with --resume "+shellWord(run)+"\n")
		left := write(t, filepath.Join(run, "checkpoints"), ".tmp-step-00000099.safetensors", "half a checkpoint")
		must(t, "train", "--resume", run)
		if _, err := os.Stat(left); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", left, err)
		}
	}
}

// TestRunInPlaceOfFile checks the advice for a run where a file was wanted, and for a
// folder of runs where a run was.
func TestRunInPlaceOfFile(t *testing.T) {
	dir := writeTiny(t)
	runs := filepath.Join(dir, "runs")
	run := filepath.Join(runs, "tiny")
	must(t, "train", filepath.Join(dir, "tiny.yaml"), "--runs", runs, "--epochs", "1")
	for _, c := range []struct{ command, path, want string }{
		{"train", run, "hint: that is a run: its file is " + filepath.Join(run, "spec.yaml") + "; "},
		{"inspect", run, " train --resume " + run + " goes on with it\n"},
		{"evaluate", runs, "hint: the latest run in it is " + run + "\n"},
	} {
		code, _, words := gespann(t, "", c.command, c.path)
		if code == exitOK {
			t.Errorf("%s %s: exit code %d", c.command, c.path, code)
		}
		contains(t, c.command, words, c.want)
	}
}

// full fails to write, as a full disk does.
type full struct{}

func (full) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
}

// TestFullOutput checks that what could not be printed is no success.
func TestFullOutput(t *testing.T) {
	dir := writeTiny(t)
	must(t, "train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--epochs", "1")
	for _, args := range [][]string{
		{"evaluate", filepath.Join(dir, "tiny")}, {"version"}, {"layers"}, {"--help"},
		{"train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--epochs", "1", "--log", "json"},
	} {
		var words bytes.Buffer
		code := execute(terminal{strings.NewReader(""), full{}, &words}, args)
		if code != exitRun || !strings.HasSuffix(words.String(), "no space left on device\n") {
			t.Errorf("%v: exit code %d, want %d; got %s", args, code, exitRun, &words)
		}
	}
}
