package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A wholeRun is a program that reads MNIST, trains configs/mnist-mlp.yaml or the
// same by other means, and saves the model.
type wholeRun struct {
	name    string
	command func(dir string) *exec.Cmd
	times   []float64 // seconds, from the start of the process to its end
	last    string    // line with the accuracy
}

// raceWhole times whole trainings in turns: ours against a plain PyTorch script.
func raceWhole(o *options) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "gespann")
	if text, err := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/gespann").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	const epochs = "5"
	threads := strconv.Itoa(o.threads)
	runs := []*wholeRun{{name: "gespann train configs/mnist-mlp.yaml", command: func(dir string) *exec.Cmd {
		return exec.Command(program, "train", "configs/mnist-mlp.yaml", "--data-dir", o.data,
			"--runs", dir, "--threads", threads, "--epochs", epochs)
	}}}
	for python := range strings.SplitSeq(o.python, ",") {
		if exec.Command(python, "-c", "import torch").Run() == nil {
			runs = append(runs, &wholeRun{name: "bench/torch_train.py", command: func(dir string) *exec.Cmd {
				return exec.Command(python, "bench/torch_train.py", o.data, epochs, threads, filepath.Join(dir, "model.pt"))
			}})
			break
		}
	}
	if len(runs) == 1 {
		fmt.Fprintf(os.Stderr, "missing: torch, in none of %s\n", o.python)
	}
	before := measureLoad(o.threads)
	for round := range o.rounds {
		for i, r := range runs {
			if err := r.run(filepath.Join(dir, fmt.Sprint(round, i))); err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "%-40s %.2f s  %s\n", r.name, r.times[len(r.times)-1], r.last)
		}
	}
	table := wholeTable(runs)
	table += fmt.Sprintf("\n%s, %d threads, %s, %s; medians of %d runs in turns. Load before: %v; after: %v.\n",
		processor(), o.threads, runtime.Version(), time.Now().Format(time.DateOnly), o.rounds,
		before, measureLoad(o.threads))
	fmt.Print(table)
	if o.write == "" {
		return nil
	}
	return replaceTable(o.write, "whole trainings", table)
}

func (r *wholeRun) run(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	start := time.Now()
	text, err := r.command(dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", r.name, err, text)
	}
	r.times = append(r.times, time.Since(start).Seconds())
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "test") {
			r.last = strings.Join(strings.Fields(line), " ")
		}
	}
	return nil
}

func wholeTable(runs []*wholeRun) string {
	var b strings.Builder
	b.WriteString("| program | seconds (least to most) | its last word | ratio |\n|---|---|---|---|\n")
	for _, r := range runs {
		slices.Sort(r.times)
	}
	ours := quantile(runs[0].times, 0.5)
	for _, r := range runs {
		fmt.Fprintf(&b, "| `%s` | %.2f (%.2f to %.2f) | %s | %.2f |\n", r.name, quantile(r.times, 0.5),
			r.times[0], r.times[len(r.times)-1], r.last, quantile(r.times, 0.5)/ours)
	}
	return b.String()
}
