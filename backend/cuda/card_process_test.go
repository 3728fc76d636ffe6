//go:build gpu

package cuda

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wide is a model whose activations fill any card at the batch size given: 40
// layers that keep 8 GB each.
var wide = `
data: {source: digits, batch_size: 1294}
model: [flatten, {dense: 1600000}, ` + strings.Repeat("{activation: gelu}, ", 40) + `{dense: 10}]
optimizer: sgd
loss: sparse_categorical_crossentropy
backend: {kind: gpu}
`

// long is a model that trains for a while.
const long = `
data: {source: digits, batch_size: 8}
model: [flatten, {dense: {units: 256, activation: relu}}, {dense: {units: 10, activation: softmax}}]
loss: sparse_categorical_crossentropy
train: {epochs: 100000, checkpoint_every: never}
backend: {kind: gpu}
`

// process starts gespann-cuda on a config in a folder of its own.
func process(t *testing.T, config string, args ...string) (cmd *exec.Cmd, words *bytes.Buffer) {
	t.Helper()
	if *programAt == "" {
		t.Skip("-program is not given")
	}
	path, err := filepath.Abs(*programAt)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.yaml"), []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd, words = exec.Command(path, append([]string{"train", "x.yaml", "--log", "plain"}, args...)...), new(bytes.Buffer)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, words, words
	return cmd, words
}

// ended checks the exit code and the words of a process.
func ended(t *testing.T, err error, words *bytes.Buffer, code int, parts ...string) {
	t.Helper()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Errorf("ended with %v, want exit code %d\n%s", err, code, words)
	}
	for _, part := range parts {
		if !strings.Contains(words.String(), part) {
			t.Errorf("got\n%s\nwant it to contain %q", words, part)
		}
	}
	if strings.Contains(words.String(), "goroutine ") {
		t.Errorf("a stack trace:\n%s", words)
	}
}

// TestCardProcess checks what whole processes say to bad input and bad luck.
func TestCardProcess(t *testing.T) {
	checked(t)
	t.Run("memory", func(t *testing.T) {
		cmd, words := process(t, wide)
		ended(t, cmd.Run(), words, 1, "cuda: with batch size 1294 the model needs ", "variables ", "activations ")
	})
	t.Run("device", func(t *testing.T) {
		cmd, words := process(t, long, "--set", "backend.device=99")
		ended(t, cmd.Run(), words, 1, "no card 99")
	})
	t.Run("interrupt", func(t *testing.T) {
		cmd, words := process(t, long)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		begin := time.Now()
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		ended(t, cmd.Wait(), words, 130, "interrupted in epoch ", "to continue: ")
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("took %v to stop", took)
		}
	})
	t.Run("NaN", func(t *testing.T) {
		cmd, words := process(t, strings.Replace(long, "loss:", "optimizer: {sgd: {learning_rate: 1e30}}\nloss:", 1))
		ended(t, cmd.Run(), words, 1, "first value that is not finite is the ")
	})
}
