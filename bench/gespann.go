package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/gespann/gespann/backend"
	_ "github.com/gespann/gespann/backend/cpu" // registers cpu
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// spec returns the work as a configuration file.
func (w *work) spec() ([]byte, error) {
	optimizer := w.Optimizer
	if optimizer == "" {
		optimizer = "sgd"
	}
	return json.Marshal(map[string]any{ // JSON is YAML
		"data":      params{"source": "mnist", "batch_size": w.Batch},
		"model":     w.Layers,
		"loss":      "sparse_categorical_crossentropy",
		"optimizer": params{optimizer: params{"learning_rate": rate}},
	})
}

// build makes the model of a work through its spec, as `gespann train` does.
func (w *work) build() (*model.Model, error) {
	text, err := w.spec()
	if err != nil {
		return nil, err
	}
	s, err := spec.Parse(w.Name, text, spec.Options{})
	if err != nil {
		return nil, err
	}
	return model.Build(s, model.Input{Shape: w.Input, Classes: w.Classes})
}

const (
	rate    = 0.001 // small: the labels are random
	batches = 8     // of the data
	seed    = 1     // of initial values
)

// epoch is the number of batches of the data.
func (w *work) epoch() int {
	if w.Epoch > 0 {
		return w.Epoch
	}
	return batches
}

// sample returns random rows, in Gespann's own form: bytes for images, as most data
// sets store them, and floats for others. The first batch also is the validation
// split.
func (w *work) sample() *data.Set {
	rng := rand.New(rand.NewPCG(1, 2))
	part := data.Part{Rows: w.epoch() * w.Batch}
	part.X.Shape = w.Input
	n := part.Rows * part.X.RowSize()
	if part.X.RowSize() < 256 {
		part.X.F32 = make([]float32, n)
		for i := range part.X.F32 {
			part.X.F32[i] = rng.Float32()
		}
	} else {
		part.X.U8 = make([]byte, n)
		for i := range part.X.U8 {
			part.X.U8[i] = byte(rng.Uint32())
		}
		part.X.Scale, part.X.Shift = []float32{1. / 255}, []float32{0}
	}
	part.Y.U8 = make([]byte, part.Rows)
	for i := range part.Y.U8 {
		part.Y.U8[i] = byte(rng.IntN(w.Classes))
	}
	first := part
	first.Rows = w.Batch
	first.X.U8 = part.X.U8[:min(len(part.X.U8), w.Batch*part.X.RowSize())]
	first.X.F32 = part.X.F32[:min(len(part.X.F32), w.Batch*part.X.RowSize())]
	first.Y.U8 = part.Y.U8[:w.Batch]
	return &data.Set{Parts: [3]data.Part{part, first}, Classes: w.Classes, Source: "random",
		Prep: data.Prep{Source: "mnist", Shape: w.Input, Target: data.Classes, Classes: w.Classes}}
}

// gespannEngine runs works on the cpu backend, through the interface that
// `gespann train` and `gespann predict` use.
type gespannEngine struct {
	w       *work
	set     *data.Set
	session backend.Session
	done    int
	rates   []float32
}

func newGespannEngine(w *work) (*gespannEngine, error) {
	m, err := w.build()
	if err != nil {
		return nil, err
	}
	be, err := backend.Lookup("cpu")
	if err != nil {
		return nil, err
	}
	e := &gespannEngine{w: w, set: w.sample(), rates: []float32{rate}}
	ctx := context.Background()
	e.session, err = be.Open(ctx, backend.Job{Programs: m, Data: e.set, BatchSize: w.Batch,
		Accumulate: 1, Shuffle: true, Threads: w.Threads, Precision: w.Precision})
	if err != nil {
		return nil, err
	}
	return e, e.session.Restore(ctx, m.Initial(seed))
}

func (e *gespannEngine) close() { e.session.Close() }

// loss returns the loss of the first batch.
func (e *gespannEngine) loss() (float64, error) {
	stats, err := e.session.Evaluate(context.Background(), data.Validation)
	return stats.Loss / float64(max(stats.Rows, 1)), err
}

// step takes a training step, or predicts one batch.
func (e *gespannEngine) step() error {
	ctx := context.Background()
	if e.w.Optimizer == "" {
		return e.session.Predict(ctx, &e.set.Parts[data.Validation].X, func([]float32, []int) error { return nil })
	}
	at := e.done % batches
	_, _, err := e.session.Train(ctx, backend.Span{Epoch: e.done / batches, First: at, Last: at + 1,
		Step: int64(e.done), Rates: e.rates})
	e.done++
	return err
}

// content returns what the competitors read: the rows as float32, the labels as
// int32, the initial values of the parameters in the order of the layers.
func (w *work) content() (x []float32, y []int32, values []float32, err error) {
	m, err := w.build()
	if err != nil {
		return nil, nil, nil, err
	}
	part := &w.sample().Parts[data.Train]
	rows := make([]uint32, part.Rows)
	for i := range rows {
		rows[i] = uint32(i)
	}
	x, y = make([]float32, part.Rows*part.X.RowSize()), make([]int32, part.Rows)
	part.X.Gather(x, rows)
	part.Y.GatherInt(y, rows)
	initial := m.Initial(seed)
	for i, v := range m.Vars() {
		if v.Role == ir.Param {
			values = append(values, initial[i]...)
		}
	}
	if len(values) == 0 {
		return nil, nil, nil, fmt.Errorf("%s has no parameters", w.Name)
	}
	return x, y, values, nil
}
