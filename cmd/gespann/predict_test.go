package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/numtest"
)

// write makes a file in a folder and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// sums is a run whose model adds two numbers, four times.
func sums(t *testing.T) (run, dir string) {
	t.Helper()
	dir = t.TempDir()
	csv := write(t, dir, "two numbers.csv", "a,b,y\n1,2,3\n3,4,7\n")
	yaml := write(t, dir, "sums.yaml", "data: {source: csv, csv: {path: '"+filepath.ToSlash(csv)+"', task: regression}}\n"+
		"model:\n  - dense: {units: 1, kernel_initializer: ones}\n  - dense: {units: 2, kernel_initializer: ones}\n"+
		"  - dense: {units: 1, kernel_initializer: orthogonal}\n"+
		"loss: mean_squared_error\noptimizer: {sgd: {learning_rate: 1.0e-20}}\ntrain: {epochs: 1}\n")
	must(t, "train", yaml, "--runs", dir)
	return filepath.Join(dir, "sums"), dir
}

// TestPredictsEveryRow checks that rows whose predictions are infinite are there, in
// every format, and that somebody says so.
func TestPredictsEveryRow(t *testing.T) {
	run, dir := sums(t)
	rows := write(t, dir, "rows.csv", "a,b\n1,2\n3e38,3e38\n0,0\n-3e38,-3e38\n")
	const warning = "warning: predictions of 2 of 4 rows are infinite or no numbers, first in row 2\n"
	code, out, words := gespann(t, "", "predict", run, rows)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitOK || words != warning || len(lines) != 5 || lines[0] != "y" || lines[2] != "NaN" || lines[3] == "NaN" {
		t.Errorf("csv: exit code %d, got\n%s%s", code, out, words)
	}
	code, out, words = gespann(t, "", "predict", run, rows, "--format", "jsonl")
	lines = strings.Split(strings.TrimSpace(out), "\n")
	if code != exitOK || words != warning || len(lines) != 4 || lines[1] != `{"y":null}` || lines[2] == `{"y":null}` {
		t.Errorf("jsonl: exit code %d, got\n%s%s", code, out, words)
	}
	npy := filepath.Join(dir, "p.npy")
	code, _, words = gespann(t, "", "predict", run, rows, "-o", npy)
	if text, err := os.ReadFile(npy); code != exitOK || words != warning || err != nil || len(text)%64 != 16 {
		t.Errorf("npy: exit code %d, %v, %d bytes\n%s", code, err, len(text), words)
	}
}

// TestSwapped checks what predict says to the rows before the run.
func TestSwapped(t *testing.T) {
	run, dir := sums(t)
	rows := write(t, dir, "rows.csv", "a,b\n1,2\n3,4\n")
	for _, second := range []string{run, filepath.Join(run, "model.safetensors")} {
		code, _, words := gespann(t, "", "predict", rows, second)
		if code != exitUsage {
			t.Errorf("exit code %d, want %d", code, exitUsage)
		}
		contains(t, "swapped", words, rows+": got a file, want a run: RUN comes first\nhint: ", " predict "+second+" "+rows)
	}
}

// TestNotFinite checks what is written for numbers that are none.
func TestNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	numbers := &output{name: "y"}
	classes := &output{name: "kind", classes: []string{"cat", "dog"}}
	yes := &output{name: "kind", classes: []string{"no", "yes"}}
	for name, c := range map[string]struct {
		out       *output
		row       []float32
		csv, json string
	}{
		"number":         {numbers, []float32{0.1}, "0.1\n", `{"y":0.1}`},
		"nan":            {numbers, []float32{nan}, "NaN\n", `{"y":null}`},
		"inf":            {numbers, []float32{inf}, "Inf\n", `{"y":null}`},
		"row":            {numbers, []float32{1e-9, -inf, nan}, "1e-09,-Inf,NaN\n", `{"y":[1e-9,null,null]}`},
		"class":          {classes, []float32{0.25, 0.75}, "dog,0.25,0.75\n", `{"class":"dog","probability":0.75,"probabilities":[0.25,0.75]}`},
		"infinite class": {classes, []float32{inf, 0}, "cat,Inf,0\n", `{"class":"cat","probability":null,"probabilities":[null,0]}`},
		"no class":       {classes, []float32{0.25, nan}, ",0.25,NaN\n", `{"class":null,"probability":null,"probabilities":[0.25,null]}`},
		"no yes or no":   {yes, []float32{nan}, ",NaN,NaN\n", `{"class":null,"probability":null,"probabilities":[null,null]}`},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			for format, want := range map[string]string{"csv": c.csv, "jsonl": c.json + "\n"} {
				b.Reset()
				f, err := parseFormat(format, "")
				if err != nil {
					t.Fatal(err)
				}
				p := f(&b)
				for _, err := range []error{p.begin(c.out, 1, []int{len(c.row)}), p.row(c.out, c.row), p.end()} {
					if err != nil {
						t.Fatal(err)
					}
				}
				got := b.String()
				if format == "csv" {
					_, got, _ = strings.Cut(got, "\n")
				} else if !json.Valid(b.Bytes()) {
					t.Errorf("%s is no JSON", got)
				}
				if got != want {
					t.Errorf("%s: got %q, want %q", format, got, want)
				}
			}
		})
	}
}

func TestFormatOfName(t *testing.T) {
	for name, want := range map[string]string{
		"": "*main.csvPredictions", "a.csv": "*main.csvPredictions", "a": "*main.csvPredictions", "a.txt": "*main.csvPredictions",
		"a.jsonl": "*main.jsonPredictions", "A.NPY": "*main.npyPredictions",
		"a.json":    "--output a.json: got a name that ends in .json, want .csv, .jsonl or .npy, or --format",
		"a.csv.gz":  "--output a.csv.gz: got a name that ends in .gz, want .csv, .jsonl or .npy, or --format",
		"a.TSV":     "--output a.TSV: got a name that ends in .tsv, want .csv, .jsonl or .npy, or --format",
		"a.parquet": "--output a.parquet: got a name that ends in .parquet, want .csv, .jsonl or .npy, or --format",
	} {
		got := ""
		if f, err := parseFormat("", name); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprintf("%T", f(nil))
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
}

// TestMetricOfPredictions compares a metric with the numbers that predict writes,
// for a model that leaves the sigmoid to its loss.
func TestMetricOfPredictions(t *testing.T) {
	dir := t.TempDir()
	csv, yaml, run := filepath.Join(dir, "a.csv"), filepath.Join(dir, "a.yaml"), filepath.Join(dir, "a")
	rows, targets := "x,y\n", []float64{0, 0, 0.2, 1, 0.9, 1}
	for i, y := range targets {
		rows += fmt.Sprintf("%d,%v\n", 9*i-20, y)
	}
	text := "data: {source: csv, csv: {path: '" + filepath.ToSlash(csv) + "', task: regression}}\nmodel: [dense: 1]\n" +
		"loss: binary_crossentropy\nmetrics: [mean_absolute_error]\ntrain: {epochs: 3}\n"
	for path, text := range map[string]string{csv: rows, yaml: text} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "train", yaml, "--runs", dir)
	lines := strings.Fields(must(t, "predict", run, csv))[1:]
	if len(lines) != len(targets) {
		t.Fatalf("predict writes %d rows, want %d", len(lines), len(targets))
	}
	want := 0.0
	for i, y := range targets {
		p, err := strconv.ParseFloat(lines[i], 64)
		if err != nil || p < 0 || p > 1 {
			t.Errorf("row %d: got %s, want a probability", i, lines[i])
		}
		want += math.Abs(p-y) / float64(len(targets))
	}
	var got float64
	out := must(t, "evaluate", run, "--split", "training")
	if _, err := fscan(out, "", "mean_absolute_error", &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	numtest.Close(t, []float64{got}, []float64{want}, numtest.Tol{Abs: 6e-5, Why: "evaluate shows four decimals; sums in float32"})
}

// TestEvaluateNamesFile checks that the file is named in which the rows are.
func TestEvaluateNamesFile(t *testing.T) {
	dir := t.TempDir()
	train, test := write(t, dir, "train.csv", "x,y\n1,no\n2,yes\n"), write(t, dir, "the test.csv", "x,y\n1,no\n")
	yaml := write(t, dir, "a.yaml", "data: {source: csv, csv: {path: '"+train+"', test_path: '"+test+"'}}\nmodel: [dense: 2]\n"+
		"loss: sparse_categorical_crossentropy\ntrain: {epochs: 1}\n")
	must(t, "train", yaml, "--runs", dir)
	run := filepath.Join(dir, "a")
	contains(t, "test", must(t, "evaluate", run), " on 1 test rows of "+test+"\n")
	contains(t, "training", must(t, "evaluate", run, "--split", "training"), " on 2 training rows of "+train+"\n")
	code, _, words := gespann(t, "", "evaluate", run, "--split", "validation")
	if code != exitRun {
		t.Errorf("exit code %d, want %d", code, exitRun)
	}
	contains(t, "validation", words, "there are no validation rows in "+train+"\n")
}

// TestEvaluatesNoClass checks that rows whose prediction is NaN are not right, whatever
// their label, and that somebody says so.
func TestEvaluatesNoClass(t *testing.T) {
	dir := t.TempDir()
	csv := write(t, dir, "train.csv", "a,y\n1,no\n2,yes\n")
	yaml := write(t, dir, "a.yaml", "data: {source: csv, csv: {path: '"+filepath.ToSlash(csv)+"'}}\n"+
		"model:\n  - dense: {units: 2, kernel_initializer: ones}\n  - dense: {units: 2, kernel_initializer: ones}\n"+
		"loss: sparse_categorical_crossentropy\nmetrics: [accuracy]\noptimizer: {sgd: {learning_rate: 1.0e-20}}\ntrain: {epochs: 1}\n")
	must(t, "train", yaml, "--runs", dir)
	odd := write(t, dir, "odd.csv", "a,y\n3e38,no\n3e38,no\n3e38,yes\n0,no\n")
	code, out, words := gespann(t, "", "evaluate", filepath.Join(dir, "a"), "--data", odd)
	if code != exitOK {
		t.Errorf("exit code %d", code)
	}
	contains(t, "evaluate", out, "accuracy  0.25", "no   1   . ", "yes   .   . ")
	contains(t, "evaluate", words, "warning: the loss is NaN: ",
		"warning: predictions of 3 of 4 rows are no numbers, and no class: ")
}
