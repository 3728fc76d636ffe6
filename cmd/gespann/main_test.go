package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asProgram in the environment makes the test binary be gespann, so that tests
// can send signals to a process of their own.
const asProgram = "RUN_AS_GESPANN"

// roles are what else the test binary may be, by what the environment then has.
var roles = map[string]func(value string){}

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	for name, main := range roles {
		if value := os.Getenv(name); value != "" {
			main(value)
		}
	}
	os.Exit(m.Run())
}

// command returns gespann as a process in a folder.
func command(t *testing.T, dir string, args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd = exec.Command(self, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// gespann runs a command line in this process.
func gespann(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = execute(terminal{strings.NewReader(stdin), &out, &err}, args)
	return code, out.String(), err.String()
}

// must is gespann that succeeds.
func must(t *testing.T, args ...string) string {
	t.Helper()
	code, out, err := gespann(t, "", args...)
	if code != exitOK {
		t.Fatalf("gespann %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, err)
	}
	return out
}

// tiny is a run of 12 steps per epoch that saves often.
const tiny = `
data: {source: digits, batch_size: 100, test_split: 0.2, validation_split: 0.15, normalize: scale}
model:
  - flatten
  - dense: {units: 24, activation: relu}
  - dropout: 0.2
  - dense: {units: 10, activation: softmax}
loss: sparse_categorical_crossentropy
metrics: [accuracy]
train: {epochs: 12, checkpoint_every: 5 steps}
`

// writeTiny writes tiny.yaml to a new folder and returns the folder.
func writeTiny(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "gespann-test-") // in memory: runs sync their files
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "tiny.yaml"), []byte(tiny), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

// contains checks that a text has all of the given parts.
func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s: got\n%s\nwant it to contain %q", what, text, part)
		}
	}
}
