package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/numtest"
)

// inFolder writes files to a new folder, makes it the current one, and returns it.
func inFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	return dir
}

// TestRunOfFloat32 predicts with a run whose version normalised in float32: Unix
// times are off by half a deviation, as its model has learnt them.
func TestRunOfFloat32(t *testing.T) {
	const rows = "time,city,size\n1700000009,Bonn,2\n1700000201,\"Bad \"\"X\"\"\",5\n"
	code, out, stderr := gespann(t, rows, "predict", "testdata/run-float32/model.safetensors", "-")
	if code != exitOK {
		t.Fatal(stderr)
	}
	want := []float32{0.11184868, 0.88815135, 0.42438504, 0.575615} // what that version wrote
	var got []float32
	for _, line := range strings.Split(strings.TrimSpace(out), "\n")[1:] {
		for _, cell := range strings.Split(line, ",")[1:] {
			v, err := strconv.ParseFloat(cell, 32)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			got = append(got, float32(v))
		}
	}
	numtest.Close(t, got, want, numtest.Tol{Abs: 1e-5, Why: "softmax of other processors; in float64 the times move it by 0.1"})
}

const latin1 = "Gr\xf6\xdfe,Stadt,Art\n1,K\xf6ln,ja\n2,Bonn,nein\n3,K\xf6ln,ja\n4,Besan\xe7on,nein\n"

const latin1Spec = `
data: {source: csv, csv: {path: t.csv, categorical: [Stadt]}}
model: [dense: {units: 2, activation: softmax}]
loss: sparse_categorical_crossentropy
train: {epochs: 1, name: r}
`

// TestLatin1 checks that text which is not UTF-8 does not train, and with its
// encoding not only trains.
func TestLatin1(t *testing.T) {
	inFolder(t, map[string]string{"t.csv": latin1, "t.yaml": latin1Spec})
	code, _, stderr := gespann(t, "", "train", "t.yaml")
	if code != exitRun {
		t.Errorf("exit code %d, want %d", code, exitRun)
	}
	contains(t, "train", stderr, `t.csv:1: byte 0xf6 is not UTF-8; in Windows-1252 it would be in "Größe"`,
		"data.csv.encoding: windows-1252")
	if _, err := os.Stat("runs"); err == nil {
		t.Error("a run was begun")
	}
	must(t, "train", "t.yaml", "--set", "data.csv.encoding=windows-1252")
	must(t, "train", "--resume", "runs/r", "--epochs", "2")
	must(t, "evaluate", "runs/r", "--split", "training")
	must(t, "evaluate", "runs/r", "--data", "t.csv")
	must(t, "predict", "runs/r", "t.csv")
	code, out, stderr := gespann(t, `{"Stadt": "Köln", "Größe": 1}`, "predict", "runs/r", "-")
	if code != exitOK {
		t.Error(stderr)
	}
	contains(t, "predict", out, "p_ja")
}

const targets = `
data: {source: csv, csv: {path: t.csv, task: regression}}
model: [dense: {units: 1, activation: sigmoid}]
loss: binary_crossentropy
train: {epochs: 1, name: r}
`

// TestTargetRange checks that a cross-entropy meets no targets outside 0..1: when a
// run begins, when it is evaluated on other data, and on a worker that reads its own.
func TestTargetRange(t *testing.T) {
	dir := inFolder(t, map[string]string{
		"t.csv": "a,y\n1,0\n2,0.5\n3,1\n", "bad.csv": "a,y\n1,0\n2,0.5\n3,-7\n", "t.yaml": targets,
	})
	const want = `bad.csv:4: column "y": target -7, want 0 to 1 for loss binary_crossentropy`
	code, _, stderr := gespann(t, "", "train", "t.yaml", "--set", "data.csv.path=bad.csv")
	if code != exitRun {
		t.Errorf("train: exit code %d, want %d", code, exitRun)
	}
	contains(t, "train", stderr, want)
	must(t, "train", "t.yaml")
	code, _, stderr = gespann(t, "", "evaluate", "runs/r", "--data", "bad.csv")
	if code != exitRun {
		t.Errorf("evaluate: exit code %d, want %d", code, exitRun)
	}
	contains(t, "evaluate", stderr, want)

	for child, want := range map[bool]string{true: want, false: "bad.csv:4: column number 2: target (2 letters), want 0 to 1"} {
		worker := workerFlags{dataDir: dir, child: child}
		reader, err := worker.reader(t.Context(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		_, err = reader.load(t.Context(), &wire.Job{Spec: []byte(strings.Replace(targets, "t.csv", "bad.csv", 1))})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a worker with its own rows, child %v: %v, want %s", child, err, want)
		}
	}
}
