package train_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/gespann/gespann/backend"
	_ "github.com/gespann/gespann/backend/cpu" // registers cpu
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/data/source"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

var record = flag.String("record", "", "folder to write the inputs of testdata/torch/losses.py to")

// torchSteps is how many optimiser steps are compared.
const torchSteps = 50

// TestTorch compares the loss of the first steps of the MNIST configs with
// PyTorch's, from the same weights, batches and dropout masks.
//
// Both sides compute in float32 and sum in different orders, and one step's
// rounding errors feed the next. They stay near 1e-7 until a bias crosses zero,
// where ReLU's derivative jumps for the whole background of the images: which
// side it falls on is a matter of the last bit. PyTorch's own losses move as much
// when its initial weights change by a few units in the last place; losses.py
// records by how much, and twice that is the tolerance of each step.
func TestTorch(t *testing.T) {
	for _, name := range []string{"mnist-mlp", "mnist-cnn"} {
		t.Run(name, func(t *testing.T) {
			job, m, rates := torchJob(t, name)
			if *record != "" {
				recordTorch(t, name, job, m, rates)
				return
			}
			steps := torchSteps
			if testing.Short() && name == "mnist-cnn" {
				steps = 3
			}
			got := losses(t, job, m, rates[:steps])
			want := recorded(t, name)
			for i := range got {
				numtest.Close(t, got[i:i+1], want.Losses[i:i+1], numtest.Tol{Rel: 2*want.Spread[i] + 1e-6,
					Why: fmt.Sprintf("step %d: twice what rounding does to PyTorch's own run", i+1)})
			}
		})
	}
}

// torchJob opens configs/NAME.yaml on the part of MNIST in testdata.
func torchJob(t *testing.T, name string) (backend.Job, *model.Model, []float32) {
	t.Helper()
	ctx := context.Background()
	s, err := spec.Load(filepath.Join("..", "..", "configs", name+".yaml"), spec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Data.Source, s.Data.Dir = "idx", filepath.Join("testdata", "torch", "mnist")
	s.Data.ValidationSplit = 0
	set, err := source.Load(ctx, s.Data, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Build(s, model.Input{Shape: set.Parts[data.Train].X.Shape, Classes: set.Classes})
	if err != nil {
		t.Fatal(err)
	}
	job := backend.Job{Programs: m, Data: set, Seed: s.Train.Seed, BatchSize: s.Data.BatchSize,
		Accumulate: 1, Shuffle: s.Data.Shuffle}
	schedule := model.NewSchedule(s, int64(s.Train.Epochs*job.Data.Parts[data.Train].Rows/job.BatchSize))
	var rates []float32
	for step := range torchSteps {
		rates = append(rates, schedule.Rate(int64(step), 1))
	}
	return job, m, rates
}

// losses trains step by step, one for each rate, and returns their losses.
func losses(t *testing.T, job backend.Job, m *model.Model, rates []float32) []float32 {
	t.Helper()
	ctx := context.Background()
	be, err := backend.Lookup("cpu")
	if err != nil {
		t.Fatal(err)
	}
	session, err := be.Open(ctx, job)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.Restore(ctx, m.Initial(job.Seed)); err != nil {
		t.Fatal(err)
	}
	perEpoch := job.Data.Parts[data.Train].Rows / job.BatchSize
	var got []float32
	for i := range rates {
		at := i % perEpoch
		stats, _, err := session.Train(ctx, backend.Span{Epoch: i / perEpoch, First: at, Last: at + 1,
			Step: int64(i), Rates: rates[i : i+1]})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, float32(stats.Loss/float64(stats.Rows)))
	}
	return got
}

// A torchRun is what losses.py has recorded, by step.
type torchRun struct {
	Losses []float32
	Spread []float64 // largest relative change by rounding, up to that step
}

func recorded(t *testing.T, name string) torchRun {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "torch", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var run torchRun
	if err := json.Unmarshal(text, &run); err != nil {
		t.Fatal(err)
	}
	if len(run.Losses) != torchSteps || len(run.Spread) != torchSteps {
		t.Fatalf("%s: %d losses, want %d", name, len(run.Losses), torchSteps)
	}
	return run
}

// recordTorch writes what losses.py needs.
func recordTorch(t *testing.T, name string, job backend.Job, m *model.Model, rates []float32) {
	t.Helper()
	type layer struct {
		Seed uint64  `json:"seed"`
		Rate float64 `json:"rate"`
	}
	out := struct {
		Rates   []float32 `json:"rates"`
		Batches [][]int   `json:"batches"`
		Dropout []layer   `json:"dropout"`
	}{Rates: rates}
	rows := job.Data.Parts[data.Train].Rows
	perEpoch := rows / job.BatchSize
	for i := range torchSteps {
		perm := data.NewPerm(rows, job.Seed, i/perEpoch)
		var batch []int
		for r := range job.BatchSize {
			batch = append(batch, perm.At(i%perEpoch*job.BatchSize+r))
		}
		out.Batches = append(out.Batches, batch)
	}
	program, err := m.Gradient(false)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]bool{}
	for _, in := range program.Instrs {
		if in.Op == ir.Dropout && !seen[in.Attrs.Seed] {
			seen[in.Attrs.Seed] = true
			out.Dropout = append(out.Dropout, layer{in.Attrs.Seed, in.Attrs.Rate})
		}
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*record, name+".json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	state := &checkpoint.State{}
	initial := m.Initial(job.Seed)
	for i, v := range m.Vars() {
		if v.Role == ir.Param {
			state.Tensors = append(state.Tensors, checkpoint.Tensor{Name: v.Name, Shape: v.Shape, Data: initial[i]})
		}
	}
	if err := checkpoint.Write(filepath.Join(*record, name+".safetensors"), state); err != nil {
		t.Fatal(err)
	}
}
