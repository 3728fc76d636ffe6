package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/internal/train"
)

// digitRow is the first row of the digits: a zero.
const digitRow = "0,0,5,13,9,1,0,0,0,0,13,15,10,15,5,0,0,3,15,2,0,11,8,0,0,4,12,0,0,8,8,0," +
	"0,5,8,0,0,9,8,0,0,4,11,0,1,12,7,0,0,2,14,5,10,12,0,0,0,0,6,13,10,0,0,0\n"

// TestFirstRun is what the README promises: the digits, learnt in seconds, and
// what one does next.
func TestFirstRun(t *testing.T) {
	runs := t.TempDir()
	run := filepath.Join(runs, "digits-mlp")
	out := must(t, "train", "../../configs/digits-mlp.yaml", "--runs", runs)
	contains(t, "train", out, run+": ", "epoch ", "loss ", "val_accuracy ", "saved  "+run, "next   ", " evaluate "+run)
	for _, name := range []string{"spec.yaml", "prep.json", "metrics.csv", "model.safetensors", "plot.png",
		"plot.svg", "checkpoints/best.safetensors"} {
		if _, err := os.Stat(filepath.Join(run, name)); err != nil {
			t.Error(err)
		}
	}
	i := strings.Index(out, "test   loss ")
	var accuracy float64
	if _, err := fscan(out[i:], "test loss", "accuracy", &accuracy); err != nil || !(accuracy >= 0.97) {
		t.Errorf("test accuracy is %v (%v), want at least 0.97\n%s", accuracy, err, out)
	}
	evaluated := must(t, "evaluate", run)
	contains(t, "evaluate", evaluated, "test rows of digits", "confusion: ", "found")
	contains(t, "evaluate --split", must(t, "evaluate", run, "--split", "training"), "training rows")
	contains(t, "evaluate of a file", must(t, "evaluate", filepath.Join(run, "checkpoints/best.safetensors")), "accuracy")
	testPredict(t, run)
	contains(t, "resume", must(t, "train", "--resume", run), "complete already: ")
}

// fscan finds a word in a line of names and values, and reads the value after it.
func fscan(text, _, name string, v *float64) (int, error) {
	fields := strings.Fields(text)
	for i, f := range fields[:len(fields)-1] {
		if f == name {
			return 1, json.Unmarshal([]byte(fields[i+1]), v)
		}
	}
	return 0, os.ErrNotExist
}

func testPredict(t *testing.T, run string) {
	t.Helper()
	code, out, stderr := gespann(t, digitRow+digitRow, "predict", run)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitOK || len(lines) != 3 || !strings.HasPrefix(lines[0], "prediction,p_0,p_1") || !strings.HasPrefix(lines[1], "0,0.9") {
		t.Errorf("csv: exit code %d, got\n%s%s", code, out, stderr)
	}
	code, out, stderr = gespann(t, digitRow, "predict", run, "--format", "jsonl")
	var row struct {
		Class         string
		Probability   float64
		Probabilities []float64
	}
	if err := json.Unmarshal([]byte(out), &row); err != nil || code != exitOK {
		t.Fatalf("jsonl: exit code %d, %v, got\n%s%s", code, err, out, stderr)
	}
	if row.Class != "0" || row.Probability != row.Probabilities[0] {
		t.Errorf("jsonl: got %+v", row)
	}
	numtest.Close(t, []float64{sum(row.Probabilities)}, []float64{1},
		numtest.Tol{Abs: 1e-5, Why: "ten probabilities in float32, in digits"})
	file := filepath.Join(t.TempDir(), "p.npy")
	if code, out, stderr := gespann(t, digitRow, "predict", run, "-", "-o", file); code != exitOK || out != "" {
		t.Fatalf("npy: exit code %d, got\n%s%s", code, out, stderr)
	}
	npy, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(npy, []byte("\x93NUMPY\x01\x00")) || !bytes.Contains(npy, []byte("'shape': (1, 10,), }")) || len(npy)%64 != 40 {
		t.Errorf("npy: got %q", npy)
	}
}

// TestInspect checks that every stage shows something of its own.
func TestInspect(t *testing.T) {
	config := "../../configs/digits-mlp.yaml"
	for stage, want := range map[string]string{
		"summary": "dense_1", "spec": "keep_checkpoints: 3", "graph": "dense.kernel", "program": "matmul", "memory": "gradient: arena of ",
	} {
		contains(t, stage, must(t, "inspect", config, "--stage", stage), want)
	}
	program := must(t, "inspect", config, "--stage", "program")
	contains(t, "program", program, "program gradient batch B\n", "input %0 x f[B,8,8,1]\n", "program update batch 0\n")
	contains(t, "program of 8 rows", must(t, "inspect", config, "--stage", "program", "--batch", "8"),
		strings.NewReplacer("[B", "[8", "batch B", "batch 8").Replace(program))
	if code, _, words := gespann(t, "", "inspect", config, "--stage", "graph", "--batch", "8"); code != exitUsage ||
		!strings.Contains(words, "--batch: only with --stage program, memory or plan") {
		t.Errorf("batch of a graph: exit code %d, %s", code, words)
	}
	contains(t, "dot", must(t, "inspect", config, "--stage", "graph", "--dot"), "digraph ")
	contains(t, "without data", must(t, "inspect", "../../configs/mnist-cnn.yaml"), "1199882")
}

func TestSmallCommands(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(must(t, "schema")), &schema); err != nil {
		t.Errorf("schema: %v", err)
	}
	contains(t, "layers", must(t, "layers"), "conv2d", "adamw", "huber")
	contains(t, "layers adam", must(t, "layers", "adam"), "beta_1")
	contains(t, "version", must(t, "version"), "gespann ", "go1.", " kernels, ", "cpu, gpu, ref")
	if got, want := must(t, "--version"), must(t, "version"); got != want {
		t.Errorf("--version: got\n%swant\n%s", got, want)
	}
	contains(t, "no command", must(t), "Available Commands:", "  completion ")
	contains(t, "help", must(t, "help", "train"), "Usage:\n  gespann train ")
	contains(t, "completion", must(t, "completion", "bash"), "bash completion")
}

// TestMistakes checks exit codes and messages.
func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	misspelt := file("misspelt.yaml", strings.Replace(tiny, "units", "unit", 1))
	shapes := file("shapes.yaml", strings.Replace(tiny, "units: 10", "units: 9", 1))
	good := file("good.yaml", tiny)
	noData := file("nodata.yaml", strings.Replace(tiny, "source: digits", "source: idx, dir: nowhere", 1))
	notADir := file("file", "")
	rows := file("rows.csv", "a,b\n1,2\n")
	for name, c := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"unknown command": {[]string{"trian"}, exitUsage, []string{`unknown command "trian"`, `hint: did you mean "train"?`}},
		"with its flags":  {[]string{"trian", "--epochs", "3"}, exitUsage, []string{`unknown command "trian"`}},
		"other command":   {[]string{"fit", good}, exitUsage, []string{"hint: did you mean gespann train?"}},
		"no command":      {[]string{"my model.yaml"}, exitUsage, []string{"hint: gespann train 'my model.yaml'"}},
		"help for what":   {[]string{"help", "trian"}, exitUsage, []string{`unknown command "trian"`, `hint: did you mean "train"?`}},
		"which shell":     {[]string{"completion", "fishy"}, exitUsage, []string{`got "fishy", want bash, zsh, fish or powershell`}},
		"unknown flag":    {[]string{"train", "--epoch", "3"}, exitUsage, []string{"unknown flag: --epoch", "hint: did you mean --epochs? gespann train --help"}},
		"flag of set":     {[]string{"train", "--lr", "3"}, exitUsage, []string{"hint: did you mean --set optimizer.adam.learning_rate=...? gespann train --help"}},
		"other flag":      {[]string{"train", "--gpu", good}, exitUsage, []string{"hint: did you mean --backend=gpu? "}},
		"short flag":      {[]string{"predict", "--out", "x", good}, exitUsage, []string{"hint: did you mean --output? "}},
		"no such flag":    {[]string{"evaluate", "--epochs", "3"}, exitUsage, []string{"unknown flag: --epochs\nhint: gespann evaluate --help"}},
		"other backend":   {[]string{"train", good, "--backend", "cuda"}, exitUsage, []string{`hint: PyTorch's cuda is "gpu"`}},
		"no config":       {[]string{"train"}, exitUsage, []string{"which configuration?"}},
		"two configs":     {[]string{"train", "a", "b"}, exitUsage, []string{"got 2 arguments, want one configuration file"}},
		"bad log":         {[]string{"train", good, "--log", "xml"}, exitUsage, []string{`--log: got "xml", want auto, plain or json`}},
		"misspelt key":    {[]string{"train", misspelt}, exitUsage, []string{misspelt + ":5:13: ", "unit", `did you mean "units"?`}},
		"wrong shapes":    {[]string{"train", shapes}, exitUsage, []string{shapes + ":", "9", "10"}},
		"bad flag value":  {[]string{"train", good, "--epochs", "many"}, exitUsage, []string{"--epochs", "many"}},
		"no file":         {[]string{"train", filepath.Join(dir, "none.yaml")}, exitUsage, []string{"none.yaml", "no such file"}},
		"no backend":      {[]string{"train", good, "--backend", "tpu", "--runs", dir}, exitUsage, []string{`"tpu" is not in this build, want one of cluster, cpu, gpu, ref`}},
		"backend first":   {[]string{"train", noData, "--backend", "tpu"}, exitUsage, []string{`"tpu" is not in this build`}},
		"runs is a file":  {[]string{"train", good, "--runs", notADir}, exitRun, []string{"run directory " + notADir + ": not a directory"}},
		"near file":       {[]string{"train", filepath.Join(dir, "goood.yaml")}, exitUsage, []string{"goood.yaml: no such file", "hint: did you mean " + good + "?"}},
		"near run":        {[]string{"evaluate", filepath.Join(dir, "goodyaml")}, exitRun, []string{"run " + filepath.Join(dir, "goodyaml") + ": no such file", "hint: did you mean " + good + "?"}},
		"near resume":     {[]string{"train", "--resume", filepath.Join(dir, "good.yam")}, exitRun, []string{"run directory ", "hint: did you mean " + good + "?"}},
		"empty run":       {[]string{"evaluate", ""}, exitRun, []string{"no such file or directory\nhint: that name is empty"}},
		"empty runs":      {[]string{"train", good, "--runs", ""}, exitRun, []string{"no such file or directory\nhint: that name is empty"}},
		"empty from":      {[]string{"train", good, "--from", ""}, exitRun, []string{"no such file or directory\nhint: that name is empty"}},
		"no standard in":  {[]string{"train", "-"}, exitUsage, []string{"open -: no such file or directory\nhint: the standard input is /dev/stdin"}},
		"flag for run":    {[]string{"train", "--from", "--epochs", "1"}, exitUsage, []string{"--from wants a run, got the flag --epochs"}},
		"flag for name":   {[]string{"train", good, "--name", "--seed=3"}, exitUsage, []string{"--name wants a value, got the flag --seed"}},
		"flag for folder": {[]string{"fetch", "x", "-o", "--certs"}, exitUsage, []string{"--output wants a folder, got the flag --certs"}},
		"no key":          {[]string{"train", good, "--set", "=3"}, exitUsage, []string{`got "=3", want key=value`}},
		"one argument":    {[]string{"schema", "x"}, exitUsage, []string{"got 1 argument, want none"}},
		"resume nothing":  {[]string{"train", "--resume", filepath.Join(dir, "none")}, exitRun, []string{"run directory ", "no such file"}},
		"resume latest":   {[]string{"train", "--resume", "--runs", filepath.Join(dir, "none")}, exitUsage, []string{"no run below "}},
		"resume config":   {[]string{"train", good, "--resume=" + dir}, exitUsage, []string{"a run goes on with the spec in its directory"}},
		"evaluate what":   {[]string{"evaluate"}, exitUsage, []string{"want one run directory or checkpoint"}},
		"evaluate none":   {[]string{"evaluate", filepath.Join(dir, "none")}, exitRun, []string{"no such file"}},
		"evaluate junk":   {[]string{"evaluate", good}, exitRun, []string{good + ": a configuration, want a run\nhint: its run is a directory such as runs/good\n"}},
		"from junk":       {[]string{"train", "--from", good}, exitRun, []string{good + ": a configuration, want a run"}},
		"predict junk":    {[]string{"predict", rows, notADir}, exitRun, []string{rows + ": a .csv file, want a run directory or a checkpoint"}},
		"predict short":   {[]string{"predict", notADir}, exitRun, []string{notADir + ": neither a run directory nor a checkpoint"}},
		"bad split":       {[]string{"evaluate", dir, "--split", "tset"}, exitUsage, []string{`--split: got "tset"`}},
		"bad format":      {[]string{"predict", dir, "--format", "xml"}, exitUsage, []string{`--format: got "xml"`}},
		"bad stage":       {[]string{"inspect", good, "--stage", "x"}, exitUsage, []string{`--stage: got "x"`}},
		"dot of what":     {[]string{"inspect", good, "--dot"}, exitUsage, []string{"only with --stage graph"}},
		"unknown layer":   {[]string{"layers", "dens"}, exitUsage, []string{"dens", "dense"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, stderr := gespann(t, "", c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			contains(t, "stderr", stderr, c.want...)
			if out != "" {
				t.Errorf("stdout: got %q, want nothing", out)
			}
		})
	}
}

// TestNoStart checks that a run which cannot start leaves no directory, and takes
// nothing else with it.
func TestNoStart(t *testing.T) {
	dir := writeTiny(t)
	yaml, runs := filepath.Join(dir, "tiny.yaml"), filepath.Join(dir, "runs")
	notes := filepath.Join(runs, "mine", "notes.txt")
	if err := os.MkdirAll(filepath.Dir(notes), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(notes, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--backend", "tpu"}, {"--backend", "tpu", "--name", "mine"},
		{"--set", "train.schedule=reduce_on_plateau", "--set", "train.schedule.reduce_on_plateau.monitor=val_top_k_accuracy"},
	} {
		code, _, stderr := gespann(t, "", append([]string{"train", yaml, "--runs", runs}, args...)...)
		if code != exitUsage {
			t.Errorf("%v: exit code %d, want %d\n%s", args, code, exitUsage, stderr)
		}
	}
	found, err := filepath.Glob(filepath.Join(runs, "*", "*"))
	if err != nil || len(found) != 1 || found[0] != notes {
		t.Errorf("left behind: %v (%v), want only %s", found, err, notes)
	}
	if _, err := os.Stat(filepath.Join(runs, "tiny")); err == nil {
		t.Error("the directory of a run that could not start is there")
	}
}

// TestNextWithoutTest follows the advice at the end of a run without test rows.
func TestNextWithoutTest(t *testing.T) {
	dir := writeTiny(t)
	out := must(t, "train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--epochs", "1", "--set", "data.test_split=0")
	_, next, _ := strings.Cut(out, " evaluate ")
	contains(t, "evaluate", must(t, append([]string{"evaluate"}, strings.Fields(next)...)...), "training rows")
}

// TestOtherModel checks that nobody is told to delete a good checkpoint, and that
// the refused settings do not stay with the run.
func TestOtherModel(t *testing.T) {
	dir := writeTiny(t)
	must(t, "train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--epochs", "1")
	run := filepath.Join(dir, "tiny")
	code, _, stderr := gespann(t, "", "train", "--resume", run, "--epochs", "2", "--set", "optimizer=sgd")
	if code != exitUsage || strings.Contains(stderr, "delete") {
		t.Errorf("exit code %d, want %d\n%s", code, exitUsage, stderr)
	}
	contains(t, "stderr", stderr, "--set optimizer: got sgd, but the run has adam", "hint: a new run may begin with the weights of this one")
	must(t, "train", "--resume", run, "--epochs", "2")
}

// TestNaN checks how a run ends whose learning rate is far too high.
func TestNaN(t *testing.T) {
	dir := writeTiny(t)
	yaml := filepath.Join(dir, "tiny.yaml")
	runs := filepath.Join(dir, "runs")
	must(t, "train", yaml, "--runs", runs, "--epochs", "1")
	code, _, stderr := gespann(t, "", "train", "--resume", filepath.Join(runs, "tiny"),
		"--set", "optimizer.adam.learning_rate=1e30", "--epochs", "2")
	if code != exitRun {
		t.Errorf("exit code %d, want %d", code, exitRun)
	}
	contains(t, "stderr", stderr, "gespann: step ", "loss is ", "model[", "dense",
		"the last checkpoint is "+filepath.Join(runs, "tiny", "checkpoints", "step-000000"),
		"hint: try a lower learning rate: ", "--set optimizer.adam.learning_rate=1e+29")
	must(t, "train", "--resume", filepath.Join(runs, "tiny"), "--set", "optimizer.adam.learning_rate=0.001", "--epochs", "2")
}

// TestNaNAtOnce checks that no learning rate is suggested to whom none helps.
func TestNaNAtOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.csv", "a,b,y\n3e38,3e38,1\n3e38,3e38,2\n")
	yaml := write(t, dir, "a.yaml", "data: {source: csv, csv: {path: a.csv, task: regression}}\n"+
		"model: [{dense: {units: 1, kernel_initializer: ones}}]\nloss: mean_squared_error\noptimizer: sgd\ntrain: {epochs: 1}\n")
	for _, rate := range []string{"0.1", "0"} {
		code, _, stderr := gespann(t, "", "train", yaml, "--runs", dir, "--set", "optimizer.sgd.learning_rate="+rate)
		if code != exitRun || strings.Contains(stderr, "try a lower") {
			t.Errorf("rate %s: exit code %d, want %d\n%s", rate, code, exitRun, stderr)
		}
		contains(t, "stderr", stderr, "step 1: loss is ",
			"hint: the weights are still the initial ones, so that they or the data are the cause: data.normalize ", "initializer")
	}
}

// TestNoWeights evaluates what is left of a run that failed before it saved, as fetch
// copies it.
func TestNoWeights(t *testing.T) {
	dir := writeTiny(t)
	must(t, "train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--epochs", "1")
	run := filepath.Join(dir, "tiny")
	for _, name := range []string{"checkpoints", "model.safetensors"} {
		if err := os.RemoveAll(filepath.Join(run, name)); err != nil {
			t.Fatal(err)
		}
	}
	code, _, stderr := gespann(t, "", "evaluate", run)
	if want := "gespann: run directory " + run + ": has no weights yet\n"; code != exitRun || stderr != want {
		t.Errorf("exit code %d, got %q, want %q", code, stderr, want)
	}
}

// TestNaNInWarmUp checks that the advice is about the rate that a user sets, not what
// a schedule has made of it.
func TestNaNInWarmUp(t *testing.T) {
	dir := writeTiny(t)
	code, _, stderr := gespann(t, "", "train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--epochs", "1",
		"--set", "optimizer.adam.learning_rate=1e30", "--set", "train.schedule.constant.warmup_steps=1000")
	if code != exitRun {
		t.Errorf("exit code %d, want %d", code, exitRun)
	}
	contains(t, "stderr", stderr, "gespann: step ", "--set optimizer.adam.learning_rate=1e+29")
}

// TestDamagedCheckpoint checks that nobody evaluates weights of another epoch than was
// asked for, what is said in place of that, and that a run goes on from the checkpoint
// before.
func TestDamagedCheckpoint(t *testing.T) {
	dir := writeTiny(t)
	must(t, "train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--epochs", "1")
	run := filepath.Join(dir, "tiny")
	files, err := filepath.Glob(filepath.Join(run, "checkpoints", "step-*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("checkpoints: %v, %v", files, err)
	}
	want := must(t, "evaluate", run)
	refused := func(damaged string, hint string) {
		t.Helper()
		if err := os.Truncate(damaged, 3000); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"evaluate", run}, {"predict", run, "none.csv"}, {"train", "--from", run}} {
			code, out, stderr := gespann(t, "", args...)
			if code != exitRun || out != "" {
				t.Errorf("%v: exit code %d, got %q", args, code, out)
			}
			contains(t, "stderr", stderr, "gespann: checkpoint "+damaged+": truncated: header ", "file has 3000", "hint: "+hint)
		}
	}
	model, last := filepath.Join(run, "model.safetensors"), files[len(files)-1]
	refused(model, "gespann train --resume "+run+" writes it again, from "+last)
	must(t, "train", "--resume", run) // as the hint says
	if got := must(t, "evaluate", run); got != want {
		t.Errorf("written again: got\n%swant\n%s", got, want)
	}
	if err := os.Remove(model); err != nil {
		t.Fatal(err)
	}
	best, err := os.ReadFile(filepath.Join(run, "checkpoints", "best.safetensors"))
	if err != nil || os.Remove(filepath.Join(run, "checkpoints", "best.safetensors")) != nil {
		t.Fatal(err)
	}
	before := files[len(files)-2]
	refused(last, before+" is whole, after 0 epochs: name it to use it; gespann train --resume "+run+" goes on from it")
	must(t, "evaluate", before)
	if err := os.WriteFile(filepath.Join(run, "checkpoints", "best.safetensors"), best, 0o666); err != nil {
		t.Fatal(err)
	}
	contains(t, "resumed", must(t, "train", "--resume", run), "The checkpoint "+last+" is damaged (truncated: ", "The run goes on from ")
	if got := must(t, "evaluate", run); got != want {
		t.Errorf("resumed: got\n%swant\n%s", got, want)
	}
}

// TestOutputOfLogits checks that the activation is the loss's, whether or not the
// classes are known, and goes over the last axis.
func TestOutputOfLogits(t *testing.T) {
	tol := numtest.Tol{Rel: 1e-6, Why: "exp in float64, rounded to float32"}
	high := 1 / (1 + math.Exp(-1))
	o := &output{logits: "softmax"}
	row := o.row([]int{3, 2, 2}) // two positions of two classes
	copy(row, []float32{1000, 1001, -5, -5})
	o.toProbabilities(row)
	numtest.Close(t, row, []float64{1 - high, high, 0.5, 0.5}, tol)
	o = &output{classes: []string{"a", "b"}, logits: "sigmoid"}
	row = o.row([]int{3, 2})
	copy(row, []float32{0, 1})
	o.toProbabilities(row)
	numtest.Close(t, row, []float64{0.5, high}, tol)
	numtest.Close(t, o.probabilities([]float32{0.25}), []float64{0.75, 0.25}, tol)
}

func TestConfusion(t *testing.T) {
	golden(t, "confusion.txt", confusion([]float64{5, 0, 1, 0, 1234, 0, 0, 2, 0}, []string{"cat", "hippopotamuses", "é"})+
		confusion(make([]float64, 30*30), numbers(30)))
}

// TestEvaluateFile evaluates a model of a CSV file on another one.
func TestEvaluateFile(t *testing.T) {
	dir := t.TempDir()
	csv, yaml := filepath.Join(dir, "a.csv"), filepath.Join(dir, "a.yaml")
	text := "data: {source: csv, csv: {path: '" + filepath.ToSlash(csv) + "'}}\nmodel: [dense: 2]\n" +
		"loss: sparse_categorical_crossentropy\ntrain: {epochs: 1}\n"
	for path, text := range map[string]string{csv: "x,y\n1,no\n2,yes\n", yaml: text, csv + "2": "y,x\nyes,3\nno,4\nno,5\n"} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "train", yaml, "--runs", dir)
	contains(t, "evaluate", must(t, "evaluate", filepath.Join(dir, "a"), "--data", csv+"2"), " on 3 rows of "+csv+"2\n")
}

func TestUseFile(t *testing.T) {
	if _, err := parseSplit("train"); err != nil {
		t.Error(err)
	}
	if s, err := parseSplit("validation"); err != nil || s != data.Validation {
		t.Errorf("got %v, %v", s, err)
	}
}

// TestLiveLog draws a run on terminals of three widths.
func TestLiveLog(t *testing.T) {
	var out bytes.Buffer
	values := []train.Value{{Name: "loss", Value: 0.12345}, {Name: "accuracy", Value: 0.9612}}
	for _, width := range []int{120, 80, 40} {
		l := &liveLog{out: &out, width: func() int { return width }, color: width > 100}
		l.event(train.Started{Dir: "runs/x", Parameters: 1199882, Rows: [3]int{54000, 6000, 10000}, Epochs: 12, StepsPerEpoch: 469})
		l.event(train.Progress{Epoch: 3, Epochs: 12, Step: 128, Steps: 469, Values: values, RowsPerSecond: 31234, Left: 42e9})
		l.event(train.EpochEnd{Row: train.Row{Epoch: 3, Values: values, Seconds: 75}, Epochs: 12, RowsPerSecond: 2.5e6, Best: true})
		l.clear()
	}
	golden(t, "live.txt", strings.NewReplacer("\r", "<start>", "\x1b", "<esc>").Replace(out.String()))
}
