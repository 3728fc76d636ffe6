package main

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// noise is a table whose labels are drawn: no model knows those that were held out.
func noise() []string {
	random := rand.New(rand.NewPCG(1, 2))
	rows := make([]string, 300)
	for i := range rows {
		rows[i] = fmt.Sprintf("%.6f,%.6f,%s\n", random.Float64(), random.Float64(), []string{"u", "v"}[random.IntN(2)])
	}
	return rows
}

const noiseYAML = `
data: {source: csv, csv: {path: noise.csv}, test_split: 0.2, validation_split: 0.1, normalize: standard}
model: [{dense: {units: 16, activation: relu}}, {dense: {units: 2, activation: softmax}}]
loss: sparse_categorical_crossentropy
metrics: [accuracy]
train: {epochs: 3}
`

// noiseRun trains on noise, from another folder than that of the files, and returns the
// folder of the files and the run.
func noiseRun(t *testing.T) (dir, run string) {
	t.Helper()
	dir = filepath.Join(writeTiny(t), "with space")
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	rows := noise()
	sorted := slices.Sorted(slices.Values(rows))
	const head = "a,b,y\n"
	put("noise.csv", head+strings.Join(rows, ""))
	put("sorted.csv", head+strings.Join(sorted, ""))
	put("more.csv", head+strings.Join(rows, "")+strings.Join(rows[:60], ""))
	put("other.csv", head+strings.Join(append(rows[1:299], rows[0], "0.5,0.5,u\n"), ""))
	put("noise.yaml", noiseYAML)
	runs := t.TempDir()
	must(t, "train", filepath.Join(dir, "noise.yaml"), "--runs", runs)
	return dir, filepath.Join(runs, "noise")
}

// TestHeldOutStaysHeldOut checks that the rows that a run held out are those that it is
// evaluated on, and that it does not come to train on them.
func TestHeldOutStaysHeldOut(t *testing.T) {
	dir, run := noiseRun(t)
	want := must(t, "evaluate", run)
	contains(t, "evaluate", want, "60 test rows")
	t.Setenv("GESPANN_TRAIN_SEED", "2")
	t.Setenv("GESPANN_DATA_SPLIT_SEED", "2")
	t.Setenv("GESPANN_DATA_TEST_SPLIT", "0.9")
	code, out, words := gespann(t, "", "evaluate", run)
	if code != exitOK || out != want {
		t.Errorf("with variables: exit code %d, got\n%s%s\nwant\n%s", code, out, words, want)
	}
	contains(t, "evaluate with variables", words, "GESPANN_DATA_SPLIT_SEED has no effect on a run that is there: its data.split_seed is 1")
	for name, part := range map[string]string{
		"sorted.csv": "the same rows in another order",
		"more.csv":   "the run has 60, here are 72",
		"other.csv":  "with other content",
	} {
		path := filepath.Join(dir, name)
		code, _, words := gespann(t, "", "evaluate", run, "--set", "data.csv.path="+path)
		if code != exitRun {
			t.Errorf("evaluate with %s: exit code %d, want %d", name, code, exitRun)
		}
		contains(t, "evaluate with "+name, words, part, "hint: --data evaluates all rows of other data")
		code, _, words = gespann(t, "", "train", "--resume", run, "--epochs", "4", "--set", "data.csv.path="+path)
		if code != exitRun {
			t.Errorf("resume with %s: exit code %d, want %d", name, code, exitRun)
		}
		contains(t, "resume with "+name, words, "rows are not those of the run", "train --from "+run)
	}
	contains(t, "other data", must(t, "evaluate", run, "--data", filepath.Join(dir, "more.csv")), "360 rows of ")
	for _, set := range [][]string{
		{"--seed", "5"}, {"--set", "data.split_seed=5"}, {"--set", "data.test_split=0.3"}, {"--set", "data.validation_split=0.3"},
		{"--set", "data.normalize=scale"}, {"--set", "data.csv.label=a"}, {"--set", "data.csv.categorical=a"}, {"--set", "optimizer=sgd"},
	} {
		code, _, words := gespann(t, "", append([]string{"train", "--resume", run, "--epochs", "4"}, set...)...)
		if code != exitUsage {
			t.Errorf("resume with %v: exit code %d, want %d", set, code, exitUsage)
		}
		contains(t, "resume with "+set[1], words, "got ", "but the run has ", "train --from "+run)
	}
	if again := must(t, "evaluate", run); again != want {
		t.Errorf("after all that: got\n%s\nwant\n%s", again, want)
	}
}

// TestSeedDoesNotSplit checks that runs of several seeds are compared on the same rows.
func TestSeedDoesNotSplit(t *testing.T) {
	dir, run := noiseRun(t)
	runs := filepath.Dir(run)
	must(t, "train", filepath.Join(dir, "noise.yaml"), "--runs", runs, "--seed", "2")
	must(t, "train", filepath.Join(dir, "noise.yaml"), "--runs", runs, "--set", "data.split_seed=2")
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(runs, name, "splits.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if read("noise-2") != read("noise") {
		t.Error("another seed has other splits")
	}
	if read("noise-3") == read("noise") {
		t.Error("another split_seed has the same splits")
	}
}

// TestFromAnywhere checks that a run finds its data from any folder.
func TestFromAnywhere(t *testing.T) {
	dir, run := noiseRun(t)
	want := must(t, "evaluate", run)
	_, want, _ = strings.Cut(want, "\n")
	t.Chdir(t.TempDir())
	_, got, _ := strings.Cut(must(t, "evaluate", run), "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	must(t, "train", "--resume", run, "--epochs", "4")
	moved := filepath.Join(filepath.Dir(dir), "moved")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	contains(t, "moved", must(t, "evaluate", run, "--set", "data.root="+moved), "60 test rows")
	t.Chdir(moved)
	contains(t, "from its own folder", must(t, "train", "noise.yaml", "--runs", filepath.Dir(run)), "noise-2: ")
}

// TestFrom begins runs with the weights of another.
func TestFrom(t *testing.T) {
	dir, run := noiseRun(t)
	before := snapshot(t, run)
	code, out, words := gespann(t, "", "train", "--from", run, "--runs", filepath.Dir(run), "--set", "optimizer=sgd",
		"--set", "optimizer.sgd.learning_rate=0")
	if code != exitOK {
		t.Fatalf("exit code %d, %s", code, words)
	}
	contains(t, "from", out, run+"-2: ")
	_, want, _ := strings.Cut(must(t, "evaluate", run), "\n")
	if _, got, _ := strings.Cut(must(t, "evaluate", run+"-2"), "\n"); got != want {
		t.Errorf("with rate 0: got\n%s\nwant\n%s", got, want)
	}
	weights, err := os.ReadFile(filepath.Join(run, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	results, err := os.ReadFile(filepath.Join(run+"-2", "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "results", string(results), fmt.Sprintf("model.safetensors (sha256 %x)", sha256.Sum256(weights)))
	for name, c := range map[string]struct {
		args []string
		code int
		part string
	}{
		"other splits": {[]string{"--set", "data.split_seed=3"}, exitRun, "so that its weights were trained on some of them"},
		"no splits":    {[]string{"--set", "data.validation_split=0", "--set", "data.test_split=0"}, exitOK, ""},
		"other data":   {[]string{"--set", "data.csv.path=" + filepath.Join(dir, "more.csv")}, exitOK, "was trained on some of the test rows cannot be known"},
		"other form":   {[]string{"--set", "data.normalize=scale"}, exitOK, "data.normalize is other than in "},
		"resume":       {[]string{"--resume", run}, exitUsage, "--from: begins a new run"},
		"config":       {[]string{filepath.Join(dir, "noise.yaml"), "--name", "named"}, exitOK, ""},
	} {
		code, _, words := gespann(t, "", append([]string{"train", "--from", run, "--runs", filepath.Dir(run), "--epochs", "1"}, c.args...)...)
		if code != c.code {
			t.Errorf("%s: exit code %d, want %d: %s", name, code, c.code, words)
		}
		contains(t, name, words, c.part)
	}
	code, _, words = gespann(t, "", "train", filepath.Join(filepath.Dir(dir), "tiny.yaml"), "--from", run, "--runs", filepath.Dir(run))
	if code != exitRun {
		t.Errorf("another model: exit code %d", code)
	}
	contains(t, "another model", words, "from another model: ")
	if after := snapshot(t, run); after != before {
		t.Errorf("the old run has changed: from\n%s\nto\n%s", before, after)
	}
}

// snapshot returns names, sizes and times of the files of a run.
func snapshot(t *testing.T, run string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(run, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintln(&b, path, info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
